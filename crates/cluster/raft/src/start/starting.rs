//! A node that is being opened, as fronts see it: it says at which step it is, and serves nothing.
//! Once it is open, it is the node.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_peer::{NodeId, Transport};
use quorate_replica::{
    Changes, ChangesLost, Conditions, IndexedPacket, LinearizeError, Linearizer, NodeClock,
    NodeStatus, NotReady, Observer, PublishState, PutError, PutOutcome, ReadError, ReadState,
    Reader, Role, StateDigest, Watch, Watcher, Writer, ZoneState,
};
use quorate_state::{LogIndex, Term};

use crate::{Node, NodeMetrics, OpenError, RaftConfig};

/// A node that is being opened, and later is.
pub struct StartingNode {
    id: NodeId,
    step: Mutex<NotReady>,
    node: OnceLock<Arc<Node>>,
}

impl StartingNode {
    /// A node that nobody has begun to open.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            step: Mutex::new(NotReady::Opening),
            node: OnceLock::new(),
        }
    }

    /// Opens the node, step by step.
    pub async fn open(
        &self,
        config: RaftConfig,
        transport: Arc<dyn Transport>,
        metrics: NodeMetrics,
    ) -> Result<Arc<Node>, OpenError> {
        let enter = |step| self.enter(step);
        let node = Node::open_by_steps(config, transport, metrics, &enter).await?;
        Ok(self.node.get_or_init(|| node).clone())
    }

    /// Says that the node is at this step.
    pub fn enter(&self, step: NotReady) {
        tracing::info!("{step}");
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// The node, once it is open.
    pub(crate) fn node(&self) -> Option<&Node> {
        self.node.get().map(|node| &**node)
    }

    fn step(&self) -> NotReady {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unreadable(&self) -> ReadError {
        ReadError::NotReady(self.step().to_string())
    }
}

impl Reader for StartingNode {
    fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError> {
        match self.node.get() {
            Some(node) => node.packet(key),
            None => Err(self.unreadable()),
        }
    }

    fn check_ready(&self) -> Result<(), ReadError> {
        match self.node.get() {
            Some(node) => node.check_ready(),
            None => Err(self.unreadable()),
        }
    }

    fn zone_version(&self) -> u64 {
        self.node.get().map_or(0, |node| node.zone_version())
    }

    fn zone_state(&self) -> Arc<ZoneState> {
        let node = self.node.get();
        node.map(|node| node.zone_state()).unwrap_or_default()
    }
}

impl Watcher for StartingNode {
    fn watch(&self, key: &PublicKey) -> Watch {
        match self.node.get() {
            Some(node) => node.watch(key),
            None => stream::empty().boxed(),
        }
    }

    fn changes_since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost> {
        match self.node.get() {
            Some(node) => node.changes_since(since, count_max),
            None => Err(ChangesLost),
        }
    }
}

impl Linearizer for StartingNode {
    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>> {
        match self.node.get() {
            Some(node) => node.linearize(),
            None => Box::pin(async { Err(LinearizeError) }),
        }
    }
}

impl Writer for StartingNode {
    fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
        time_left: Duration,
    ) -> BoxFuture<'_, Result<PutOutcome, PutError>> {
        match self.node.get() {
            Some(node) => node.put(packet, conditions, time_left),
            None => Box::pin(async { Err(PutError::Starting) }),
        }
    }

    fn publishing(&self) -> Arc<PublishState> {
        let node = self.node.get();
        node.map(|node| node.publishing()).unwrap_or_default()
    }
}

impl Observer for StartingNode {
    fn read_state(&self) -> ReadState {
        let node = self.node.get();
        node.map_or(ReadState::NONE, |node| node.read_state())
    }

    fn status(&self) -> NodeStatus {
        match self.node.get() {
            Some(node) => node.status(),
            None => NodeStatus {
                node: self.id.to_string(),
                role: Role::Stopped,
                term: Term(0),
                leader: None,
                last_log_index: LogIndex(0),
                committed_index: LogIndex(0),
                applied_index: LogIndex(0),
                checkpoint_index: LogIndex(0),
                purged_index: LogIndex(0),
                replication_lag: None,
                voters: Vec::new(),
                packet_count: 0,
                packets_size: 0,
                feature_level: 0,
                packet_count_max: None,
                packets_size_max: None,
                store_size: 0,
                clock: NodeClock::default(),
                disk_full: false,
                not_ready: Some(self.step()),
            },
        }
    }

    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>> {
        match self.node.get() {
            Some(node) => node.digest(),
            None => Box::pin(async { Err(self.unreadable()) }),
        }
    }
}
