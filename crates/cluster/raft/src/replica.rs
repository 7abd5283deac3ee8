//! A node as fronts see it.

use std::{
    cmp,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;
use quorate_clock::ClockState;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_peer::chain;
use quorate_replica::{
    Changes, ChangesLost, ClockStatus, Conditions, IndexedPacket, LinearizeError, Linearizer,
    LogIndex, NotReady, Observer, PublishState, PutError, PutOutcome, ReadError, ReadState, Reader,
    StateDigest, Status, Watch, Watcher, Writer, ZoneState,
};
use quorate_state::{EVICTION_AGE_MIN, Level, UnixMillis};
use quorate_store::{Extent, Pace};
use tokio::time::{Instant, timeout};

use crate::{
    Node,
    adapters::{StateMachine, blocking},
    error::BoxError,
};

/// The part of the retention after which a packet that is already stored goes through the log once
/// more, so that the cluster learns that its publisher still lives.
const RENEWALS_PER_RETENTION: u32 = 8;

/// How long a read may wait until it is known to be linearizable.
const LINEARIZE_TIMEOUT: Duration = Duration::from_secs(5);

impl Writer for Node {
    /// A packet that the local replica knows to be older is superseded, unless its conditions are to be
    /// told first. Identical bytes that it stores are acknowledged by its own word, even if another
    /// node accepted a newer packet a moment ago, which this one has not applied yet: that is what keeps
    /// refreshes out of the log.
    fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
        time_left: Duration,
    ) -> BoxFuture<'_, Result<PutOutcome, PutError>> {
        Box::pin(async move {
            if self.is_closing() {
                return Err(PutError::ShuttingDown);
            }
            match self.known_outcome(&packet, &conditions) {
                Some(outcome) => Ok(outcome),
                None if self.write_path.raft.space.is_low() => Err(PutError::DiskFull),
                None if conditions.is_empty() || self.write_path.level() >= Level::PUBLISHING => {
                    self.puts.put(packet, conditions, time_left).await
                }
                None => self.put_checked(packet, conditions, time_left).await,
            }
        })
    }

    fn publishing(&self) -> Arc<PublishState> {
        self.write_path.applied.borrow().cluster.publishing.clone()
    }
}

impl Reader for Node {
    fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError> {
        self.check_ready()?;
        Ok(self.index.packet(key))
    }

    fn check_ready(&self) -> Result<(), ReadError> {
        match self.recovery.serves_reads() {
            true => Ok(()),
            false => Err(ReadError::NotReady(NotReady::Recovering.to_string())),
        }
    }

    fn zone_version(&self) -> u64 {
        self.state_machine.zone_version()
    }

    fn zone_state(&self) -> Arc<ZoneState> {
        self.write_path.applied.borrow().cluster.zones.clone()
    }
}

impl Watcher for Node {
    fn watch(&self, key: &PublicKey) -> Watch {
        self.state_machine.feed().watch(key)
    }

    fn changes_since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost> {
        self.state_machine.feed().changes_since(since, count_max)
    }
}

impl Linearizer for Node {
    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>> {
        Box::pin(async {
            timeout(LINEARIZE_TIMEOUT, self.write_path.linearized())
                .await
                .map_err(|_| LinearizeError)
        })
    }
}

impl Observer for Node {
    fn status(&self) -> Status {
        let view = self.write_path.raft.view();
        let leader = self.write_path.leader.borrow().node.clone();
        let meta = self.write_path.applied.borrow().clone();
        let capacity = meta.cluster.capacity;
        let time = self.exchange.time();
        Status {
            node: self.config.node.to_string(),
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
            store_size: self.store.size(),
            clock: ClockStatus {
                state: time.state,
                offset_ms: time.offset_ms,
            },
            disk_full: self.write_path.raft.space.is_low(),
            not_ready: self.not_ready(),
        }
    }

    fn read_state(&self) -> ReadState {
        ReadState {
            has_leader: self.has_leader.load(Ordering::Relaxed),
            applied_index: self.state_machine.applied_index(),
        }
    }

    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>> {
        let state_machine = self.state_machine.clone();
        Box::pin(async {
            let digest = digest(state_machine).await;
            digest.map_err(|error| ReadError::Failed(chain(&*error)))
        })
    }
}

impl Node {
    /// The outcome of a PUT that the local replica decides: its key may not publish, the packet is stored
    /// already, or a newer one is.
    fn known_outcome(&self, packet: &SignedPacket, conditions: &Conditions) -> Option<PutOutcome> {
        if let Some(refusal) = self.refusal(packet.key()) {
            return Some(refusal);
        }
        if conditions.always_hold() && self.publishing().has_deleted(packet) {
            return Some(PutOutcome::Superseded);
        }
        let indexed = self.index.packet(packet.key())?;
        let stored = indexed.compiled.packet();
        // The same may have been signed twice, which only the log knows to judge by conditions.
        let is_met = conditions.always_hold() || packet == stored;
        match packet.recency(stored) {
            cmp::Ordering::Less if conditions.always_hold() => Some(PutOutcome::Superseded),
            cmp::Ordering::Equal if is_met && self.is_fresh(indexed.received) => {
                Some(PutOutcome::Unchanged)
            }
            _ => None,
        }
    }

    /// Why a key may not publish, as this node has applied it: so that what the log would refuse is not in
    /// it. Who does not know the time leaves to the log when a block ends.
    fn refusal(&self, key: &PublicKey) -> Option<PutOutcome> {
        let publishing = self.publishing();
        if publishing.forbids(key) {
            return Some(PutOutcome::Forbidden);
        }
        let blocked_until = publishing.blocked_until(key)?;
        let reading = self.exchange.time();
        let is_known = reading.state != ClockState::Unknown;
        (is_known && reading.time < blocked_until).then_some(PutOutcome::Blocked)
    }

    /// Stores a packet through a cluster that does not know conditions, once they hold of what was stored
    /// before. A PUT that comes between is judged by timestamps alone.
    async fn put_checked(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
        time_left: Duration,
    ) -> Result<PutOutcome, PutError> {
        let deadline = Instant::now() + time_left;
        let linearized = timeout(time_left, self.linearize()).await;
        if !matches!(linearized, Ok(Ok(()))) {
            return Err(PutError::NoLeader);
        }
        // It may have learned only now that the cluster knows conditions.
        if self.write_path.level() >= Level::PUBLISHING {
            let time_left = deadline.saturating_duration_since(Instant::now());
            return self.puts.put(packet, conditions, time_left).await;
        }
        let indexed = self.index.packet(packet.key());
        let stored = indexed.as_ref().map(|indexed| indexed.compiled.packet());
        if stored != Some(&packet) && !conditions.hold(stored) {
            return Ok(PutOutcome::ConditionFailed);
        }
        let time_left = deadline.saturating_duration_since(Instant::now());
        self.puts
            .put(packet, Conditions::default(), time_left)
            .await
    }

    /// Whether the cluster has received a packet not long ago. Who does not know the time has it
    /// received again.
    fn is_fresh(&self, received: UnixMillis) -> bool {
        let reading = self.exchange.time();
        let age = reading.time.since(received);
        let is_known = reading.state != ClockState::Unknown;
        let renewal_age = self.config.retention() / RENEWALS_PER_RETENTION;
        // Long before it could give way to another as one that nobody publishes any more.
        is_known && age < renewal_age.min(EVICTION_AGE_MIN / 2)
    }
}

/// A digest over a checkpoint of what is applied now.
async fn digest(state_machine: StateMachine) -> Result<StateDigest, BoxError> {
    state_machine
        .checkpoint(Extent::Changes, Pace::Fast)
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
