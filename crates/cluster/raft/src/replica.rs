//! The node as the HTTP and DNS servers use it.

use std::{
    cmp,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream};
use quorate_clock::ClockState;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_peer::chain;
use quorate_replica::{
    BackupStatus, Changes, ChangesLost, Conditions, CookieSecrets, IndexedPacket, LinearizeError,
    LogIndex, NodeClock, NodeStatus, Observer, PublishState, Publishers, PutError, PutOutcome,
    ReadError, ReadState, Reader, Replica, StateDigest, StoredPacket, Watch, ZoneState,
};
use quorate_state::{BackupResult, EVICTION_AGE_MIN, LastBackup, SecretKind, UnixMillis, millis};
use quorate_store::{CheckpointScope, IoSpeed};
use tokio::time::{Instant, timeout};

use crate::{
    Node, Settings,
    adapters::{StateMachine, blocking},
    error::BoxError,
    node::OpenNode,
};

/// A stored packet goes through the log again after this part of the retention, so that the cluster
/// knows that its publisher is still alive.
const RENEWALS_PER_RETENTION: u32 = 8;

/// How long a read may wait until it is confirmed to be linearizable.
const LINEARIZE_TIMEOUT: Duration = Duration::from_secs(5);

impl Reader for Node {
    fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError> {
        Ok(self.readable()?.index.packet(key))
    }

    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, ReadError> {
        let open = self.readable()?;
        let stored = open.context.store.stored_packet(key);
        Ok(stored.map(|stored| open.with_real_time(stored)))
    }

    fn check_ready(&self) -> Result<(), ReadError> {
        self.caught_up().map(drop)
    }

    fn zone_version(&self) -> u64 {
        let open = self.open.get();
        open.map_or(0, |open| open.context.state_machine.zone_version())
    }

    fn zones_changed_after(&self, version: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let open = self.open.wait().await;
            let mut versions = open.context.state_machine.zone_versions();
            // It cannot fail: this node keeps the sender.
            let _ = versions.wait_for(|now| *now > version).await;
        })
    }

    fn zone_state(&self) -> Arc<ZoneState> {
        let open = self.open.get();
        let zones = |open: &OpenNode| open.write_path.applied.borrow().cluster.zones.clone();
        open.map(zones).unwrap_or_default()
    }

    fn cookie_secrets(&self) -> Option<CookieSecrets> {
        let context = &self.open.get()?.context;
        let secret = context.open_secret(SecretKind::DnsCookies).ok()??;
        CookieSecrets::from_bytes(&secret.content)
    }

    fn set_zones_served(&self, version: u64) {
        if let Some(open) = self.open.get() {
            open.context.state_machine.set_served_version(version);
        }
    }
}

impl Observer for Node {
    fn status(&self) -> NodeStatus {
        match self.opened() {
            Ok(open) => open.status(),
            Err(step) => NodeStatus {
                node: self.id.to_string(),
                not_ready: Some(step),
                ..NodeStatus::default()
            },
        }
    }

    fn read_state(&self) -> ReadState {
        let open = self.open.get();
        open.map_or_else(ReadState::default, |open| ReadState {
            has_leader: open.context.has_leader.load(Ordering::Relaxed),
            applied_index: open.context.state_machine.applied_index(),
            set_back: open.context.state_machine.set_back(),
        })
    }

    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>> {
        Box::pin(async {
            let open = self.opened().map_err(ReadError::NotReady)?;
            let digest = digest(&open.context.state_machine).await;
            digest.map_err(|error| ReadError::Failed(chain(&*error)))
        })
    }
}

impl Replica for Node {
    fn known_outcome(&self, packet: &SignedPacket, conditions: &Conditions) -> Option<PutOutcome> {
        let open = self.opened().ok()?;
        match open.put_error() {
            None => open.known_outcome(packet, conditions),
            Some(_) => None,
        }
    }

    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>> {
        Box::pin(async {
            let open = self.opened().map_err(|_| LinearizeError)?;
            let linearized = timeout(LINEARIZE_TIMEOUT, open.write_path.linearized());
            tokio::select! {
                linearized = linearized => linearized.map_err(|_| LinearizeError),
                () = open.stopping_without_leader() => Err(LinearizeError),
            }
        })
    }

    fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
    ) -> BoxFuture<'_, Result<PutOutcome, PutError>> {
        Box::pin(async move {
            let open = self.opened().map_err(PutError::Starting)?;
            open.put(packet, conditions).await
        })
    }

    fn publishing(&self) -> Arc<PublishState> {
        let open = self.open.get();
        open.map(OpenNode::publishing).unwrap_or_default()
    }

    fn publishers(&self) -> Publishers {
        let open = self.open.get();
        Publishers {
            own: self.id,
            live: open
                .map(|open| open.context.publishers())
                .unwrap_or_default(),
        }
    }

    fn set_publishes(&self, publishes: bool) {
        if let Some(open) = self.open.get() {
            open.context.gossip.set_publishes(publishes);
        }
    }

    fn watch(&self, key: &PublicKey) -> Watch {
        match self.open.get() {
            Some(open) => open.context.state_machine.feed.watch(key),
            None => stream::empty().boxed(),
        }
    }

    fn changes_since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost> {
        let open = self.opened().map_err(|_| ChangesLost)?;
        let feed = &open.context.state_machine.feed;
        feed.changes_since(since, count_max)
    }
}

impl OpenNode {
    fn status(&self) -> NodeStatus {
        let context = &self.context;
        let view = context.raft.view();
        let leader = context.leader.borrow().node.clone();
        let meta = self.write_path.applied.borrow().clone();
        let capacity = meta.cluster.capacity;
        let time = context.gossip.time();
        NodeStatus {
            node: context.config.node.to_string(),
            cluster: meta.cluster.id.map(|id| id.to_string()),
            role: view.role,
            term: view.term,
            leader: leader.map(|(id, _)| id.to_string()),
            last_log_index: view.last_log,
            committed_index: view.committed,
            applied_index: meta.applied_index(),
            checkpoint_index: view.checkpoint,
            purged_index: view.purged,
            replication_lag: view.replication_lag(),
            voters: view.voters.iter().map(ToString::to_string).collect(),
            packet_count: meta.packets.usage.count,
            packets_size: meta.packets.usage.size,
            feature_level: meta.cluster.level.0,
            packet_count_max: capacity.map(|capacity| capacity.count_max),
            packets_size_max: capacity.map(|capacity| capacity.size_max),
            backup: backup_status(&meta.cluster.last_backup),
            retention_secs: meta.cluster.retention_secs,
            store_size: context.store.size(),
            clock: NodeClock {
                state: time.state,
                offset_ms: time.offset_ms,
                log_ahead_ms: millis(meta.cluster.time.ahead()),
            },
            disk_full: context.raft.space.is_low(),
            not_ready: self.not_ready(),
        }
    }

    /// The packet for a response: its receive time is real time instead of its stamp.
    pub(crate) fn with_real_time(&self, stored: StoredPacket) -> StoredPacket {
        let time = &self.write_path.applied.borrow().cluster.time;
        StoredPacket {
            received: time.shown(stored.received),
            ..stored
        }
    }

    fn publishing(&self) -> Arc<PublishState> {
        self.write_path.applied.borrow().cluster.publishing.clone()
    }

