//! Every packet that can still be verified, from damaged directories.
//!
//! It starts with the packets of the survivor whose packets are as of the highest entry, damaged or not, and
//! applies all later entries that can be read in any log. So what was deleted stays deleted, and what the
//! cluster rejected stays rejected. Packets of which the entry is not known are added at the end.

use std::collections::{BTreeMap, btree_map::Entry};

use bytes::Bytes;
use quorate_packet::PublicKey;
use quorate_peer::message::Payload;
use quorate_state::{
    BatchConditions, ClusterState, Command, Import, LEVEL_MAX, LogIndex, LogPosition, PutBatch,
    StoredPacket, StoredPackets,
};
use quorate_store::{Meta, PacketsMut, PacketsSummary, Store, salvage as packets_in_file};

use crate::{
    NewNode, RecoveryError, Summary, Survivor,
    verification::{is_valid, retain_valid},
};

/// What was found in damaged directories.
#[derive(Debug)]
pub struct Salvaged {
    pub packets: PacketsSummary,
    /// How many pieces of data looked like a packet, but have no valid signature.
    pub invalid_count: u64,
    pub completeness: Completeness,
    /// The entry as of which zones, publish policy and deletions were on disk; `None` if they were not.
    pub applied: Option<LogPosition>,
    /// With what else than packets the new cluster begins.
    pub state: ClusterState,
    /// How many entries after the packets on disk cannot be read.
    pub missing_entries: u64,
}

/// How much of the packets on disk was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All packets as of this entry.
    Whole(LogPosition),
    /// At least so many packets as of this entry are missing.
    Missing(u64, LogPosition),
    /// Unknown: no directory has a readable summary of its packets.
    Unknown,
}

/// Prepares `new` with the newest valid packet of each key in the files of all survivors, also in unused parts of
/// them. `summaries` are of all survivors, also of those on other machines. `last` is the last position of the
/// old cluster.
pub fn salvage(
    survivors: &[&Survivor],
    summaries: &[&Summary],
    new: &NewNode,
    last: LogPosition,
) -> Result<Salvaged, RecoveryError> {
    let mut invalid_count = 0;
    let stores: Vec<OldStore> = survivors.iter().map(|it| OldStore::read(it)).collect();
    let base = stores.iter().enumerate();
    let base = base.max_by_key(|(_, store)| (store.applied(), store.is_intact));
    let base = base.filter(|(_, store)| store.meta.is_some());
    let applied = base.and_then(|(_, store)| store.applied());
    let entries = entries(survivors)?;
    let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) = entries
        .into_iter()
        .partition(|(index, _)| applied.is_some_and(|applied| *index <= applied.index));

    // Those without a meta are of an unknown entry.
    let rows = |is_known: bool| {
        let of = stores
            .iter()
            .filter(move |store| store.meta.is_some() == is_known);
        of.flat_map(|store| store.rows.iter().cloned())
    };
    let unknown = newest(rows(false).collect(), &mut invalid_count);
    let (store, completeness) = match base {
        Some((
            place,
            OldStore {
                is_intact: true, ..
            },
        )) => {
            let copied = |config, metrics| survivors[place].copy_store(config, metrics);
            let whole = applied.map_or(Completeness::Unknown, Completeness::Whole);
            (new.create_store(copied)?, whole)
        }
        Some((
            _,
            OldStore {
                meta: Some(meta), ..
            },
        )) => {
            let found = rows(true).chain(packets_of(&before)).collect();
            let found = newest(found, &mut invalid_count);
            let completeness = completeness(&found, meta, summaries);
            let store = new.create_store(Store::open)?;
            store.transact(|packets, state| {
                state.cluster = meta.cluster.clone();
                add(packets, &state.cluster, &found);
            });
            (store, completeness)
        }
        _ => {
            let completeness = completeness(&unknown, &Meta::default(), summaries);
            (new.create_store(Store::open)?, completeness)
        }
    };
    // A log without packets on disk counts from its first entry: what was before it is unknown.
    let first = applied.map(|applied| applied.index.next());
    let first = first.or_else(|| after.keys().next().copied());
    let known_max = summaries.iter().map(|it| it.index_max()).max();
    let wanted = match (first, known_max) {
        (Some(first), Some(last)) => (last + 1).saturating_sub(first.0),
        _ => 0,
    };
    let (_, read) = store.transact(|packets, meta| {
        let count = apply_all(packets, &mut meta.cluster, &after, &mut invalid_count);
        add(packets, &meta.cluster, &unknown);
        count
    });
    let missing_entries = wanted.saturating_sub(read);
    if store.meta().packets.usage.count == 0 {
        return Err(RecoveryError::Nothing);
    }
    Ok(Salvaged {
        packets: new.finish(&store, last)?,
        state: store.meta().cluster,
        invalid_count,
        completeness,
        applied,
        missing_entries,
    })
}

