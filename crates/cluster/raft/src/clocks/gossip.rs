//! What nodes report about themselves in the metadata of messages that they send anyway.

use std::{
    collections::HashMap,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use quorate_clock::{ClockState, ClusterClock, Reading, Sample, Stamp, Start};
use quorate_peer::{FrameMetadata, NodeId, NotElectable, lock};
use quorate_state::{Level, LogIndex, UnixMillis, millis};
use tokio::{sync::watch, time::Instant};

use crate::{RaftConfig, clocks::commit_freshness::CommitFreshness, clocks::wall_clock::WallClock};

/// What this node reports about itself, and what it has received from its peers: above all their
/// clocks.
pub(crate) struct PeerGossip {
    node: NodeId,
    /// The start of its monotonic time.
    epoch: Instant,
    /// Its monotonic stamp at `epoch`: the time of its wall clock then. So the node recognizes an
    /// echo of a stamp from before a restart. No stamp is zero, because zero means "none".
    first_stamp_ms: u64,
    level: Level,
    level_hold: bool,
    publishes: AtomicBool,
    /// If this node leads: the live members that publish in the DHT, as bits.
    publishers: AtomicU64,
    wall_clock: WallClock,
    not_electable: watch::Sender<NotElectable>,
    checkpoint: AtomicU64,
    /// Returns the entry as of which DNS serves the zones.
    zones_served: OnceLock<Box<dyn Fn() -> LogIndex + Send + Sync>>,
    /// If this node leads: when a quorum last acknowledged it, as of the last check, and what was
    /// committed.
    quorum_ack: Mutex<Option<(Instant, LogIndex)>>,
    /// The leader, whose reports of what is committed count.
    leader: Mutex<Option<NodeId>>,
    commit_freshness: Mutex<CommitFreshness>,
    /// Has members only, so it does not grow.
    received: Mutex<HashMap<NodeId, ReceivedMetadata>>,
    clock: Mutex<ClusterClock<NodeId>>,
}

/// The last metadata that was received from a peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceivedMetadata {
    pub(crate) metadata: FrameMetadata,
    pub(crate) at: Instant,
}

impl PeerGossip {
    pub(crate) fn new(config: &RaftConfig) -> Self {
        Self {
            node: config.node,
            epoch: Instant::now(),
            first_stamp_ms: config.wall_clock.now().0.max(1),
            level: config.level_max,
            level_hold: config.level_hold,
            publishes: AtomicBool::new(false),
            publishers: AtomicU64::new(0),
            wall_clock: config.wall_clock.clone(),
            not_electable: watch::Sender::default(),
            checkpoint: AtomicU64::new(0),
            zones_served: OnceLock::new(),
            quorum_ack: Mutex::default(),
            leader: Mutex::default(),
            commit_freshness: Mutex::default(),
            received: Mutex::default(),
            clock: Mutex::new(ClusterClock::new(config.node, config.clock())),
        }
    }

    /// The metadata of a message that is sent to `peer` now.
    pub(crate) fn metadata(&self, peer: NodeId) -> FrameMetadata {
        let echo_ms = self
            .last_received(peer)
            .map_or(0, |received| received.metadata.monotonic_ms);
        let agreed = self.time().first_hand;
        let quorum_ack = *lock(&self.quorum_ack);
        FrameMetadata {
            clock_ms: self.wall_clock.now().0,
            monotonic_ms: self.first_stamp_ms.saturating_add(millis(self.now())),
            echo_ms,
            quorum_ack_age_ms: quorum_ack.map_or(0, |(at, _)| millis(at.elapsed()) + 1),
            level: self.level.0,
            not_electable: *self.not_electable.borrow(),
            agreed_ms: agreed.map_or(0, |agreed| agreed.0),
            checkpoint: self.checkpoint.load(Ordering::Relaxed),
            committed: quorum_ack.map_or(0, |(_, committed)| committed.0),
            level_hold: self.level_hold,
            publishes: self.publishes.load(Ordering::Relaxed),
            publishers: quorum_ack.map_or(0, |_| self.publishers.load(Ordering::Relaxed)),
            zones_served: self.own_zones_served().0,
        }
    }

    /// Records the metadata of a request from `peer`.
    pub(crate) fn on_request(&self, peer: NodeId, metadata: FrameMetadata) {
        self.record(peer, self.echoed_time(metadata), metadata);
    }

    /// Records the metadata of the response to a request that was sent to `peer` at `sent`.
    pub(crate) fn on_response(&self, peer: NodeId, sent: Instant, metadata: FrameMetadata) {
        let sent = sent.saturating_duration_since(self.epoch);
        self.record(peer, Some(sent).max(self.echoed_time(metadata)), metadata);
    }

