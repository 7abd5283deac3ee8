//! Putting a node together: its files, consensus over them, and all that it does from then on.

use std::sync::{Arc, atomic::AtomicBool};

use quorate_log::Log;
use quorate_peer::{Transport, Unfit};
use quorate_replica::NotReady;
use quorate_store::Store;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Node, NodeMetrics, OpenError, RaftConfig,
    adapters::{Raft, StateMachine},
    background::agreement::Agreement,
    background::expiry::Expiry,
    background::scrub::Scrubber,
    background::space::{Space, watch_space},
    clocks::clock::watch_clock,
    clocks::exchange::Exchange,
    leadership::handover::Handover,
    leadership::leader::{self, Leader},
    leadership::slow_disk::{SyncMeter, watch_disk},
    leadership::succession::Succession,
    links::peers::Peers,
    links::service::PeerService,
    membership::{
        admin::Admin,
        following::follow,
        naming::keep_name,
        operator::LeaderClient,
        removal::{Removal, Removed},
        roster::Roster,
        upkeep::Upkeep,
    },
    snapshots::checkpoint::{checkpoint_applied, keep_log_short},
    start::founding::{Founding, Franchise},
    start::opening::{open_log, open_packets},
    start::recovery::Recovery,
    writes::Puts,
    writes::read_index::ReadIndexes,
    writes::write_path::WritePath,
};

impl Node {
    /// Opens log and store, applies what is known to be committed and makes it durable, and only
    /// then takes part in the cluster. If its log is empty, it forms the cluster with the other
    /// founding voters, once all of them have said that they are new too.
    pub async fn open(
        config: RaftConfig,
        transport: Arc<dyn Transport>,
        metrics: NodeMetrics,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_by_steps(config, transport, metrics, &|_| ()).await
    }

    /// The same, and says which step it enters.
    pub(crate) async fn open_by_steps(
        config: RaftConfig,
        transport: Arc<dyn Transport>,
        metrics: NodeMetrics,
        enter: &(dyn Fn(NotReady) + Send + Sync),
    ) -> Result<Arc<Self>, OpenError> {
        enter(NotReady::Opening);
        let exchange = Arc::new(Exchange::new(&config));
        let sync_meter = SyncMeter::new(config.slow_sync());
        let log = open_log(&config, &metrics, sync_meter.clone()).await?;
        let peers = connect(&config, transport, exchange.clone(), &log);
        let store = open_packets(&config, &peers, &metrics, &log, enter).await?;
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
        raft.run();
        let parts = Parts {
            config,
            metrics,
            exchange,
            peers,
            log,
            store,
            state_machine,
            raft,
            space,
        };
        parts.take_part(sync_meter).await
    }
}

/// What a node is made of, once its files are open and consensus runs.
struct Parts {
    config: RaftConfig,
    metrics: NodeMetrics,
    exchange: Arc<Exchange>,
    peers: Arc<Peers>,
    log: Arc<Log>,
    store: Arc<Store>,
    state_machine: StateMachine,
    raft: Raft,
    space: Space,
}

impl Parts {
    /// Founds the cluster or joins in, and starts all that the node does from now on.
    async fn take_part(self, sync_meter: Arc<SyncMeter>) -> Result<Arc<Node>, OpenError> {
        let recovery = Recovery::default();
        let franchise = Franchise::new(&self.log, recovery.clone());
        let mut tasks = JoinSet::new();
        self.found(&franchise, &recovery, &mut tasks).await?;
        let exchange = self.exchange.clone();
        let failure = watch::Sender::default();
        let failed = failure.clone();
        let has_leader = Arc::new(AtomicBool::new(false));
        let leader = leader::follow(
            &self.raft,
            &self.config,
            exchange,
            failed,
            has_leader.clone(),
            &mut tasks,
        );
        let handover = self.watch_leadership(&franchise, &leader, &mut tasks);
        let client = self.keep_members(&leader, &handover, &mut tasks);
        let removed = Removed::default();
        let removal = Removal {
            raft: self.raft.clone(),
            log: self.log.clone(),
            peers: self.peers.clone(),
            leader: leader.clone(),
            franchise: franchise.clone(),
            removed: removed.clone(),
            failure: failure.clone(),
        };
        tasks.spawn(removal.run());
        self.watch_fitness(sync_meter, &mut tasks);
        self.keep_up(&mut tasks);
        let write_path = WritePath {
            node: self.config.node,
            raft: self.raft.clone(),
            peers: self.peers.clone(),
            exchange: self.exchange.clone(),
            store: Arc::downgrade(&self.store),
            leader,
            applied: self.state_machine.applied(),
            read_indexes: ReadIndexes::default(),
            metrics: self.metrics.raft,
        };
        tasks.spawn(recovery.clone().run(write_path.clone()));
        let puts = Puts::spawn(write_path.clone(), self.config.put_deadline());
        let puts = Arc::new(puts);
        let service = Arc::new(PeerService {
            puts: puts.clone(),
            raft: self.raft,
            state_machine: self.state_machine.clone(),
            log: self.log,
            store: self.store.clone(),
            peers: self.peers,
            franchise,
            client,
        });
        Ok(Arc::new(Node {
            config: self.config,
            write_path,
            state_machine: self.state_machine,
            index: self.store.index(),
            store: self.store,
            exchange: self.exchange,
            puts,
            has_leader,
            failure: failure.subscribe(),
            service,
            recovery,
            handover,
            removed,
            closing: AtomicBool::new(false),
            tasks: tokio::sync::Mutex::new(tasks),
        }))
    }

