//! A node: Raft, log and store put together.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use openraft::{
    BasicNode, Instant, ServerState,
    async_runtime::WatchReceiver,
    errors::{InitializeError, RaftError},
};
use quorate_log::{Log, LogError};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{
    LinearizeError, Linearizer, NotReady, Observer, PutError, PutOutcome, ReadError, Reader, Role,
    StateDigest, Status, StoredPacket, Writer,
};
use quorate_state::{LogIndex, Term, UnixMillis};
use quorate_store::{Store, StoreError};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use quorate_rpc::{
    NodeId, Service, Transport,
    message::{Request, Response},
};

use crate::{
    Config, Metrics,
    forward::Forwarder,
    leadership::{Contact, Leader, follow_raft},
    log_storage::LogStorage,
    network::Networks,
    proposer::{Proposer, now},
    puts::{Puts, Way},
    service::PeerService,
    state_machine::{Applied, StateMachine},
    types::{self, TypeConfig},
    upkeep,
};

pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// The part of the retention after which a packet that is already stored goes through the log once
/// more, so that the cluster learns that its publisher still lives.
const RENEWALS_PER_RETENTION: u32 = 8;

/// How long to look for a successor when a leader stops.
const HANDOVER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a read may wait until it is known to be linearizable.
const LINEARIZE_TIMEOUT: Duration = Duration::from_secs(5);

/// The three metrics a node is made with.
#[derive(Clone)]
pub struct NodeMetrics {
    /// Of consensus.
    pub raft: Metrics,
    /// Of the log.
    pub log: quorate_log::Metrics,
    /// Of the store.
    pub store: quorate_store::Metrics,
}

/// A running node.
pub struct Node {
    config: Config,
    raft: Raft,
    store: Arc<Store>,
    state_machine: StateMachine,
    proposer: Arc<Proposer>,
    forwarder: Arc<Forwarder>,
    puts: Puts,
    leader: watch::Receiver<Leader>,
    failure: watch::Receiver<Option<FatalError>>,
    applied: watch::Receiver<Applied>,
    service: Arc<PeerService>,
    recovered: Arc<AtomicBool>,
    closing: AtomicBool,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Node {
    /// Opens log and store, applies what was committed, and forms the cluster with the other
    /// founding voters if the log is empty.
    pub async fn open(
        config: Config,
        transport: Arc<dyn Transport>,
        metrics: NodeMetrics,
    ) -> Result<Arc<Self>, OpenError> {
        let (log, store) = open_files(&config, &metrics).await?;
        let state_machine = StateMachine::new(store.clone(), log.clone())?;
        let raft = Raft::new(
            config.node,
            Arc::new(
                config
                    .openraft()
                    .map_err(|e| OpenError::Config(e.to_string()))?,
            ),
            Networks::new(transport.clone()),
            LogStorage::new(log.clone()),
            state_machine.clone(),
        )
        .await
        .map_err(|e| OpenError::Raft(e.to_string()))?;
        // What openraft has just applied anew it takes for a snapshot, up to which it may purge: it
        // has to be one.
        if state_machine.applied().borrow().position.is_some() {
            let checkpoint = state_machine.checkpoint().await;
            checkpoint.map_err(|error| OpenError::Raft(chain(&error)))?;
        }
        form_cluster(&raft, &config).await?;

        let mut tasks = JoinSet::new();
        let contact = Contact::default();
        let (leader, failure) = follow_raft(&raft, &config, contact.clone(), &mut tasks);
        let applied = state_machine.applied();
        let proposer = Arc::new(Proposer::new(raft.clone()));
        let forwarder = Arc::new(Forwarder::new(transport));
        let way = Way {
            node: config.node,
            proposer: proposer.clone(),
            forwarder: forwarder.clone(),
            leader: leader.clone(),
            applied: applied.clone(),
            metrics: metrics.raft.clone(),
        };
        let service = Arc::new(PeerService {
            raft: raft.clone(),
            proposer: proposer.clone(),
            store: store.clone(),
            receiving: Arc::default(),
            contact,
        });
        tasks.spawn(upkeep::keep_log_short(raft.clone(), log, config.clone()));
        tasks.spawn(upkeep::expire_packets(
            proposer.clone(),
            store.clone(),
            config.clone(),
            metrics.raft,
        ));
        let recovered = watch_recovery(&raft, &mut tasks);
        Ok(Arc::new(Self {
            puts: Puts::spawn(way, config.put_deadline),
            config,
            raft,
            store,
            state_machine,
            proposer,
            forwarder,
            leader,
            failure,
            applied,
            service,
            recovered,
            closing: AtomicBool::new(false),
            tasks: tokio::sync::Mutex::new(tasks),
        }))
    }

    /// What the transport hands incoming links to.
    pub fn service(&self) -> Arc<dyn Service> {
        self.service.clone()
    }

    /// Resolves when replication has stopped by itself: the log or the store failed. The process
    /// must exit then, without another write.
    pub async fn failed(&self) -> FatalError {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => error.clone(),
            // Nobody is left to say it: the node is being shut down.
            _ => std::future::pending().await,
        }
    }

