//! Nodes whose clocks are wrong.

use std::sync::atomic::AtomicI64;

use quorate_clock::ClockState;
use quorate_peer::NotElectable;
use quorate_sim::SimDisk;
use quorate_state::{StoredPacket, UnixMillis};

use super::*;
use crate::WallClock;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Clocks of tests: by how much each is ahead of the truth, in milliseconds.
type Ahead = BTreeMap<NodeId, Arc<AtomicI64>>;

/// A cluster whose nodes each have a clock that the test can set.
struct ClockedCluster {
    cluster: Cluster,
    disks: BTreeMap<NodeId, SimDisk>,
    ahead_ms: Ahead,
}

impl ClockedCluster {
    fn prepare(count: u64) -> Self {
        let mut cluster = Cluster::prepare(count, |config| config.settings.put.deadline_ms = 2_000);
        let (mut ahead_ms, mut disks) = (Ahead::new(), BTreeMap::new());
        for (node, config) in &mut cluster.configs {
            let disk = SimDisk::new();
            config.disk = Arc::new(disk.clone());
            config.dir = "/data".into();
            disks.insert(*node, disk);
            let ahead = Arc::new(AtomicI64::new(0));
            ahead_ms.insert(*node, ahead.clone());
            config.wall_clock = WallClock::new(move || {
                UnixMillis(
                    truth()
                        .0
                        .saturating_add_signed(ahead.load(Ordering::Relaxed)),
                )
            });
        }
        Self {
            cluster,
            disks,
            ahead_ms,
        }
    }

    async fn start(count: u64) -> Self {
        let mut clocked = Self::prepare(count);
        clocked.cluster.open_all().await;
        clocked.cluster.ready().await;
        for node in clocked.cluster.nodes.values() {
            clock_is(node, ClockState::Agreed).await;
        }
        clocked
    }

    fn set(&self, node: NodeId, ahead_ms: i64) {
        self.ahead_ms[&node].store(ahead_ms, Ordering::Relaxed);
    }

    async fn stop(&mut self, node: NodeId) {
        let stopped = self.cluster.nodes.remove(&node).expect("it runs");
        self.cluster.board.hang_up(node);
        timeout(TIMEOUT, stopped.shutdown()).await.unwrap().unwrap();
        // A disk that is not open, even if something still has the node.
        let disk = self.disks[&node].kill();
        let config = self.cluster.configs.get_mut(&node).expect("a node");
        config.disk = Arc::new(disk.clone());
        self.disks.insert(node, disk);
    }

    async fn restart(&mut self, node: NodeId) -> Arc<Node> {
        if self.cluster.nodes.contains_key(&node) {
            self.stop(node).await;
        }
        self.cluster.open(node).await.unwrap();
        self.cluster.ready().await;
        self.cluster.nodes[&node].clone()
    }

