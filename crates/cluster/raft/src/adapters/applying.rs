//! Applies log entries to the store, in groups.

use std::io;

use futures_util::{Stream, StreamExt};
use openraft::{EntryPayload, OptionalSend, storage::EntryResponder};
use quorate_peer::chain;
use quorate_replica::ChangedPacket;
use quorate_state::{ClusterState, ClusterTime, LogIndex, LogPosition, Outcome};
use quorate_store::{Meta, PacketsMut};

use super::{
    conversions::IntoOurs,
    entry_times::indexes,
    state_machine::StateMachine,
    types::{EncodedCommand, Entry, StoredMembership, TypeConfig},
};

/// The most entries that are applied in one transaction.
const APPLY_COUNT_MAX: usize = 256;

/// A transaction is closed at this many bytes of commands: a few milliseconds of work, so that
/// catching up leaves time for everything else on the thread.
const APPLY_SIZE_MAX: usize = 256 * 1024;

impl StateMachine {
    /// Applies entries in groups, each in one transaction.
    pub(super) async fn apply_all<S>(&self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut group = EntryGroup::default();
        while let Some(item) = entries.next().await {
            group.push(item?);
            if group.is_full() {
                self.apply_group(std::mem::take(&mut group))?;
                tokio::task::yield_now().await;
            }
        }
        match group.entries.is_empty() {
            true => Ok(()),
            false => self.apply_group(group),
        }
    }

    /// Applies a group and answers the callers that wait for its entries. Fails at an entry that
    /// needs a newer version of this program; those before it are applied.
    fn apply_group(&self, group: EntryGroup) -> io::Result<()> {
        let (entries, responders): (Vec<_>, Vec<_>) = group.entries.into_iter().unzip();
        if self.in_order {
            check_order(self.applied.borrow().applied, &entries)?;
        }
        let indexes = indexes(&entries, |entry| entry.log_id.index());
        (self.entry_times).set(indexes.clone(), |times| &mut times.committed);
        let mut changes = Vec::new();
        let (meta, outcomes) = self.store.transact(|packets, meta| {
            let outcomes = entries.into_iter().map(|entry| {
                let index = LogIndex(entry.log_id.index());
                let outcome = self.apply_entry(packets, meta, entry);
                let changed = packets.take_changed().into_iter();
                changes.extend(changed.map(|(key, kind)| ChangedPacket { index, key, kind }));
                outcome
            });
            outcomes.collect::<io::Result<Vec<_>>>()
        });
        // Published before any caller knows that the entries are applied and asks for the changes.
        self.feed.publish(&changes, meta.applied_index());
        self.publish(meta);
        self.entry_times.set(indexes, |times| &mut times.applied);
        for (responder, outcome) in responders.into_iter().zip(outcomes?) {
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    fn apply_entry(
        &self,
        packets: &mut PacketsMut<'_>,
        meta: &mut Meta,
        entry: Entry,
    ) -> io::Result<Option<Outcome>> {
        let position = entry.log_id.into_ours();
        let outcome = match entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(command) => {
                Some(self.apply_command(packets, &mut meta.cluster, position, command)?)
            }
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership);
                meta.membership = stored.into_ours().encode();
                None
            }
        };
        meta.applied = Some(position);
        Ok(outcome)
    }

    fn apply_command(
        &self,
        packets: &mut PacketsMut<'_>,
        cluster: &mut ClusterState,
        LogPosition { index, .. }: LogPosition,
        command: EncodedCommand,
    ) -> io::Result<Outcome> {
        let before = agreed(cluster);
        let (zones_before, secrets_before) = (cluster.zones.clone(), cluster.secrets.clone());
        let publishing_before = cluster.publishing.clone();
        let time_before = cluster.time.clone();
        let applied = quorate_state::apply(packets, cluster, self.level_max, index, command.0);
        let outcome = applied.map_err(|error| {
            let text = format!("entry {index} cannot be applied: {error}");
            io::Error::new(io::ErrorKind::Unsupported, text)
        })?;
        log_time_change(index, &time_before, &cluster.time);
        match &outcome {
            Outcome::Put { evicted_count, .. } => {
                self.metrics.evicted_packets_total.inc_by(*evicted_count);
            }
            Outcome::Expired(_) | Outcome::Joined(_) => {}
            Outcome::Deleted { existed } => {
                tracing::info!(%index, existed, "an operator deleted a packet");
            }
            Outcome::Agreed if zones_before != cluster.zones => {
                let records_size = cluster.zones.size();
                tracing::debug!(%index, records_size, "zones have changed");
            }
            Outcome::Agreed if secrets_before != cluster.secrets => {
                let key = cluster.secrets.key.map(tracing::field::display);
                tracing::debug!(%index, key, "secrets have changed");
            }
            Outcome::Agreed if publishing_before != cluster.publishing => {
                let mode = cluster.publishing.mode;
                tracing::info!(%index, ?mode, "who may publish has changed");
            }
            Outcome::Agreed if before == agreed(cluster) => {
                tracing::debug!(%index, "the cluster time, or the data about the nodes, has changed");
            }
            Outcome::Agreed => tracing::info!(
                %index,
                id = cluster.id.map(tracing::field::display),
                waiting_for_voters = cluster.forming,
                level = %cluster.level,
                packets_max = cluster.capacity.map(|capacity| capacity.count_max),
                size_max = cluster.capacity.map(|capacity| capacity.size_max),
                retention_secs = cluster.retention_secs,
                "the id, settings, level or awaited voters of the cluster have changed"
            ),
            Outcome::Rejected(error) => {
                let reason = chain(error);
                tracing::error!(%index, reason, "rejected a log entry");
            }
        }
        Ok(outcome)
    }
}