    /// Resolves when a leader is known and what this node had before it stopped is applied.
    pub async fn ready(&self) {
        let mut leader = self.leader.clone();
        while self.not_ready().is_some() {
            let _ = timeout(self.config.heartbeat, leader.changed()).await;
        }
    }

    /// Takes no more PUTs and says so, while those under way go on.
    pub fn begin_shutdown(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Stops: takes no more PUTs, hands leadership to another voter if it leads, makes a checkpoint
    /// so that the next start is quick.
    pub async fn shutdown(&self) {
        self.begin_shutdown();
        self.hand_over().await;
        self.tasks.lock().await.shutdown().await;
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "replication did not stop cleanly");
        }
        if self.applied.borrow().position.is_some()
            && let Err(error) = self.state_machine.checkpoint().await
        {
            tracing::error!(%error, "no checkpoint could be made; the next start reads the log");
        }
    }

    /// Hands leadership to the follower that has most of the log, if this node leads and one lives.
    async fn hand_over(&self) {
        let Some(heir) = self.heir() else { return };
        tracing::info!(%heir, "handing over leadership");
        // An error means that Raft has stopped, and with it the leadership.
        let _ = self.raft.trigger().transfer_leader(heir).await;
        let own = self.config.node;
        let mut leader = self.leader.clone();
        // Nobody leads either when the heir was the last other voter, and has gone too.
        let handed_over =
            leader.wait_for(|now| now.node.as_ref().is_none_or(|(node, _)| *node != own));
        if timeout(HANDOVER_TIMEOUT, handed_over).await.is_err() {
            tracing::warn!(%heir, "leadership was not taken over in time; an election will follow");
        }
    }

    fn heir(&self) -> Option<NodeId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let heard = |id: &NodeId| {
            let acked = metrics.heartbeat.as_ref()?.get(id)?.as_ref()?;
            Some(acked.elapsed() < self.config.election_timeout_min)
        };
        let followers = metrics.replication.iter().flatten();
        followers
            .filter(|(id, _)| **id != self.config.node && heard(id) == Some(true))
            .max_by_key(|(_, matching)| matching.as_ref().map(|id| id.index()))
            .map(|(id, _)| *id)
    }

    fn not_ready(&self) -> Option<NotReady> {
        if self.closing.load(Ordering::Acquire) {
            Some(NotReady::ShuttingDown)
        } else if self.failure.borrow().is_some() {
            Some(NotReady::Failed)
        } else if self.leader.borrow().node.is_none() {
            Some(NotReady::NoLeader)
        } else if !self.recovered.load(Ordering::Acquire) {
            Some(NotReady::Recovering)
        } else {
            None
        }
    }

    /// The outcome of a PUT that the local replica decides: the packet is stored already, or a
    /// newer one is.
    fn known_outcome(&self, packet: &SignedPacket) -> Option<PutOutcome> {
        let stored = self.store.stored_packet(packet.key()).ok()??;
        match packet.recency(&stored.packet) {
            std::cmp::Ordering::Less => Some(PutOutcome::Superseded),
            std::cmp::Ordering::Equal if self.is_fresh(stored.received) => {
                Some(PutOutcome::Unchanged)
            }
            _ => None,
        }
    }

    fn is_fresh(&self, received: UnixMillis) -> bool {
        now().since(received) < self.config.retention / RENEWALS_PER_RETENTION
    }

    async fn read_index(&self) -> Option<LogIndex> {
        let leader = self.leader.borrow().node.clone();
        let (leader, address) = leader?;
        if leader == self.config.node {
            return self.proposer.read_index().await;
        }
        match self
            .forwarder
            .call(leader, &address, Request::ReadIndex)
            .await
        {
            Ok(Response::ReadIndex(index)) => index,
            _ => None,
        }
    }

    async fn linearized(&self) {
        let mut leader = self.leader.clone();
        let index = loop {
            if let Some(index) = self.read_index().await {
                break index;
            }
            let _ = timeout(self.config.heartbeat, leader.changed()).await;
        };
        let _ = self
            .applied
            .clone()
            .wait_for(|applied| applied.index() >= index)
            .await;
    }
}