    /// Makes `node` the leader.
    async fn lead(&self, node: &Node) {
        while !leads(node) {
            let leader = self.cluster.nodes.values().find(|node| leads(node));
            if let Some(leader) = leader {
                leader
                    .context()
                    .write_path
                    .raft
                    .trigger_transfer(node.context().config.node)
                    .await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every node removes old packets, whether it leads or not.
    async fn remove_old_packets(&self) {
        for node in self.cluster.nodes.values() {
            let expiry = &node.context().context;
            expiry.remove_old().await;
        }
    }
}

fn truth() -> UnixMillis {
    WallClock::default().now()
}

/// A packet that is published now, by a correct clock.
fn fresh(key: u8) -> SignedPacket {
    packet(key, truth().0 * 1000)
}

async fn clock_is(node: &Node, state: ClockState) {
    let reach_state = async {
        while node.context().gossip.time().state != state {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = timeout(TIMEOUT, reach_state).await;
    assert!(
        reached.is_ok(),
        "{state}: {:?}",
        node.context().gossip.time()
    );
}

fn stored(node: &Node, packet: &SignedPacket) -> StoredPacket {
    let stored = node.stored_packet(packet.key()).unwrap();
    stored.expect("it is there")
}

fn error_ms(received: UnixMillis) -> u64 {
    received.0.abs_diff(truth().0)
}

/// Without the rule: a node returned with its clock 8 days ahead and was elected, and all packets
/// were removed within a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_days_ahead_that_leads_expires_nothing() {
    let mut clocked = ClockedCluster::start(3).await;
    let packets: Vec<_> = (0..50).map(fresh).collect();
    for packet in &packets {
        put(clocked.cluster.leader(), packet).await.unwrap();
    }
    let wrong = clocked.cluster.leader().context().config.node;
    clocked.set(wrong, 8 * DAY_MS);
    let node = clocked.restart(wrong).await;
    clock_is(&node, ClockState::Disagrees).await;
    let leading = timeout(TIMEOUT, clocked.lead(&node));
    let _ = leading.await;
    clocked.remove_old_packets().await;
    for node in clocked.cluster.nodes.values() {
        for packet in &packets {
            assert_eq!(stored(node, packet).packet, *packet);
        }
    }
    let ahead_ms = node.status().clock.offset_ms.unwrap();
    assert!((ahead_ms - 8 * DAY_MS).abs() < 10_000, "{ahead_ms}");
    assert!(
        node.context()
            .gossip
            .not_electable()
            .borrow()
            .contains(NotElectable::CLOCK)
    );
    clocked.cluster.shutdown().await;
}

/// Without the rule it rejected every packet of the cluster as one of the future.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_with_a_slow_clock_rejects_no_fresh_packet() {
    let clocked = ClockedCluster::start(3).await;
    let leader = clocked.cluster.leader().clone();
    let follower = clocked.cluster.followers().next().unwrap().clone();
    clocked.set(leader.context().config.node, -20 * MINUTE_MS);
    let packet = fresh(1);
    let answer = put(&leader, &packet).await;
    let is_right = matches!(answer, Err(PutError::NoLeader) | Ok(PutOutcome::Stored));
    assert!(is_right, "it is not stored, or stored: {answer:?}");
    timeout(TIMEOUT, clocked.lead(&follower)).await.unwrap();
    for node in clocked.cluster.nodes.values() {
        let answer = put(node, &fresh(2)).await.unwrap();
        assert!(matches!(
            answer,
            PutOutcome::Stored | PutOutcome::Superseded
        ));
    }
    assert!(error_ms(stored(&follower, &fresh(2)).received) < 20_000);
    clocked.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_while_leading_reorders_nothing() {
    let clocked = ClockedCluster::start(3).await;
    let leader = clocked.cluster.leader().clone();
    let mut received = Vec::new();
    let jumps_ms = [0, 3 * DAY_MS, 0, -3 * DAY_MS, 0, 8 * DAY_MS];
    for (key, jump_ms) in (0..).zip(jumps_ms) {
        clocked.set(leader.context().config.node, jump_ms);
        clocked.remove_old_packets().await;
        let packet = fresh(key);
        match put(&leader, &packet).await {
            Ok(outcome) => {
                assert_eq!(outcome, PutOutcome::Stored);
                received.push(stored(&leader, &packet).received);
            }
            Err(error) => assert!(jump_ms != 0 && error == PutError::NoLeader, "{error}"),
        }
    }
    assert!(received.len() >= 3, "while its clock is right it leads");
    assert!(received.is_sorted(), "{received:?}");
    assert!(received.iter().all(|received| error_ms(*received) < 20_000));
    assert_eq!(leader.status().packet_count as usize, received.len());
    clocked.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_days_ahead_waits_for_the_operators_confirmation() {
    let alone = NodeId::from(1);
    let mut clocked = ClockedCluster::start(1).await;
    put(&clocked.cluster.nodes[&alone], &fresh(1))
        .await
        .unwrap();
    clocked.set(alone, 8 * DAY_MS);
    let node = clocked.restart(alone).await;
    clock_is(&node, ClockState::Unknown).await;
    clocked.remove_old_packets().await;
    assert!(node.stored_packet(fresh(1).key()).unwrap().is_some());
    let answer = put(&node, &fresh(2)).await;
    assert_eq!(answer, Ok(PutOutcome::Stored), "fresh packets are accepted");
    assert!(error_ms(stored(&node, &fresh(2)).received) < 20_000);

    let config = clocked.cluster.configs.get_mut(&alone).unwrap();
    config.trust_clock = true;
    let node = clocked.restart(alone).await;
    clock_is(&node, ClockState::Agreed).await;
    put(&node, &fresh(3)).await.unwrap();
    let received = stored(&node, &fresh(3)).received;
    assert!(received > truth().saturating_add(Duration::from_secs(7 * 24 * 3600)));
    clocked.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_agreement_fresh_packets_are_accepted_and_nothing_expires() {
    let mut clocked = ClockedCluster::start(3).await;
    put(clocked.cluster.leader(), &fresh(1)).await.unwrap();
    let nodes: Vec<_> = clocked.ahead_ms.keys().copied().collect();
    let last = clocked.cluster.leader().status().applied_index;
    for node in clocked.cluster.nodes.values() {
        applied(node, last).await;
    }
    for node in &nodes {
        clocked.stop(*node).await;
    }
    for (node, days) in nodes.iter().zip([-8, 8, 30]) {
        clocked.set(*node, days * DAY_MS);
    }
    clocked.cluster.open_all().await;
    clocked.cluster.ready().await;
    for node in clocked.cluster.nodes.values() {
        clock_is(node, ClockState::Unknown).await;
        assert!(put(node, &fresh(2)).await.is_ok());
    }
    clocked.remove_old_packets().await;
    for node in clocked.cluster.nodes.values() {
        assert_eq!(node.status().packet_count, 2);
        assert_eq!(node.context().gossip.time().state, ClockState::Unknown);
        assert!(error_ms(stored(node, &fresh(2)).received) < 20_000);
    }
    clocked.cluster.shutdown().await;
}

/// A node that does not know the time lets a packet be received again, rather than prevent that.
#[tokio::test(flavor = "multi_thread")]
async fn identical_bytes_are_fresh_by_the_time_of_the_cluster_only() {
    let clocked = ClockedCluster::start(3).await;
    let packet = fresh(1);
    put(clocked.cluster.leader(), &packet).await.unwrap();
    let follower = clocked.cluster.followers().next().unwrap().clone();
    applied(&follower, clocked.cluster.leader().status().applied_index).await;
    let entries = || follower.status().last_log_index;
    let before = entries();
    for ahead_ms in [0, 2 * DAY_MS, -2 * DAY_MS] {
        clocked.set(follower.context().config.node, ahead_ms);
        assert_eq!(put(&follower, &packet).await, Ok(PutOutcome::Unchanged));
        assert_eq!(
            entries(),
            before,
            "it is known to be fresh: {ahead_ms} ms ahead"
        );
    }
    clocked.cluster.shutdown().await;
}
