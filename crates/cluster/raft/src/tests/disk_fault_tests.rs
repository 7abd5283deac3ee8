//! Nodes whose disk fails, is damaged, or loses power.

use std::{path::PathBuf, sync::atomic::AtomicU64};

use quorate_peer::NotElectable;
use quorate_replica::Conditions;
use quorate_sim::{Call, PowerLoss, SimDisk};
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::ScrubTarget;

/// How many power cuts `make test` simulates; `QUORATE_POWER_CUTS` sets another number.
const POWER_CUTS: usize = 6;

/// A cluster whose nodes each have a simulated disk.
pub(super) struct Simulated {
    pub(super) cluster: Cluster,
    pub(super) disks: BTreeMap<NodeId, SimDisk>,
}

impl Simulated {
    pub(super) fn prepare(count: u64) -> Self {
        let mut cluster = Cluster::prepare(count, |config| {
            config.dir = PathBuf::from("/data");
            config.settings.put.deadline_ms = 2_000;
        });
        let nodes = cluster.configs.keys();
        let disks: BTreeMap<_, _> = nodes.map(|node| (*node, SimDisk::new())).collect();
        for (node, disk) in &disks {
            let config = cluster.configs.get_mut(node).expect("it was prepared");
            config.disk = Arc::new(disk.clone());
        }
        Self { cluster, disks }
    }

    pub(super) async fn start(count: u64) -> Self {
        Self::start_with(count, |_| {}).await
    }

    /// The same, with other settings.
    pub(super) async fn start_with(count: u64, adjust: impl FnMut(&mut RaftConfig)) -> Self {
        let mut simulated = Self::prepare(count);
        simulated.cluster.configs.values_mut().for_each(adjust);
        simulated.cluster.open_all().await;
        simulated.cluster.ready().await;
        simulated
    }

    pub(super) fn follower(&self) -> NodeId {
        let follower = self.cluster.followers().next();
        follower.expect("there is one").context().config.node
    }

    /// Kills a node: from now on its disk accepts no writes from it.
    pub(super) fn kill(&mut self, node: NodeId) {
        let disk = self.disks[&node].kill();
        self.put_in(node, disk);
        self.cluster.board.hang_up(node);
        self.cluster.nodes.remove(&node);
    }

    /// Limits a stopped node to a program that supports this level.
    pub(super) fn cap(&mut self, node: NodeId, level: quorate_state::Level) {
        let config = self.cluster.configs.get_mut(&node).expect("a node");
        config.level_max = level;
    }

    /// Gives a stopped node another disk.
    pub(super) fn put_in(&mut self, node: NodeId, disk: SimDisk) {
        let config = self.cluster.configs.get_mut(&node).expect("a node");
        config.disk = Arc::new(disk.clone());
        self.disks.insert(node, disk);
    }

    pub(super) fn flip_bits_of_store(&self, node: NodeId) {
        let store = self.cluster.configs[&node].store().path;
        let size = self.disks[&node].read(&store).unwrap().len();
        // Everywhere after the header.
        for bit in (4096 * 8..size * 8).step_by(1001) {
            self.disks[&node].flip_bit(&store, bit).unwrap();
        }
    }
}

/// Writes a checkpoint and purges the log up to it: then only the store has its packets.
pub(super) async fn checkpoint_and_purge(node: &Node) {
    let applied = node.status().applied_index;
    node.context().write_path.raft.trigger_checkpoint().await;
    until(node, |view| view.checkpoint >= applied).await;
    node.context().write_path.raft.trigger_purge(applied).await;
    until(node, |view| view.purged >= applied).await;
}

