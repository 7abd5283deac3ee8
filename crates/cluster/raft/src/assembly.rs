//! Assembles a node: opens its files, builds consensus over them, and starts all background tasks.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures_util::future::BoxFuture;
use quorate_log::Log;
use quorate_peer::{NotElectable, Service, Transport};
use quorate_replica::NotReady;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Node, NodeMetrics, OpenError, RaftConfig,
    adapters::{Raft, StateMachine},
    background::commit_index::sync_commit_index,
    background::space::DiskSpace,
    background::space_watch::watch_space,
    clocks::clock::watch_clock,
    clocks::gossip::PeerGossip,
    leadership::leader,
    leadership::slow_disk::{SyncMeter, watch_disk},
    links::peers::{MemberRoles, Peers},
    links::service::PeerService,
    membership::{
        admin::Admin, membership_view::MembershipView, node_name::keep_name,
        view_updater::update_view,
    },
    node::OpenNode,
    node_context::NodeContext,
    snapshots::checkpoint::{checkpoint_applied, keep_log_short},
    start::opening::{open_keys, open_log, open_packets},
    start::recovery::Recovery,
    writes::WriteQueue,
    writes::read_index::ReadIndexRequests,
    writes::write_path::WritePath,
};

impl Node {
    /// Opens log and store, applies what is known to be committed, makes it durable, and only then
    /// takes part in the cluster. If its log is empty, it founds the cluster together with the
    /// other founding voters, once all of them have reported that they are new too. Returns the
    /// service that the transport passes incoming links to. Call it once for each node.
    ///
    /// Boxed, so that openraft is compiled with this crate and not with every crate that opens a
    /// node.
    pub fn open(
        &self,
        config: RaftConfig,
        transport: Arc<dyn Transport>,
        metrics: NodeMetrics,
    ) -> BoxFuture<'_, Result<Arc<dyn Service>, OpenError>> {
        Box::pin(self.assemble(config, transport, metrics))
    }

    async fn assemble(
        &self,
        config: RaftConfig,
        transport: Arc<dyn Transport>,
        metrics: NodeMetrics,
    ) -> Result<Arc<dyn Service>, OpenError> {
        self.enter(NotReady::Opening);
        let gossip = Arc::new(PeerGossip::new(&config));
        let sync_meter = SyncMeter::new(config.settings.raft.slow_sync_ms);
        let log = open_log(&config, &metrics, sync_meter.clone()).await?;
        let cluster_keys = open_keys(&config).await?;
        let peers = connect(&config, transport, gossip.clone(), &log, &metrics);
        let store = open_packets(&config, &peers, &metrics, &log, &|step| self.enter(step)).await?;
        peers.membership_view.set_store(&store);
        self.enter(NotReady::Replaying);
        let state_machine = StateMachine::new(
            store.clone(),
            log.clone(),
            config.level_max,
            metrics.raft.clone(),
        );
        let (own_log, applier) = (log.clone(), state_machine.clone());
        let space = DiskSpace::new(config.settings.store.free_size_min);
        space.check(&config, &log, &store, &metrics.raft);
        gossip.set_not_electable(NotElectable::DISK_FULL, space.is_low());
        let raft = Raft::build(&config, own_log, applier, peers.clone(), space).await?;
        self.enter(NotReady::Checkpointing);
        checkpoint_applied(&state_machine).await?;
        self.enter(NotReady::Recovering);
        if let Some(retention) = store.meta().cluster.retention() {
            gossip.set_retention(retention);
        }
        gossip.set_start(store.meta().cluster.time.last_in_log());
        let progress = state_machine.clone();
        gossip.report_zones(move || progress.zones_served());
        raft.run();
        let mut tasks = JoinSet::new();
        let (failure, has_leader) = (watch::Sender::default(), Arc::<AtomicBool>::default());
        let leader = leader::publish_leader(
            &raft,
            &config,
            gossip.clone(),
            failure.clone(),
            has_leader.clone(),
            &mut tasks,
        );
        let recovery = Recovery::default();
        let context = NodeContext {
            has_intact_log: log.state().last.is_some() || config.founding.is_some(),
            config,
            metrics,
            gossip,
            peers,
            cluster_keys,
            log,
            store,
            state_machine,
            raft,
            recovery,
            leader,
            has_leader,
            failure,
            is_removed: AtomicBool::new(false),
        };
        let open = start_tasks(Arc::new(context), sync_meter, tasks).await?;
        let service = open.service.clone();
        // A node is opened once.
        let _ = self.open.set(open);
        Ok(service)
    }
}