    async fn found(
        &self,
        franchise: &Franchise,
        recovery: &Recovery,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), OpenError> {
        let founding = Founding {
            raft: self.raft.clone(),
            log: self.log.clone(),
            config: self.config.clone(),
            franchise: franchise.clone(),
            logs: self.peers.presence().logs.subscribe(),
        };
        founding.begin().await?;
        tasks.spawn(founding.run());
        let roster = self.peers.roster().clone();
        let (raft, applied) = (self.raft.clone(), self.state_machine.applied());
        let cluster = applied.borrow().cluster.clone();
        // Before a peer is heard that may have lost its data.
        roster.update(raft.membership().nodes, &cluster, false);
        let recovery = recovery.clone();
        let has_caught_up = move || recovery.is_complete();
        let following = follow(roster, raft, has_caught_up, applied, self.peers.clone());
        tasks.spawn(following);
        Ok(())
    }

    /// Starts what decides who leads next.
    fn watch_leadership(
        &self,
        franchise: &Franchise,
        leader: &watch::Receiver<Leader>,
        tasks: &mut JoinSet<()>,
    ) -> Handover {
        let succession = Succession {
            config: self.config.clone(),
            raft: self.raft.clone(),
            peers: self.peers.clone(),
            franchise: franchise.clone(),
            leader: leader.clone(),
            hangups: self.peers.presence().hangups.subscribe(),
        };
        tasks.spawn(succession.run());
        let handover = Handover {
            config: self.config.clone(),
            raft: self.raft.clone(),
            exchange: self.exchange.clone(),
            leader: leader.clone(),
        };
        tasks.spawn(handover.clone().run());
        handover
    }

    /// Starts what makes the members what they shall be.
    fn keep_members(
        &self,
        leader: &watch::Receiver<Leader>,
        handover: &Handover,
        tasks: &mut JoinSet<()>,
    ) -> LeaderClient {
        let admin = Arc::new(Admin {
            config: self.config.clone(),
            raft: self.raft.clone(),
            exchange: self.exchange.clone(),
            applied: self.state_machine.applied(),
            handover: handover.clone(),
            change_lock: tokio::sync::Mutex::default(),
        });
        let upkeep = Upkeep {
            admin: admin.clone(),
        };
        tasks.spawn(upkeep.run());
        let client = LeaderClient {
            node: self.config.node,
            leader: leader.clone(),
            peers: self.peers.clone(),
            admin,
        };
        tasks.spawn(keep_name(client.clone(), self.config.name.clone()));
        client
    }

    /// Starts what tells whether this node should lead: by its clock, its disk's speed and space.
    fn watch_fitness(&self, sync_meter: Arc<SyncMeter>, tasks: &mut JoinSet<()>) {
        let founders: Vec<_> = self.config.voters.keys().copied().collect();
        self.exchange.set_voters(self.raft.voters(&founders));
        let (exchange, raft) = (self.exchange.clone(), self.raft.clone());
        tasks.spawn(watch_clock(exchange, raft, founders));
        tasks.spawn(watch_disk(sync_meter, self.exchange.clone()));
        tasks.spawn(watch_space(
            self.space.clone(),
            self.exchange.clone(),
            self.config.clone(),
            self.log.clone(),
            self.store.clone(),
            self.metrics.raft.clone(),
        ));
    }

    /// Starts what the node does unasked.
    fn keep_up(&self, tasks: &mut JoinSet<()>) {
        tasks.spawn(keep_log_short(
            self.raft.clone(),
            self.log.clone(),
            self.exchange.clone(),
            self.config.clone(),
        ));
        tasks.spawn(self.raft.incoming.clone().give_up_idle());
        let agreement = Agreement {
            raft: self.raft.clone(),
            applied: self.state_machine.applied(),
            exchange: self.exchange.clone(),
            config: self.config.clone(),
        };
        tasks.spawn(agreement.run());
        let expiry = Expiry {
            raft: self.raft.clone(),
            exchange: self.exchange.clone(),
            store: self.store.clone(),
            retention: self.config.retention(),
            metrics: self.metrics.raft.clone(),
        };
        tasks.spawn(expiry.run());
        let scrubber = Scrubber {
            raft: self.raft.clone(),
            state_machine: self.state_machine.clone(),
            store: self.store.clone(),
            log: self.log.clone(),
            config: self.config.clone(),
            metrics: self.metrics.raft.clone(),
        };
        tasks.spawn(scrubber.run());
    }
}

/// Opens the links to all members that are known, which are warm by the time that they are needed.
/// Whoever is greeted is told what is in the log.
fn connect(
    config: &RaftConfig,
    transport: Arc<dyn Transport>,
    exchange: Arc<Exchange>,
    log: &Arc<Log>,
) -> Arc<Peers> {
    let roster = Arc::new(Roster::new(config));
    roster.set_log(log);
    let members = roster.members();
    let peers = Peers::new(transport, roster, exchange);
    peers.set_members(config.node, &members);
    Arc::new(peers)
}