async fn put_many(node: &Node, micros: u64) {
    for key in 0..100 {
        put(node, &packet(key, micros)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_consensus_stops_the_node_immediately() {
    let cluster = Cluster::start(3, |_| {}).await;
    let node = cluster.followers().next().unwrap().clone();
    node.context().write_path.raft.panic().await;
    let failed = timeout(Duration::from_secs(1), node.failed()).await;
    let error = failed.expect("it is known within a second").to_string();
    assert!(error.contains("panicked"), "{error}");
    assert_eq!(node.status().not_ready, Some(NotReady::Failed));
    let stopped = timeout(TIMEOUT, node.shutdown()).await.unwrap();
    assert!(matches!(stopped, Err(ShutdownError::Consensus(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_packets_are_replaced_from_another_member_and_never_served() {
    let mut simulated = Simulated::start(3).await;
    put_many(simulated.cluster.leader(), 5).await;
    let damaged = simulated.follower();
    let node = &simulated.cluster.nodes[&damaged];
    applied(node, simulated.cluster.leader().status().applied_index).await;
    checkpoint_and_purge(node).await;
    simulated.kill(damaged);
    simulated.flip_bits_of_store(damaged);

    // No other node can help it: it reports that, and serves nothing.
    let board = simulated.cluster.board.clone();
    board.cut_off.lock().unwrap().insert(damaged);
    let starting = Arc::new(Node::new(damaged));
    let opening = tokio::spawn({
        let config = simulated.cluster.configs[&damaged].clone();
        let transport = simulated.cluster.transport(damaged);
        let starting = starting.clone();
        async move { starting.open(config, transport, metrics()).await }
    });
    let heals = async {
        while starting.status().not_ready != Some(NotReady::Healing) {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, heals).await.expect("it sees the damage");
    let key = PublicKey::from_bytes([1; 32]);
    let error = starting.stored_packet(&key).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    let rejected = starting.put(packet(1, 6), Conditions::default()).await;
    assert_eq!(rejected, Err(PutError::Starting(NotReady::Healing)));

    board.cut_off.lock().unwrap().clear();
    timeout(TIMEOUT, opening).await.unwrap().unwrap().unwrap();
    let healed = starting;
    simulated.cluster.add(damaged, healed.clone());
    simulated.cluster.ready().await;
    for key in 0..100 {
        let stored = healed.stored_packet(packet(key, 5).key()).unwrap();
        assert_eq!(stored.expect("it is there").packet, packet(key, 5));
    }
    put_many(&healed, 7).await;
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_by_itself_does_not_start_with_damaged_packets() {
    let mut simulated = Simulated::start(1).await;
    let alone = NodeId::from(1);
    put_many(&simulated.cluster.nodes[&alone], 5).await;
    checkpoint_and_purge(&simulated.cluster.nodes[&alone]).await;
    simulated.cluster.nodes[&alone].shutdown().await.unwrap();
    simulated.kill(alone);
    simulated.flip_bits_of_store(alone);
    let error = simulated.cluster.open(alone).await.unwrap_err();
    assert!(error.is_data_error(), "{error}");
    let error = chain(&error);
    assert!(error.contains("records.redb"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_are_rebuilt_from_a_log_that_was_never_purged() {
    let mut simulated = Simulated::start(1).await;
    let alone = NodeId::from(1);
    put_many(&simulated.cluster.nodes[&alone], 5).await;
    simulated.cluster.nodes[&alone].shutdown().await.unwrap();
    simulated.kill(alone);
    simulated.flip_bits_of_store(alone);
    simulated.cluster.open(alone).await.unwrap();
    simulated.cluster.ready().await;
    let node = &simulated.cluster.nodes[&alone];
    for key in 0..100 {
        let stored = node.stored_packet(packet(key, 5).key()).unwrap();
        assert_eq!(stored.expect("it was acknowledged").packet, packet(key, 5));
    }
    simulated.cluster.shutdown().await;
}

/// A checkpoint that finds a damaged page has all packets in memory, and writes a new file.
#[tokio::test(flavor = "multi_thread")]
async fn damage_while_a_node_runs_is_repaired_from_memory() {
    let mut simulated = Simulated::start(1).await;
    let alone = NodeId::from(1);
    let node = &simulated.cluster.nodes[&alone];
    put_many(node, 5).await;
    checkpoint_and_purge(node).await;
    simulated.flip_bits_of_store(alone);
    put_many(node, 6).await;
    let repaired = async {
        while node.digest().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, repaired)
        .await
        .expect("the file is repaired");
    for key in 0..100 {
        let stored = node.stored_packet(packet(key, 6).key()).unwrap();
        assert_eq!(stored.expect("it is in memory").packet, packet(key, 6));
    }
    node.shutdown().await.unwrap();
    simulated.kill(alone);
    simulated.cluster.open(alone).await.unwrap();
    simulated.cluster.ready().await;
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_finds_damage_that_no_read_has_seen() {
    let mut simulated = Simulated::prepare(1);
    let alone = NodeId::from(1);
    let config = simulated.cluster.configs.get_mut(&alone).unwrap();
    config.settings.store.scrub_interval_secs = 1;
    simulated.cluster.open_all().await;
    simulated.cluster.ready().await;
    let node = &simulated.cluster.nodes[&alone];
    put_many(node, 5).await;
    checkpoint_and_purge(node).await;
    let count = |metric: &quorate_metrics::Labelled<_, ScrubTarget>, what| -> u64 {
        let metric: &quorate_metrics::Counter = metric.of(what);
        metric.get()
    };
    let metrics = &node.context().write_path.metrics;
    let undamaged = || count(&metrics.scrubs_total, ScrubTarget::Store);
    let damaged = || count(&metrics.damage_total, ScrubTarget::Store);
    let wait = async |condition: &dyn Fn() -> bool| {
        let met = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        timeout(TIMEOUT, met).await.expect("a scrub ends");
    };
    wait(&|| undamaged() > 0).await;
    assert_eq!(damaged(), 0);

    simulated.flip_bits_of_store(alone);
    wait(&|| damaged() > 0).await;
    let (then, log) = (undamaged(), count(&metrics.damage_total, ScrubTarget::Log));
    wait(&|| undamaged() > then).await;
    assert_eq!(log, 0, "the log was never damaged");
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_acknowledges_nothing_and_is_not_trusted_after_a_restart() {
    let mut simulated = Simulated::start(1).await;
    let alone = NodeId::from(1);
    let node = simulated.cluster.nodes[&alone].clone();
    put_many(&node, 5).await;
    simulated.disks[&alone].fail_from(Call::Sync, "/data/log", 0);
    let lost = packet(200, 9);
    assert!(put(&node, &lost).await.is_err(), "nothing is acknowledged");
    timeout(TIMEOUT, node.failed())
        .await
        .expect("the node stops");

    // The kernel still returns data that it could not write to disk. The node starts with it, and
    // writes it again before it counts: it survives a power loss.
    simulated.kill(alone);
    simulated.disks[&alone].clear_faults();
    simulated.cluster.open(alone).await.unwrap();
    simulated.cluster.ready().await;
    let shown = simulated.cluster.nodes[&alone]
        .stored_packet(lost.key())
        .unwrap();
    let disk = simulated.disks[&alone].clone();
    let image = disk.image(disk.boundaries(), PowerLoss::all_kinds(1)[0]);
    simulated.kill(alone);
    simulated.put_in(alone, image);
    simulated.cluster.open(alone).await.unwrap();
    simulated.cluster.ready().await;
    let node = &simulated.cluster.nodes[&alone];
    assert_eq!(
        node.stored_packet(lost.key()).unwrap().is_some(),
        shown.is_some()
    );
    for key in 0..100 {
        let stored = node.stored_packet(packet(key, 5).key()).unwrap();
        assert_eq!(stored.expect("it was acknowledged").packet, packet(key, 5));
    }
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_checkpoint() {
    let simulated = Simulated::start(1).await;
    let alone = NodeId::from(1);
    let (node, disk) = (&simulated.cluster.nodes[&alone], &simulated.disks[&alone]);
    put_many(node, 5).await;
    disk.block_syncs("/data/records.redb");
    node.context().write_path.raft.trigger_checkpoint().await;
    let blocked = disk.clone();
    tokio::task::spawn_blocking(move || blocked.wait_for_blocked_syncs(1))
        .await
        .unwrap();
    put_many(node, 6).await;
    let stored = node.stored_packet(packet(3, 6).key()).unwrap();
    assert_eq!(stored.unwrap().packet, packet(3, 6));
    disk.release_syncs();
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_checkpoint_at_shutdown_is_an_error() {
    let simulated = Simulated::start(1).await;
    let alone = NodeId::from(1);
    let node = &simulated.cluster.nodes[&alone];
    put_many(node, 5).await;
    simulated.disks[&alone].fail_from(Call::Sync, "/data/records.redb", 0);
    let stopped = timeout(TIMEOUT, node.shutdown()).await.unwrap();
    assert!(matches!(stopped, Err(ShutdownError::Checkpoint(_))));
}

/// After the restart it serves what it had served before, or nothing: its disk does not show that
/// it was committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_serves_nothing_before_it_has_caught_up() {
    let mut simulated = Simulated::start(3).await;
    let restarted = simulated.follower();
    put_many(&simulated.cluster.nodes[&restarted], 5).await;
    simulated.kill(restarted);
    simulated
        .cluster
        .board
        .cut_off
        .lock()
        .unwrap()
        .insert(restarted);
    simulated.cluster.open(restarted).await.unwrap();
    let node = simulated.cluster.nodes[&restarted].clone();
    let key = *packet(99, 5).key();
    assert!(node.stored_packet(&key).is_err(), "it may be older");
    assert_eq!(node.status().not_ready, Some(NotReady::Recovering));

    simulated.cluster.board.cut_off.lock().unwrap().clear();
    timeout(TIMEOUT, node.ready()).await.unwrap();
    let stored = node.stored_packet(&key).unwrap();
    assert_eq!(
        stored.expect("it was acknowledged here").packet,
        packet(99, 5)
    );
    simulated.cluster.shutdown().await;
}

/// Publishes new packets until it is stopped, and records what was acknowledged.
fn keep_writing(node: Arc<Node>, micros: Arc<AtomicU64>, acked: Acked) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let micros = micros.fetch_add(1, Ordering::Relaxed);
            let packet = packet((micros % 40) as u8, micros);
            if node.put(packet.clone(), Conditions::default()).await == Ok(PutOutcome::Stored) {
                let mut acked = acked.lock().unwrap();
                let newest = acked.entry(*packet.key()).or_insert(0);
                *newest = micros.max(*newest);
            }
        }
    })
}

type Acked = Arc<Mutex<BTreeMap<PublicKey, u64>>>;

/// Power fails at all nodes, in different ways, while they write packets and checkpoints: what was
/// acknowledged before is still there.
#[tokio::test(flavor = "multi_thread")]
async fn acked_puts_survive_a_power_loss_of_all_nodes() {
    let cuts = std::env::var("QUORATE_POWER_CUTS").map_or(POWER_CUTS, |text| text.parse().unwrap());
    let mut simulated = Simulated::start(3).await;
    let (micros, acked) = (Arc::new(AtomicU64::new(1)), Acked::default());
    for cut in 1..=cuts as u64 {
        let nodes = simulated.cluster.nodes.values();
        let writers: Vec<_> = nodes
            .flat_map(|node| [node.clone(), node.clone()])
            .map(|node| keep_writing(node, micros.clone(), acked.clone()))
            .collect();
        let target = micros.load(Ordering::Relaxed) + 100 + cut % 7;
        let written = async {
            while micros.load(Ordering::Relaxed) < target {
                tokio::task::yield_now().await;
            }
        };
        timeout(TIMEOUT, written).await.expect("PUTs are answered");
        for node in simulated.cluster.nodes.values() {
            node.context().write_path.raft.trigger_checkpoint().await;
        }
        let acked = acked.lock().unwrap().clone();
        // From here on no node sends another what the image of its disk lacks.
        let board = simulated.cluster.board.clone();
        let nodes = simulated.cluster.nodes.keys().copied();
        board.cut_off.lock().unwrap().extend(nodes);
        let images = simulated.disks.iter().map(|(node, disk)| {
            let seed = cut * 31 + u64::from(node.0.as_bytes()[0]);
            let kinds = PowerLoss::all_kinds(seed);
            let loss = kinds[seed as usize % kinds.len()];
            (*node, disk.image(disk.boundaries(), loss))
        });
        let images: Vec<_> = images.collect();
        writers.iter().for_each(JoinHandle::abort);
        for (node, image) in images {
            simulated.kill(node);
            simulated.put_in(node, image);
        }
        board.cut_off.lock().unwrap().clear();
        simulated.cluster.open_all().await;
        simulated.cluster.ready().await;
        for node in simulated.cluster.nodes.values() {
            for (key, micros) in &acked {
                let stored = node.stored_packet(key).unwrap();
                let found = stored.map(|stored| stored.packet.timestamp().as_micros());
                assert!(
                    found >= Some(*micros),
                    "cut {cut}: {key}: {found:?}, {micros} was acked"
                );
            }
        }
    }
    simulated.cluster.shutdown().await;
}

/// Only entries wait for the disks of the others: heartbeats are answered as usual.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_continues_while_the_disks_of_all_others_are_busy() {
    let mut simulated = Simulated::prepare(3);
    simulated
        .cluster
        .configs
        .values_mut()
        .for_each(elections::calm);
    simulated.cluster.open_all().await;
    simulated.cluster.ready().await;
    let leader = simulated.cluster.leader().clone();
    let term = leader.status().term;
    put_many(&leader, 5).await;
    let followers: Vec<_> = simulated.cluster.followers().cloned().collect();
    for follower in &followers {
        simulated.disks[&follower.context().config.node].block_syncs("/data/log");
    }
    let waiting = tokio::spawn({
        let leader = leader.clone();
        async move { put(&leader, &packet(1, 6)).await }
    });
    for follower in &followers {
        let disk = simulated.disks[&follower.context().config.node].clone();
        tokio::task::spawn_blocking(move || disk.wait_for_blocked_syncs(1))
            .await
            .unwrap();
    }
    // Each call asks a quorum again whether this node still leads.
    for _ in 0..20 {
        let index = timeout(TIMEOUT, leader.context().write_path.raft.read_index()).await;
        assert!(index.unwrap().is_some(), "a quorum answers");
    }
    assert_eq!(leader.status().term, term);
    assert!(
        !waiting.is_finished(),
        "an entry is not acknowledged before it is on disk"
    );
    for follower in &followers {
        simulated.disks[&follower.context().config.node].release_syncs();
    }
    assert_eq!(waiting.await.unwrap(), Ok(PutOutcome::Stored));
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_is_slow_hands_over() {
    let simulated = Simulated::start_with(3, |config| {
        config.settings.raft.slow_sync_ms = 200;
    })
    .await;
    let slow = simulated.cluster.leader().clone();
    let disk = &simulated.disks[&slow.context().config.node];
    disk.block_syncs("/data/log");
    // The others have the entry on their disks.
    let other = simulated.cluster.followers().next().unwrap();
    let waits = other.put(packet(1, 5), Conditions::default());
    let _ = tokio::join!(
        waits,
        simulated.cluster.leader_after(slow.context().config.node)
    );
    let successor = simulated
        .cluster
        .leader_after(slow.context().config.node)
        .await;
    assert!(
        elections::gossip(&slow)
            .not_electable()
            .borrow()
            .contains(NotElectable::DISK_SLOW)
    );
    assert_eq!(put(successor, &packet(1, 6)).await, Ok(PutOutcome::Stored));
    disk.release_syncs();
    simulated.cluster.shutdown().await;
}

/// Nobody waits for a disk before it answers or sends a heartbeat.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stalls_deposes_no_leader() {
    let mut simulated = Simulated::prepare(3);
    for config in simulated.cluster.configs.values_mut() {
        elections::noticing_silence(config);
        config.settings.raft.slow_sync_ms = 60_000;
    }
    simulated.cluster = elections::with_lease(simulated.cluster).await;
    let cluster = &simulated.cluster;
    let leader = cluster.leader().clone();
    let term = leader.status().term;
    for (node, stalled) in &cluster.nodes {
        simulated.disks[node].block_syncs("/data/log");
        // Long enough for several suspicions.
        let until =
            tokio::time::Instant::now() + 4 * stalled.context().config.election_timeout_min();
        let mut micros = 0;
        while tokio::time::Instant::now() < until {
            micros += 1;
            let put = leader.put(packet(1, micros), Conditions::default());
            // The stalled leader does not apply what it does not have on disk.
            let _ = timeout(leader.context().config.heartbeat(), put).await;
        }
        simulated.disks[node].release_syncs();
    }
    assert!(leads(&leader));
    assert_eq!(leader.status().term, term);
    simulated.cluster.shutdown().await;
}

/// Without another group of entries the commit index would stay in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_alone_shows_all_that_it_showed_before_it_was_killed() {
    let mut simulated = Simulated::start(3).await;
    let follower = simulated.follower();
    let node = simulated.cluster.nodes[&follower].clone();
    let log_dir = node.context().config.dir.join(crate::LOG_DIR);
    let is_known = |disk: &SimDisk, applied| {
        let image = disk.image(disk.boundaries(), PowerLoss::Everything);
        let config = quorate_log::LogConfig::new(Arc::new(image), &log_dir);
        let registry = quorate_metrics::Registry::new();
        let metrics = quorate_log::LogMetrics::register(&registry).unwrap();
        let log = quorate_log::Log::open(config, metrics).unwrap();
        log.state().committed.is_some_and(|at| at.index >= applied)
    };
    // Again if the leader has written an entry of its own after the packet.
    for micros in 1.. {
        put(&node, &packet(1, micros)).await.unwrap();
        let applied = node.status().applied_index;
        let known = async {
            while !is_known(&simulated.disks[&follower], applied) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, known).await.expect("it is synced");
        if node.status().applied_index == applied {
            break;
        }
    }
    let applied = node.status().applied_index;
    drop(node);
    let nodes: Vec<_> = simulated.cluster.configs.keys().copied().collect();
    nodes.into_iter().for_each(|node| simulated.kill(node));

    simulated.cluster.open(follower).await.unwrap();
    let node = &simulated.cluster.nodes[&follower];
    assert!(node.status().applied_index >= applied);
}