    /// The highest feature level that `node`, this one or a peer, supports, if that is known.
    pub(crate) fn level(&self, node: NodeId) -> Option<Level> {
        match node == self.node {
            true => Some(self.level),
            false => match self.last_received(node)?.metadata.level {
                0 => None,
                level => Some(Level(level)),
            },
        }
    }

    /// Whether `node`, this one or a peer, last reported that it does not want a higher level yet.
    pub(crate) fn holds_level(&self, node: NodeId) -> bool {
        match node == self.node {
            true => self.level_hold,
            false => self
                .last_received(node)
                .is_some_and(|received| received.metadata.level_hold),
        }
    }

    /// Whether `node`, this one or a peer that was heard from within this time, publishes in the DHT.
    pub(crate) fn publishes(&self, node: NodeId, silence_max: Duration) -> bool {
        match node == self.node {
            true => self.publishes.load(Ordering::Relaxed),
            false => self.last_received(node).is_some_and(|received| {
                received.metadata.publishes && received.at.elapsed() <= silence_max
            }),
        }
    }

    /// Sets whether this node can publish in the DHT.
    pub(crate) fn set_publishes(&self, publishes: bool) {
        self.publishes.store(publishes, Ordering::Relaxed);
    }

    /// Sets which live members publish in the DHT, for the messages of a leader.
    pub(crate) fn set_publishers(&self, bits: u64) {
        self.publishers.store(bits, Ordering::Relaxed);
    }

    /// Which live members publish in the DHT, as the leader last reported; none if it is unknown.
    pub(crate) fn publishers(&self) -> u64 {
        let leader = *lock(&self.leader);
        match leader {
            None => 0,
            Some(leader) if leader == self.node => self.publishers.load(Ordering::Relaxed),
            Some(leader) => self
                .last_received(leader)
                .map_or(0, |received| received.metadata.publishers),
        }
    }

    /// Sets the last entry of this node's checkpoint.
    pub(crate) fn set_checkpoint(&self, index: LogIndex) {
        self.checkpoint.store(index.0, Ordering::Relaxed);
    }

    /// The last entry of the checkpoint of `node`, this one or a peer; 0 if none is known.
    pub(crate) fn checkpoint(&self, node: NodeId) -> LogIndex {
        LogIndex(match node == self.node {
            true => self.checkpoint.load(Ordering::Relaxed),
            false => self
                .last_received(node)
                .map_or(0, |received| received.metadata.checkpoint),
        })
    }

    /// From now on reports as of which entry DNS serves the zones.
    pub(crate) fn report_zones(&self, served: impl Fn() -> LogIndex + Send + Sync + 'static) {
        // A node is opened once.
        let _ = self.zones_served.set(Box::new(served));
    }

    fn own_zones_served(&self) -> LogIndex {
        self.zones_served
            .get()
            .map_or(LogIndex(0), |served| served())
    }

    /// The entry as of which DNS of `node`, this one or a peer, serves the zones. `None` if the peer has not been
    /// heard from within this time.
    pub(crate) fn zones_served(&self, node: NodeId, silence_max: Duration) -> Option<LogIndex> {
        if node == self.node {
            return Some(self.own_zones_served());
        }
        let received = self.last_received(node)?;
        let served = LogIndex(received.metadata.zones_served);
        (received.at.elapsed() < silence_max).then_some(served)
    }

