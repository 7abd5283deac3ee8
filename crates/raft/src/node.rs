//! A node: Raft, log and store put together.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use quorate_log::Log;
use quorate_replica::NotReady;
use quorate_rpc::{Service, Transport};
use quorate_store::Store;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    Config, FatalError, Metrics, OpenError,
    adapters::{Raft, StateMachine},
    checkpoint::keep_log_short,
    expiry::expire_packets,
    forward::Forwarder,
    leadership,
    puts::{Puts, WritePath},
    service::PeerService,
};

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
    pub(crate) config: Config,
    pub(crate) write_path: WritePath,
    state_machine: StateMachine,
    pub(crate) store: Arc<Store>,
    pub(crate) puts: Puts,
    failure: watch::Receiver<Option<FatalError>>,
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
        let (own_log, applier) = (log.clone(), state_machine.clone());
        let raft = Raft::start(&config, own_log, applier, transport.clone()).await?;

        let mut tasks = JoinSet::new();
        let (leader, failure) = leadership::follow(&raft, &config, &mut tasks);
        let write_path = WritePath {
            node: config.node,
            raft: raft.clone(),
            forwarder: Arc::new(Forwarder::new(transport)),
            leader,
            applied: state_machine.applied(),
            metrics: metrics.raft.clone(),
        };
        let service = Arc::new(PeerService {
            raft: raft.clone(),
            store: store.clone(),
        });
        tasks.spawn(keep_log_short(raft.clone(), log, config.clone()));
        tasks.spawn(expire_packets(
            raft.clone(),
            store.clone(),
            config.clone(),
            metrics.raft,
        ));
        let recovered = watch_recovery(&raft, &mut tasks);
        Ok(Arc::new(Self {
            puts: Puts::spawn(write_path.clone(), config.put_deadline()),
            config,
            write_path,
            state_machine,
            store,
            failure,
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
        let mut leader = self.write_path.leader.clone();
        while self.not_ready().is_some() {
            let _ = timeout(self.config.heartbeat(), leader.changed()).await;
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
        let WritePath { raft, leader, .. } = &self.write_path;
        leadership::hand_over(raft, &self.config, leader.clone()).await;
        self.tasks.lock().await.shutdown().await;
        raft.shutdown().await;
        if self.write_path.applied.borrow().applied.is_some()
            && let Err(error) = self.state_machine.checkpoint().await
        {
            tracing::error!(%error, "no checkpoint could be made; the next start reads the log");
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Why the node is not ready to serve, if it is not.
    pub(crate) fn not_ready(&self) -> Option<NotReady> {
        if self.is_closing() {
            Some(NotReady::ShuttingDown)
        } else if self.failure.borrow().is_some() {
            Some(NotReady::Failed)
        } else if self.write_path.leader.borrow().node.is_none() {
            Some(NotReady::NoLeader)
        } else if !self.recovered.load(Ordering::Acquire) {
            Some(NotReady::Recovering)
        } else {
            None
        }
    }
}

/// Opens log and store beside the runtime's threads: reading a long log takes seconds.
async fn open_files(
    config: &Config,
    metrics: &NodeMetrics,
) -> Result<(Arc<Log>, Arc<Store>), OpenError> {
    let log_config = quorate_log::Config::new(config.dir.join("log"));
    let store_config = quorate_store::Config {
        path: config.dir.join("records.redb"),
        cache_size: usize::try_from(config.settings.store.cache_size).unwrap_or(usize::MAX),
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
    opened.await.map_err(OpenError::raft)?
}

/// Notes when everything that this node had in its log is known to be committed, and applied.
fn watch_recovery(raft: &Raft, tasks: &mut JoinSet<()>) -> Arc<AtomicBool> {
    let recovered = Arc::new(AtomicBool::new(false));
    let (raft, flag) = (raft.clone(), recovered.clone());
    tasks.spawn(async move {
        if raft.recovered().await {
            flag.store(true, Ordering::Release);
        }
    });
    recovered
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