impl Writer for Node {
    fn put(&self, packet: SignedPacket) -> BoxFuture<'_, Result<PutOutcome, PutError>> {
        Box::pin(async move {
            if self.closing.load(Ordering::Acquire) {
                return Err(PutError::ShuttingDown);
            }
            match self.known_outcome(&packet) {
                Some(outcome) => Ok(outcome),
                None => self.puts.put(packet).await,
            }
        })
    }
}

impl Reader for Node {
    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, ReadError> {
        self.store
            .stored_packet(key)
            .map_err(|error| ReadError(chain(&error)))
    }
}

impl Linearizer for Node {
    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>> {
        Box::pin(async {
            timeout(LINEARIZE_TIMEOUT, self.linearized())
                .await
                .map_err(|_| LinearizeError)
        })
    }
}

impl Observer for Node {
    fn status(&self) -> Status {
        // First, for it borrows the metrics too: borrowing them twice deadlocks with their writer.
        let not_ready = self.not_ready();
        let leader = self
            .leader
            .borrow()
            .node
            .as_ref()
            .map(|(id, _)| id.to_string());
        let applied = self.applied.borrow().clone();
        let store_size = self.store.size();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: &Option<types::LogId>| LogIndex(id.as_ref().map_or(0, |id| id.index()));
        Status {
            node: self.config.node.to_string(),
            role: role(metrics.state),
            term: Term(metrics.current_term),
            leader,
            last_log_index: LogIndex(metrics.last_log_index.unwrap_or(0)),
            committed_index: index(&metrics.local_committed),
            applied_index: applied.index(),
            checkpoint_index: index(&metrics.snapshot),
            purged_index: index(&metrics.purged),
            replication_lag: replication_lag(&metrics),
            voters: metrics
                .membership_config
                .voter_ids()
                .map(|id| id.to_string())
                .collect(),
            packet_count: applied.packet_count,
            store_size,
            not_ready,
        }
    }

    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>> {
        let store = self.store.clone();
        Box::pin(async move {
            let digest = tokio::task::spawn_blocking(move || digest(&store)).await;
            let digest = digest.map_err(|error| ReadError(error.to_string()))?;
            digest.map_err(|error| ReadError(chain(&error)))
        })
    }
}