    /// Forgets what was received from all peers but these.
    pub(crate) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        lock(&self.received).retain(|peer, _| keep(*peer));
    }

    /// The last metadata of `peer`, if any was received.
    pub(crate) fn last_received(&self, peer: NodeId) -> Option<ReceivedMetadata> {
        lock(&self.received).get(&peer).copied()
    }

    /// When a quorum last acknowledged this leader, by its last message. `None` if it does not lead,
    /// or does not know yet what is committed.
    pub(crate) fn quorum_acknowledged(&self, leader: NodeId) -> Option<Instant> {
        let received = self.last_received(leader)?;
        let age_ms = received.metadata.quorum_ack_age_ms.checked_sub(1)?;
        received.at.checked_sub(Duration::from_millis(age_ms))
    }

    /// When this node started to receive from others.
    pub(crate) fn started_at(&self) -> Instant {
        self.epoch
    }

    /// Sets or clears these reasons not to lead.
    pub(crate) fn set_not_electable(&self, reasons: NotElectable, hold: bool) {
        self.not_electable.send_if_modified(|not_electable| {
            let now = not_electable.with(reasons, hold);
            std::mem::replace(not_electable, now) != now
        });
    }

    /// Why this node should not lead, now and later.
    pub(crate) fn not_electable(&self) -> watch::Receiver<NotElectable> {
        self.not_electable.subscribe()
    }

    /// Why `node`, this one or a peer, should not lead. `None` if the peer has not been heard from
    /// within this time.
    pub(crate) fn not_electable_of(
        &self,
        node: NodeId,
        silence_max: Duration,
    ) -> Option<NotElectable> {
        match node == self.node {
            true => Some(*self.not_electable.borrow()),
            false => {
                let received = self.last_received(node)?;
                (received.at.elapsed() < silence_max).then_some(received.metadata.not_electable)
            }
        }
    }

    /// The cluster time.
    pub(crate) fn time(&self) -> Reading {
        let reading = lock(&self.clock).read(self.now(), self.wall_clock.now());
        self.set_not_electable(NotElectable::CLOCK, reading.state == ClockState::Disagrees);
        reading
    }

    /// Sets who leads. If this node does, also sets when a quorum last acknowledged it, and up to
    /// which entry the log was committed then. A time earlier than the true one does no harm.
    pub(crate) fn set_leader(&self, leader: Option<NodeId>, acked: Option<(Instant, LogIndex)>) {
        *lock(&self.leader) = leader;
        *lock(&self.quorum_ack) = acked;
        if let Some((at, committed)) = acked {
            lock(&self.commit_freshness).record(at, committed);
        }
    }

    /// Whether a node that has applied up to `applied` has all that was committed a second ago: by
    /// the reports of leaders, or by its own knowledge as the leader.
    pub(crate) fn is_current(&self, applied: LogIndex) -> bool {
        lock(&self.commit_freshness).is_fresh(applied, Instant::now())
    }

    /// The stamp for a command. `None` while a majority disagrees with the clock of this node.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let stamp = lock(&self.clock).stamp(self.now(), self.wall_clock.now());
        self.set_not_electable(NotElectable::CLOCK, stamp.is_none());
        stamp
    }

    /// Sets the last time in the log. Must be called before the node takes part in the cluster.
    pub(crate) fn set_start(&self, last_in_log: Option<UnixMillis>) {
        let at = self.now();
        lock(&self.clock).set_start(Start { at, last_in_log });
    }

    /// Sets how long packets are kept.
    pub(crate) fn set_retention(&self, retention: Duration) {
        lock(&self.clock).set_retention(retention);
    }

    pub(crate) fn set_voters(&self, voters: impl IntoIterator<Item = NodeId>) {
        lock(&self.clock).set_voters(voters);
    }

    /// Whether this node is a cluster by itself.
    pub(crate) fn is_alone(&self) -> bool {
        lock(&self.clock).is_alone()
    }

    /// The known clocks of the voters, as text for the log.
    pub(crate) fn clocks(&self) -> String {
        let wall = self.wall_clock.now();
        let differences = lock(&self.clock).differences_ms(self.now(), wall);
        let differences = differences.into_iter();
        let clocks: Vec<_> = differences
            .map(|(peer, ms)| format!("{peer} {ms:+} ms"))
            .collect();
        match clocks.is_empty() {
            true => "no other clock is known".to_owned(),
            false => clocks.join(", "),
        }
    }

    /// Records metadata that was written after `sent`, if that is known.
    fn record(&self, peer: NodeId, sent: Option<Duration>, metadata: FrameMetadata) {
        let at = Instant::now();
        lock(&self.received).insert(peer, ReceivedMetadata { metadata, at });
        let Some(sent) = sent else { return };
        let received = at.saturating_duration_since(self.epoch);
        // The peer wrote it after it had received the stamp that it echoes. So the quorum
        // acknowledged the leader at that time minus the reported age, or later.
        if let Some(age_ms) = metadata.quorum_ack_age_ms.checked_sub(1)
            && *lock(&self.leader) == Some(peer)
            // An echo of a stamp from before a restart proves nothing about now.
            && sent <= received
            && let Some(acked) = sent.checked_sub(Duration::from_millis(age_ms))
        {
            lock(&self.commit_freshness).record(self.epoch + acked, LogIndex(metadata.committed));
        }
        let sample = |clock_ms| match clock_ms {
            0 => None,
            clock_ms => Sample::new(UnixMillis(clock_ms), sent, received),
        };
        let mut clock = lock(&self.clock);
        if let Some(sample) = sample(metadata.clock_ms) {
            clock.record(peer, sample);
        }
        if let Some(sample) = sample(metadata.agreed_ms) {
            clock.record_agreed(peer, sample);
        }
    }

    /// The time whose stamp `metadata` echoes, if this process stamped it.
    fn echoed_time(&self, metadata: FrameMetadata) -> Option<Duration> {
        let since_epoch_ms = metadata.echo_ms.checked_sub(self.first_stamp_ms)?;
        Some(Duration::from_millis(since_epoch_ms))
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

#[cfg(test)]
#[path = "gossip_tests.rs"]
mod tests;