    /// Stores a packet, or answers from the local replica. A packet that is older than the stored
    /// one is superseded, unless its conditions must be checked first. Identical bytes are
    /// acknowledged locally while the node has all that was committed a second ago: this keeps
    /// refreshes out of the log. In all other cases the leader answers.
    async fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
    ) -> Result<PutOutcome, PutError> {
        if let Some(error) = self.put_error() {
            return Err(error);
        }
        if let Some(outcome) = self.known_outcome(&packet, &conditions) {
            return Ok(outcome);
        }
        let Settings { put, .. } = &self.context.config.settings;
        let deadline = Instant::now() + Duration::from_millis(put.deadline_ms);
        self.write_queue.put(packet, conditions, deadline).await
    }

    /// Why this node takes no PUT at all.
    fn put_error(&self) -> Option<PutError> {
        if self.is_closing() {
            return Some(PutError::ShuttingDown);
        }
        if self.context.is_removed() {
            return Some(PutError::NoLeader);
        }
        self.forming().map(PutError::Starting)
    }

    /// The outcome of a PUT that the local replica can decide: its key may not publish, the packet
    /// is already stored, or a newer one is.
    fn known_outcome(&self, packet: &SignedPacket, conditions: &Conditions) -> Option<PutOutcome> {
        let publishing = self.publishing();
        let now = || self.known_time();
        let rejection = publishing.rejection(packet.key(), conditions.token(), now);
        if rejection.is_some() {
            return rejection;
        }
        if conditions.always_hold() && publishing.has_deleted(packet) {
            return Some(PutOutcome::Superseded);
        }
        // Read before the packet is looked up: what is applied in between counts as not applied.
        let applied = self.context.state_machine.applied_index();
        let indexed = self.index.packet(packet.key())?;
        let stored = indexed.compiled.packet();
        // The same packet may have been signed twice. Only the log can check the conditions then.
        let is_met = conditions.always_hold() || packet == stored;
        match packet.recency(stored) {
            // Whatever else was stored since, an older packet is not stored.
            cmp::Ordering::Less if conditions.hold(Some(stored)) => Some(PutOutcome::Superseded),
            cmp::Ordering::Less => Some(PutOutcome::ConditionFailed),
            cmp::Ordering::Equal
                if is_met && self.is_fresh(indexed.received) && self.is_current(applied) =>
            {
                Some(PutOutcome::Unchanged)
            }
            _ => None,
        }
    }

    /// Whether the cluster has received a packet recently. A node that does not know the time
    /// answers no, so that the packet is received again.
    fn is_fresh(&self, received: UnixMillis) -> bool {
        let now = self.known_time();
        let applied = self.write_path.applied.borrow();
        let renewal_age = self.context.retention(&applied.cluster) / RENEWALS_PER_RETENTION;
        // Much shorter than the age at which an abandoned packet may be evicted.
        let age_max = renewal_age.min(EVICTION_AGE_MIN / 2);
        let now = now.and_then(|now| applied.cluster.time.stamp_at(now));
        now.is_some_and(|now| now.since(received) < age_max)
    }

    fn is_current(&self, applied: LogIndex) -> bool {
        self.context.gossip.is_current(applied)
    }

    /// The time of the cluster. `None` if this node does not know it: then the log decides when a
    /// block ends.
    fn known_time(&self) -> Option<UnixMillis> {
        let reading = self.context.gossip.time();
        (reading.state != ClockState::Unknown).then_some(reading.time)
    }
}

fn backup_status(last: &LastBackup) -> Option<BackupStatus> {
    let mut status = BackupStatus {
        failure_count: last.failure_count,
        ..BackupStatus::default()
    };
    for record in [&last.saved, &last.failed].into_iter().flatten() {
        match &record.result {
            BackupResult::Saved(saved) => {
                status.saved_ms = Some(record.at.0);
                status.name.clone_from(&saved.name);
                status.size = saved.size;
                status.packet_count = saved.packet_count;
                status.duration_ms = saved.duration_ms;
            }
            BackupResult::Failed(error) => {
                status.failed_ms = Some(record.at.0);
                status.error.clone_from(error);
            }
        }
    }
    (*last != LastBackup::default()).then_some(status)
}

/// A digest over a new checkpoint of what is applied now.
async fn digest(state_machine: &StateMachine) -> Result<StateDigest, BoxError> {
    state_machine
        .checkpoint(CheckpointScope::Changes, IoSpeed::Fast)
        .await?;
    let snapshot = state_machine.snapshot()?;
    let read = blocking(move || Ok((snapshot.digest()?, snapshot.meta().clone()))).await;
    let (sha256, meta) = read.inspect_err(|error| state_machine.on_failed_read(error))?;
    Ok(StateDigest {
        applied_index: meta.applied_index(),
        packet_count: meta.packets.usage.count,
        sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