fn digest(store: &Store) -> Result<StateDigest, StoreError> {
    use std::fmt::Write;

    let snapshot = store.snapshot()?;
    let mut sha256 = String::new();
    for byte in snapshot.digest()? {
        write!(sha256, "{byte:02x}").expect("a String takes every write");
    }
    let meta = snapshot.meta();
    Ok(StateDigest {
        applied_index: meta.applied.map_or(LogIndex(0), |position| position.index),
        packet_count: meta.packet_count,
        sha256,
    })
}

/// Opens log and store beside the runtime's threads: reading a long log takes seconds.
async fn open_files(
    config: &Config,
    metrics: &NodeMetrics,
) -> Result<(Arc<Log>, Arc<Store>), OpenError> {
    let log_config = quorate_log::Config::new(config.dir.join("log"));
    let store_config = quorate_store::Config {
        path: config.dir.join("records.redb"),
        cache_size: config.store_cache_size,
    };
    let metrics = metrics.clone();
    let (dir, has_joined) = (config.dir.clone(), config.has_joined);
    let opened = tokio::task::spawn_blocking(move || {
        let log = Log::open(log_config, metrics.log)?;
        if has_joined && log.state() == quorate_log::State::default() {
            return Err(OpenError::Forgotten(dir));
        }
        let store = Store::open(store_config, metrics.store)?;
        Ok((Arc::new(log), Arc::new(store)))
    });
    opened.await.map_err(|e| OpenError::Raft(e.to_string()))?
}

/// Every founding voter does this with the same members, so their first entries are equal.
async fn form_cluster(raft: &Raft, config: &Config) -> Result<(), OpenError> {
    let members: BTreeMap<_, _> = config
        .voters
        .iter()
        .map(|(id, addr)| (*id, BasicNode { addr: addr.clone() }))
        .collect();
    match raft.initialize(members).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(OpenError::Raft(error.to_string())),
    }
}

/// Notes when everything that this node had in its log is known to be committed, and applied.
fn watch_recovery(raft: &Raft, tasks: &mut JoinSet<()>) -> Arc<AtomicBool> {
    let recovered = Arc::new(AtomicBool::new(false));
    let (raft, flag) = (raft.clone(), recovered.clone());
    tasks.spawn(async move {
        if raft.wait_for_recovery(None).await.is_ok() {
            flag.store(true, Ordering::Release);
        }
    });
    recovered
}

/// How many entries the voter furthest behind lacks, as the leader knows it.
fn replication_lag(metrics: &openraft::RaftMetrics<TypeConfig>) -> Option<u64> {
    let last = metrics.last_log_index?;
    let replication = metrics.replication.as_ref()?;
    let matching = |id: &NodeId| replication.get(id)?.as_ref().map(|id| id.index());
    let voters = metrics.membership_config.voter_ids();
    let others = voters.filter(|id| *id != metrics.id);
    others
        .map(|id| last.saturating_sub(matching(&id).unwrap_or(0)))
        .max()
}

fn role(state: ServerState) -> Role {
    match state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    }
}

/// An error with its sources, for those who get only text.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Why a node cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be opened.
    #[error("the node cannot open its log")]
    Log(#[from] LogError),
    /// The store cannot be opened.
    #[error("the node cannot open its store")]
    Store(#[from] StoreError),
    /// The node was a voter and has lost its votes. With its help a leader could be elected that
    /// lacks what this node once acknowledged.
    #[error(
        "{} has lost its Raft log: the node has forgotten what it promised and must not vote under \
         its old identity. Restore the directory as a whole, or empty it and join as a new node",
        .0.display()
    )]
    Forgotten(PathBuf),
    /// The settings contradict each other.
    #[error("the settings of Raft contradict each other: {0}")]
    Config(String),
    /// What log and store hold cannot be started from.
    #[error("replication cannot start: {0}")]
    Raft(String),
}

/// Why a node stopped by itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("replication has stopped and the node must exit: {0}")]
pub struct FatalError(pub(crate) String);

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
