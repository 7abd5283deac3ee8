//! A node of the old cluster, as its files show it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use quorate_disk::Disk;
use quorate_log::{LOG_DIR, LogDamage, LogError, LogReader, State};
use quorate_packet::PublicKey;
use quorate_peer::{
    NodeId, chain,
    message::{Payload, StoredMembership},
};
use quorate_state::{ClusterId, Command, Import, LogIndex, LogPosition, UnixMillis};
use quorate_store::{Meta, Store, StoreConfig, StoreError};

use crate::{RecoveryError, Summary, SummaryVote, prepare::store_config};

/// A node of the old cluster. While it exists, the node cannot be started.
pub struct Survivor {
    pub summary: Summary,
    dir: PathBuf,
    store: StoreConfig,
    /// The meta of its packets on disk, or why they cannot be read.
    pub(crate) meta: Result<Meta, StoreError>,
    /// `None` if nothing of the log can be read.
    pub(crate) log: Option<LogReader>,
}

impl Survivor {
    /// Reads the log and the packets in `dir`, and changes nothing. `node` and `cluster` are what the other
    /// files of the directory say; without a `cluster`, the packets say it.
    ///
    /// Fails when another process uses them, or another version wrote them. Damage is in the summary.
    pub fn read(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        node: Option<NodeId>,
        cluster: Option<ClusterId>,
    ) -> Result<Self, RecoveryError> {
        let store = store_config(disk, dir);
        let meta = match Store::verify(&store) {
            Err(error @ (StoreError::Format { .. } | StoreError::InUse { .. })) => {
                return Err(error.into());
            }
            meta => meta,
        };
        let applied = meta.as_ref().ok().and_then(|meta| meta.applied);
        let (log, mut log_damage) = match LogReader::open(&**disk, &dir.join(LOG_DIR), applied) {
            Ok(log) => {
                let damage = log.damage().map(ToString::to_string);
                (Some(log), damage)
            }
            Err(error @ (LogError::Locked { .. } | LogError::Format { .. })) => {
                return Err(error.into());
            }
            Err(error) => (None, Some(chain(&error))),
        };
        let cluster = cluster.or_else(|| meta.as_ref().ok()?.cluster.id);
        let state = log.as_ref().map(LogReader::state).unwrap_or_default();
        let mut found = LastEntries::of(meta.as_ref().ok(), state.committed);
        if let Some(log) = &log
            && let Err(damage) = follow(log, applied, |position, payload| {
                found.add(position, payload)
            })
        {
            log_damage.get_or_insert(damage);
        }
        let unreachable = match &log {
            Some(log) => log.last_unreachable()?.max(state.last),
            None => None,
        };
        let summary = Summary {
            version: Summary::VERSION,
            dir: dir.display().to_string(),
            node: node.map(|node| node.to_string()),
            cluster: cluster.map(|id| id.to_string()).unwrap_or_default(),
            vote: vote(&state),
            applied,
            packet_count: meta.as_ref().map_or(0, |meta| meta.packets.usage.count),
            packets_hash: meta.as_ref().map_or_else(
                |_| String::new(),
                |meta| format!("{:032x}", meta.packets.hash),
            ),
            committed: state.committed.max(applied),
            last: found.last,
            unreachable: unreachable.filter(|unreachable| Some(*unreachable) > found.last),
            uncommitted_packets: found.uncommitted_packets,
            cluster_time_ms: found.time.map(|time| time.0),
            log_damage,
            store_damage: meta.as_ref().err().map(|error| chain(error)),
            voters: voters(found.membership.as_ref()),
        };
        Ok(Self {
            summary,
            dir: dir.to_owned(),
            store,
            meta,
            log,
        })
    }

    /// Creates a store with its packets as of its checkpoint. A log from the first entry on replaces damaged
    /// packets.
    pub(crate) fn copy_store(
        &self,
        config: StoreConfig,
        metrics: quorate_store::StoreMetrics,
    ) -> Result<Store, StoreError> {
        match &self.meta {
            Err(_) if self.has_first_entry() => Store::open(config, metrics),
            _ => Store::copy_of(&self.store, config, metrics),
        }
    }

    pub(crate) fn has_first_entry(&self) -> bool {
        let log = self.log.as_ref();
        log.is_some_and(|log| log.state().purged.is_none() && log.state().last.is_some())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn store_config(&self) -> &StoreConfig {
        &self.store
    }
}

/// Calls `visit` for the entries after `applied`, in order, without a gap. Fails at the first one that is
/// missing or damaged, or that this program does not know.
pub(crate) fn follow(
    log: &LogReader,
    applied: Option<LogPosition>,
    mut visit: impl FnMut(LogPosition, Payload) -> Result<(), String>,
) -> Result<(), String> {
    let first = applied.map_or(0, |applied| applied.index.next().0);
    if let Some(purged) = log.state().purged.filter(|purged| purged.index.0 >= first) {
        let last = purged.index;
        return Err(format!(
            "entries {first} to {last} were removed from the log, and the packets on disk are older"
        ));
    }
    for (next, entry) in (first..).zip(log.entries(applied)) {
        let (position, bytes): (LogPosition, Bytes) =
            entry.map_err(|damage: LogDamage| damage.to_string())?;
        if position.index != LogIndex(next) {
            let found = position.index;
            return Err(format!(
                "entry {next} is missing: the log continues with entry {found}"
            ));
        }
        let payload = Payload::decode(&bytes)
            .map_err(|error| format!("entry {} cannot be decoded: {error}", position.index))?;
        visit(position, payload)?;
    }
    Ok(())
}

/// What the packets on disk and the entries after them show.
struct LastEntries {
    last: Option<LogPosition>,
    committed: Option<LogPosition>,
    time: Option<UnixMillis>,
    uncommitted_packets: u64,
    membership: Option<StoredMembership>,
}

impl LastEntries {
    fn of(meta: Option<&Meta>, committed: Option<LogPosition>) -> Self {
        let membership = meta.and_then(|meta| StoredMembership::decode(&meta.membership).ok());
        Self {
            last: meta.and_then(|meta| meta.applied),
            committed,
            time: meta.and_then(|meta| meta.cluster.time.last_in_log()),
            uncommitted_packets: 0,
            membership,
        }
    }

    fn add(&mut self, position: LogPosition, payload: Payload) -> Result<(), String> {
        match payload {
            Payload::Blank => {}
            Payload::Membership(membership) => {
                let position = Some(position);
                self.membership = Some(StoredMembership {
                    position,
                    membership,
                });
            }
            // What is no command is rejected by every node.
            Payload::Command(bytes) => {
                if let Ok(command) = Command::decode(bytes) {
                    self.time = command.time().or(self.time);
                    if let Command::PutBatch(batch) | Command::Import(Import { batch, .. }) =
                        &command
                        && Some(position) > self.committed
                    {
                        self.uncommitted_packets += batch.packets.len() as u64;
                    }
                }
            }
        }
        self.last = Some(position);
        Ok(())
    }
}

fn vote(state: &State) -> Option<SummaryVote> {
    state.vote.map(|vote| SummaryVote {
        term: vote.term,
        node: NodeId(PublicKey::from_bytes(vote.node)).to_string(),
        committed: vote.committed,
    })
}

/// The voters: two sets during a change of the members (Raft paper, section 6).
fn voters(stored: Option<&StoredMembership>) -> Vec<Vec<String>> {
    let configs = stored.map_or(&[][..], |stored| &stored.membership.configs);
    let ids = |config: &BTreeSet<NodeId>| config.iter().map(ToString::to_string).collect();
    configs.iter().map(ids).collect()
}