/// Founds the cluster or joins it, and starts all background tasks of the node.
async fn start_tasks(
    context: Arc<NodeContext>,
    sync_meter: Arc<SyncMeter>,
    mut tasks: JoinSet<()>,
) -> Result<OpenNode, OpenError> {
    found(&context, &mut tasks).await?;
    let admin = Arc::new(Admin {
        context: context.clone(),
        change_lock: tokio::sync::Mutex::default(),
    });
    tasks.spawn(admin.clone().reconcile());
    tasks.spawn(keep_name(admin.clone()));
    let hangups = context.peers.link_tracker.hangups.subscribe();
    tasks.spawn(context.clone().watch_leader(hangups));
    tasks.spawn(context.clone().hand_over_when_not_electable());
    tasks.spawn(context.clone().watch_rejections());
    watch_electability(&context, sync_meter, &mut tasks);
    tasks.spawn(keep_log_short(context.clone()));
    tasks.spawn(context.raft.receive_slot.clone().drop_idle());
    tasks.spawn(context.clone().propose_due_commands());
    tasks.spawn(context.clone().keep_needed_keys());
    tasks.spawn(context.clone().keep_secrets_sealed());
    tasks.spawn(context.clone().report_publishers());
    tasks.spawn(sync_commit_index(context.clone()));
    tasks.spawn(context.clone().expire_packets());
    tasks.spawn(context.clone().scrub());
    let write_path = WritePath {
        node: context.config.node,
        raft: context.raft.clone(),
        peers: context.peers.clone(),
        gossip: context.gossip.clone(),
        leader: context.leader.clone(),
        applied: context.state_machine.applied(),
        read_indexes: ReadIndexRequests::default(),
        entry_times: context.state_machine.entry_times.clone(),
        metrics: context.metrics.raft.clone(),
    };
    tasks.spawn(recover(context.clone(), write_path.clone()));
    let slow = Duration::from_millis(context.config.settings.put.slow_ms);
    let write_queue = Arc::new(WriteQueue::spawn(write_path.clone(), slow));
    Ok(OpenNode {
        index: context.store.index(),
        service: Arc::new(PeerService {
            context: context.clone(),
            write_queue: write_queue.clone(),
            admin,
        }),
        context,
        write_path,
        write_queue,
        closing: watch::Sender::new(false),
        tasks: tokio::sync::Mutex::new(tasks),
    })
}

/// Founds the cluster if this node should, and starts to follow the membership.
async fn found(context: &Arc<NodeContext>, tasks: &mut JoinSet<()>) -> Result<(), OpenError> {
    if context.config.founding.is_some() && context.log.state().last.is_none() {
        context.raft.found(&context.config).await?;
    }
    context.raft.set_electable(context.may_vote());
    // Before the node accepts a message of a peer that may have lost its data.
    let meta = context.state_machine.meta().clone();
    let membership_view = &context.peers.membership_view;
    let membership = context.raft.membership();
    membership_view.update(&membership.nodes, membership.voters(), &meta, false);
    tasks.spawn(update_view(context.clone()));
    Ok(())
}

/// Allows the node to vote once it has caught up, if it could not before.
async fn recover(context: Arc<NodeContext>, path: WritePath) {
    context.recovery.clone().run(path).await;
    context.raft.set_electable(context.may_vote());
}

/// Starts the tasks that decide whether this node should lead: by its clock, and by the speed and
/// the free space of its disk.
fn watch_electability(
    context: &Arc<NodeContext>,
    sync_meter: Arc<SyncMeter>,
    tasks: &mut JoinSet<()>,
) {
    context.gossip.set_voters(context.raft.view().voters);
    let (gossip, raft) = (context.gossip.clone(), context.raft.clone());
    tasks.spawn(watch_clock(gossip.clone(), raft));
    tasks.spawn(watch_disk(sync_meter, gossip));
    tasks.spawn(watch_space(context.clone()));
}

/// Opens links to all known members. Over these links, peers report whether this node is still a
/// member. The node knows the voters once it has read its log. Its introduction on each link states
/// what is in the log.
fn connect(
    config: &RaftConfig,
    transport: Arc<dyn Transport>,
    gossip: Arc<PeerGossip>,
    log: &Arc<Log>,
    metrics: &NodeMetrics,
) -> Arc<Peers> {
    let membership_view = Arc::new(MembershipView::new(config));
    membership_view.set_log(log);
    let members = membership_view.members();
    let peers = Peers::new(transport, membership_view, gossip, metrics.raft.clone());
    peers.set_members(config.node, &members, MemberRoles::default());
    Arc::new(peers)
}