/// What is logged when it changes.
fn agreed(cluster: &ClusterState) -> impl PartialEq + use<> {
    let ClusterState {
        level,
        capacity,
        retention_secs,
        id,
        forming,
        ..
    } = cluster;
    (*level, *capacity, *retention_secs, *id, *forming)
}

/// Logs steps of the cluster time, and when it is set back.
fn log_time_change(index: LogIndex, before: &ClusterTime, now: &ClusterTime) {
    if now.last_step() != before.last_step()
        && let Some((_, by)) = now.last_step()
    {
        tracing::warn!(
            %index, ?by,
            "time has stepped forward: the cluster was down or without a leader for that long, or the \
             clocks of a majority were changed; packets do not become older because of it"
        );
    }
    if now.is_behind() && !before.is_behind() {
        tracing::warn!(
            %index, ahead = ?now.ahead(),
            "a majority of the clocks agrees on an earlier time than before: if the clocks are wrong, \
             set them right; otherwise time is set back after an eighth of the retention"
        );
    }
    let by = now.set_back_by().saturating_sub(before.set_back_by());
    if !by.is_zero() {
        tracing::warn!(%index, ?by, "time was set back to the time that a majority agrees on");
    }
}

/// Entries to apply in one transaction.
#[derive(Default)]
struct EntryGroup {
    entries: Vec<EntryResponder<TypeConfig>>,
    size: usize,
}

impl EntryGroup {
    fn push(&mut self, item: EntryResponder<TypeConfig>) {
        if let EntryPayload::Normal(command) = &item.0.payload {
            self.size += command.0.len();
        }
        self.entries.push(item);
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= APPLY_COUNT_MAX || self.size >= APPLY_SIZE_MAX
    }
}

/// Fails if entries do not follow each other, from the first on. A missing entry would make this
/// replica differ from the others for ever.
fn check_order(applied: Option<LogPosition>, entries: &[Entry]) -> io::Result<()> {
    let first = applied.map_or(0, |applied| applied.index.next().0);
    for (next, entry) in (first..).zip(entries) {
        let index = entry.log_id.index();
        if index != next {
            let text = format!("entry {index} was read where entry {next} must be applied next");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(())
}