/// The packets in the file of a survivor.
struct OldStore {
    /// `None` if it cannot be read.
    meta: Option<Meta>,
    /// Whether all of it can be read. Then `rows` is empty.
    is_intact: bool,
    /// Every packet in the file, whether it was in use or not.
    rows: Vec<StoredPacket>,
}

impl OldStore {
    fn read(survivor: &Survivor) -> Self {
        let mut rows = Vec::new();
        match &survivor.meta {
            // A node that never wrote a checkpoint has none.
            Ok(meta) => Self {
                meta: meta.applied.is_some().then(|| meta.clone()),
                is_intact: true,
                rows,
            },
            Err(_) => Self {
                meta: packets_in_file(survivor.store_config(), |stored| rows.push(stored))
                    // It was lost with the rest of the disk.
                    .unwrap_or_default()
                    .filter(|meta| meta.applied.is_some()),
                is_intact: false,
                rows,
            },
        }
    }

    fn applied(&self) -> Option<LogPosition> {
        self.meta.as_ref()?.applied
    }
}

/// The entries in all logs, also those after damage. Of several entries with one index, that of the highest
/// term counts. An entry after one of a higher term was removed from the log.
fn entries(
    survivors: &[&Survivor],
) -> Result<BTreeMap<LogIndex, (LogPosition, Bytes)>, RecoveryError> {
    let mut entries = BTreeMap::<LogIndex, (LogPosition, Bytes)>::new();
    for log in survivors
        .iter()
        .filter_map(|survivor| survivor.log.as_ref())
    {
        log.for_each_in_files(|position, bytes| match entries.entry(position.index) {
            Entry::Vacant(vacant) => drop(vacant.insert((position, bytes))),
            Entry::Occupied(mut known) if known.get().0 < position => {
                known.insert((position, bytes));
            }
            Entry::Occupied(_) => {}
        })?;
    }
    let mut highest = None;
    entries.retain(|_, (position, _)| {
        highest = highest.max(Some(position.term));
        Some(position.term) == highest
    });
    Ok(entries)
}

/// The packets in these entries, as received when they were proposed.
fn packets_of(
    entries: &BTreeMap<LogIndex, (LogPosition, Bytes)>,
) -> impl Iterator<Item = StoredPacket> {
    let commands = entries.values().filter_map(|(_, bytes)| command(bytes)?.1);
    commands.flat_map(|command| {
        let (batch, received) = match command {
            Command::PutBatch(batch) => (Some(batch), Vec::new()),
            Command::Import(Import { batch, received }) => (Some(batch), received),
            _ => (None, Vec::new()),
        };
        batch.into_iter().flat_map(move |batch| {
            let received = received.clone();
            let packets = batch.packets.into_iter().enumerate();
            packets.map(move |(place, packet)| {
                let at = received.get(place).copied().flatten();
                let received = at.unwrap_or(batch.now);
                StoredPacket { received, packet }
            })
        })
    })
}

/// The bytes of the command of an entry, if it has one, and the command. `None` if the entry cannot be decoded.
fn command(bytes: &Bytes) -> Option<(Option<Bytes>, Option<Command>)> {
    match Payload::decode(bytes).ok()? {
        Payload::Command(encoded) => {
            let command = Command::decode(encoded.clone()).ok();
            Some((Some(encoded), command))
        }
        _ => Some((None, None)),
    }
}

