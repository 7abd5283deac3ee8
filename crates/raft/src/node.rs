//! A node: Raft, log and store put together.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use quorate_disk::is_out_of_space;
use quorate_replica::NotReady;
use quorate_rpc::{LogState, Service, Transport, Unfit, chain};
use quorate_store::{Extent, Pace, Store};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    Config, FatalError, Metrics, OpenError, ShutdownError,
    adapters::{Raft, StateMachine},
    agreement::Agreement,
    checkpoint::keep_log_short,
    clock::watch_clock,
    exchange::Exchange,
    expiry::Expiry,
    founding::{Founding, Franchise},
    handover::Handover,
    leadership,
    opening::open_files,
    peers::Peers,
    puts::Puts,
    read_index::ReadIndexes,
    recovery::Recovery,
    scrub::Scrubber,
    service::PeerService,
    slow_disk::{SyncMeter, watch_disk},
    space::{Space, watch_space},
    succession::Succession,
    write_path::WritePath,
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
    pub(crate) state_machine: StateMachine,
    pub(crate) store: Arc<Store>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) puts: Arc<Puts>,
    failure: watch::Receiver<Option<FatalError>>,
    service: Arc<PeerService>,
    pub(crate) recovery: Recovery,
    handover: Handover,
    closing: AtomicBool,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Node {
    /// Opens log and store, applies what is known to be committed and makes it durable, and only
    /// then takes part in the cluster. If its log is empty, it forms the cluster with the other
    /// founding voters, once all of them have said that they are new too.
    pub async fn open(
        config: Config,
        transport: Arc<dyn Transport>,
        metrics: NodeMetrics,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_by_steps(config, transport, metrics, &|_| ()).await
    }

    /// The same, and says which step it enters.
    pub(crate) async fn open_by_steps(
        config: Config,
        transport: Arc<dyn Transport>,
        metrics: NodeMetrics,
        enter: &(dyn Fn(NotReady) + Send + Sync),
    ) -> Result<Arc<Self>, OpenError> {
        enter(NotReady::Opening);
        let exchange = Arc::new(Exchange::new(&config));
        let peers = connect(&config, transport, exchange.clone());
        let sync_meter = SyncMeter::new(config.slow_sync());
        let meter = sync_meter.clone();
        let (log, store) = open_files(&config, &peers, &metrics, meter, enter).await?;
        enter(NotReady::Replaying);
        let state_machine = StateMachine::new(
            store.clone(),
            log.clone(),
            config.level_max,
            metrics.raft.clone(),
        );
        let (own_log, applier) = (log.clone(), state_machine.clone());
        let space = Space::new(config.settings.store.free_size_min);
        space.look(&config, &log, &store, &metrics.raft);
        exchange.set_unfit(Unfit::DISK_FULL, space.is_low());
        let raft = Raft::build(&config, own_log, applier, peers.clone(), space.clone()).await?;
        enter(NotReady::Checkpointing);
        checkpoint_applied(&state_machine).await?;
        enter(NotReady::Recovering);
        exchange.set_start(store.latest_received());
        let recovery = Recovery::default();
        let franchise = Franchise::new(&log, recovery.clone());
        raft.run();
        let founders: Vec<_> = config.voters.keys().copied().collect();
        exchange.set_voters(raft.voters(&founders));

        let mut tasks = JoinSet::new();
        let founding = Founding {
            raft: raft.clone(),
            log: log.clone(),
            config: config.clone(),
            franchise: franchise.clone(),
            logs: peers.logs(),
        };
        founding.begin().await?;
        tasks.spawn(founding.run());
        let (leader, failure) = leadership::follow(&raft, &config, exchange.clone(), &mut tasks);
        tasks.spawn(watch_clock(exchange.clone(), raft.clone(), founders));
        let succession = Succession {
            config: config.clone(),
            raft: raft.clone(),
            peers: peers.clone(),
            franchise: franchise.clone(),
            leader: leader.clone(),
            hangups: peers.hangups(),
        };
        tasks.spawn(succession.run());
        let handover = Handover {
            config: config.clone(),
            raft: raft.clone(),
            exchange: exchange.clone(),
            leader: leader.clone(),
        };
        tasks.spawn(handover.clone().run());
        tasks.spawn(watch_disk(sync_meter, exchange.clone()));
        let write_path = WritePath {
            node: config.node,
            raft: raft.clone(),
            peers: peers.clone(),
            exchange: exchange.clone(),
            store: Arc::downgrade(&store),
            leader,
            applied: state_machine.applied(),
            read_indexes: ReadIndexes::default(),
            metrics: metrics.raft.clone(),
        };
        let puts = Arc::new(Puts::spawn(write_path.clone(), config.put_deadline()));
        let service = Arc::new(PeerService {
            puts: puts.clone(),
            raft: raft.clone(),
            state_machine: state_machine.clone(),
            log: log.clone(),
            store: store.clone(),
            peers,
            franchise,
        });
        tasks.spawn(keep_log_short(
            raft.clone(),
            log.clone(),
            exchange.clone(),
            config.clone(),
        ));
        tasks.spawn(watch_space(
            space,
            exchange.clone(),
            config.clone(),
            log.clone(),
            store.clone(),
            metrics.raft.clone(),
        ));
        let agreement = Agreement {
            raft: raft.clone(),
            applied: state_machine.applied(),
            exchange: exchange.clone(),
            config: config.clone(),
        };
        tasks.spawn(agreement.run());
        let expiry = Expiry {
            raft: raft.clone(),
            exchange: exchange.clone(),
            store: store.clone(),
            retention: config.retention(),
            metrics: metrics.raft.clone(),
        };
        tasks.spawn(expiry.run());
        let scrubber = Scrubber {
            raft,
            state_machine: state_machine.clone(),
            store: store.clone(),
            log,
            config: config.clone(),
            metrics: metrics.raft,
        };
        tasks.spawn(scrubber.run());
        tasks.spawn(recovery.clone().run(write_path.clone()));
        Ok(Arc::new(Self {
            puts,
            config,
            write_path,
            state_machine,
            store,
            exchange,
            failure,
            service,
            recovery,
            handover,
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

    /// Resolves when this node has applied an entry of the cluster, so that it has a part in it.
    pub async fn joined(&self) {
        let mut applied = self.write_path.applied.clone();
        // Fails only when the node is gone, and nobody waits here.
        let _ = applied.wait_for(|meta| meta.applied.is_some()).await;
    }

    /// Resolves when a leader is known and this node has caught up with it.
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
    /// so that the next start is quick. Fails if consensus had ended by itself, or if the checkpoint
    /// cannot be made.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        self.begin_shutdown();
        self.handover.stop().await;
        self.tasks.lock().await.shutdown().await;
        let raft = &self.write_path.raft;
        raft.shutdown().await.map_err(ShutdownError::Consensus)?;
        let checkpoint = checkpoint_applied(&self.state_machine).await;
        checkpoint.map_err(|error| ShutdownError::Checkpoint(chain(&error)))
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
        } else if self.service.log_state() == LogState::Empty {
            Some(NotReady::Founding)
        } else if !self.recovery.serves_reads() {
            Some(NotReady::Recovering)
        } else if self.write_path.leader.borrow().node.is_none() {
            Some(NotReady::NoLeader)
        } else if !self.recovery.is_complete() {
            Some(NotReady::Recovering)
        } else {
            None
        }
    }
}

/// Opens the links to all other founding voters, which are warm by the time that they are needed.
fn connect(config: &Config, transport: Arc<dyn Transport>, exchange: Arc<Exchange>) -> Arc<Peers> {
    let peers = Peers::new(transport, exchange);
    let others = config.voters.iter();
    for (peer, address) in others.filter(|(peer, _)| **peer != config.node) {
        peers.connect(*peer, address);
    }
    Arc::new(peers)
}

/// Makes durable what was applied since the last checkpoint, if anything was. Without space for it the
/// log goes on holding it.
async fn checkpoint_applied(state_machine: &StateMachine) -> Result<(), OpenError> {
    let durable = state_machine.snapshot()?.meta().applied;
    let applied = state_machine.applied().borrow().applied;
    if applied != durable {
        let checkpoint = state_machine.checkpoint(Extent::Changes, Pace::Fast).await;
        match checkpoint {
            Err(error) if is_out_of_space(&error) => {
                tracing::warn!(
                    error = chain(&error),
                    "no checkpoint: the log stays as it is"
                );
            }
            made => drop(made.map_err(OpenError::step("make durable what it has applied"))?),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