/// Compares the packets as of `meta` with its summary of them, and with those of the other survivors.
fn completeness(
    found: &BTreeMap<PublicKey, StoredPacket>,
    meta: &Meta,
    summaries: &[&Summary],
) -> Completeness {
    let mut summary = PacketsSummary::default();
    let stored = found.values();
    let stored = stored.filter(|stored| !meta.cluster.publishing.has_deleted(&stored.packet));
    stored.for_each(|stored| summary.insert(stored));
    let hash = format!("{:032x}", summary.hash);
    let is_same = |other: &&&Summary| {
        (other.packet_count, &other.packets_hash) == (summary.usage.count, &hash)
    };
    match (meta.applied, summaries.iter().find(is_same)) {
        (Some(position), _) if summary == meta.packets => Completeness::Whole(position),
        (
            _,
            Some(Summary {
                applied: Some(position),
                ..
            }),
        ) => Completeness::Whole(*position),
        (Some(position), _) => {
            let missing = meta.packets.usage.count.saturating_sub(summary.usage.count);
            Completeness::Missing(missing, position)
        }
        (None, _) => Completeness::Unknown,
    }
}

/// The newest valid packet of each key, and of the same packet the one received last.
fn newest(
    packets: Vec<StoredPacket>,
    invalid_count: &mut u64,
) -> BTreeMap<PublicKey, StoredPacket> {
    let mut newest = BTreeMap::new();
    for stored in retain_valid(packets, invalid_count) {
        match newest.entry(*stored.packet.key()) {
            Entry::Vacant(vacant) => drop(vacant.insert(stored)),
            Entry::Occupied(mut known) => {
                let known: &mut StoredPacket = known.get_mut();
                let recency = stored.packet.recency(&known.packet);
                if recency.is_gt() || recency.is_eq() && stored.received > known.received {
                    *known = stored;
                }
            }
        }
    }
    newest
}

/// Adds the packets that are newer than what is stored and were not deleted.
fn add(
    packets: &mut PacketsMut<'_>,
    cluster: &ClusterState,
    found: &BTreeMap<PublicKey, StoredPacket>,
) {
    for (key, stored) in found {
        let old = packets.stored_packet(key);
        let is_newer = old.is_none_or(|old| stored.packet.recency(&old.packet).is_gt());
        if is_newer && !cluster.publishing.has_deleted(&stored.packet) {
            packets.put(stored);
        }
    }
}

/// Applies the entries in order, without packets that have no valid signature. Returns how
/// many could be applied.
fn apply_all(
    packets: &mut PacketsMut<'_>,
    cluster: &mut ClusterState,
    entries: &BTreeMap<LogIndex, (LogPosition, Bytes)>,
    invalid_count: &mut u64,
) -> u64 {
    let mut count = 0;
    for (position, bytes) in entries.values() {
        let Some((encoded, command)) = command(bytes) else {
            continue;
        };
        let commands = match command {
            Some(command) => without_invalid(command, invalid_count),
            // What is no command is rejected by every node.
            None => encoded.into_iter().collect(),
        };
        let mut apply = |command| {
            let index = position.index;
            quorate_state::apply(packets, cluster, LEVEL_MAX, index, command).is_ok()
        };
        if commands.into_iter().all(&mut apply) {
            count += 1;
        }
    }
    count
}

/// The command, or one for each valid packet of it if not all are valid.
fn without_invalid(command: Command, invalid_count: &mut u64) -> Vec<Bytes> {
    let (batch, received) = match &command {
        Command::PutBatch(batch) => (batch, None),
        Command::Import(Import { batch, received }) => (batch, Some(received)),
        _ => return vec![command.encode()],
    };
    let invalid = batch.packets.iter().filter(|packet| !is_valid(packet));
    let count = invalid.count() as u64;
    if count == 0 {
        return vec![command.encode()];
    }
    *invalid_count += count;
    let valid = batch.packets.iter().enumerate();
    let valid = valid.filter(|(_, packet)| is_valid(packet));
    let one = |(place, packet): (usize, &_)| {
        let mut conditions = BatchConditions::default();
        if let Some(of_packet) = batch.conditions.of(place) {
            conditions.insert(0, of_packet.clone());
        }
        let batch = PutBatch {
            conditions,
            packets: vec![Clone::clone(packet)],
            ..*batch
        };
        match received {
            None => Command::PutBatch(batch),
            Some(received) => Command::Import(Import {
                received: received.get(place).copied().into_iter().collect(),
                batch,
            }),
        }
        .encode()
    };
    valid.map(one).collect()
}

#[cfg(test)]
#[path = "salvage_tests.rs"]
mod tests;
