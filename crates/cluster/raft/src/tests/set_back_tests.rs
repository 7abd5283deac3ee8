//! A majority of the clocks is ahead for a while.

use quorate_api::DeletePacket;
use quorate_clock::ClockState;
use quorate_replica::Conditions;
use quorate_state::{UnixMillis, millis};
use tokio::time::Instant;

use super::{disk_faults::Simulated, test_members::ask, *};
use crate::WallClock;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// An eighth of it is 15 minutes.
const RETENTION: Duration = Duration::from_secs(2 * 3600);

/// Three nodes whose clocks are set together: time passes when the test lets it.
struct TickingCluster {
    simulated: Simulated,
    ahead: Ahead,
    passed: Duration,
}

impl TickingCluster {
    async fn start(adjust: impl Fn(&mut RaftConfig)) -> Self {
        let ahead = Ahead::default();
        let simulated = Simulated::start_with(3, |config| {
            config.wall_clock = ahead.clock();
            config.settings.packets.retention_secs = RETENTION.as_secs();
            config.settings.put.deadline_ms = 10_000;
            adjust(config);
        })
        .await;
        for node in simulated.cluster.nodes.values() {
            leader_proposals::agreed_count_max(node).await;
        }
        Self {
            simulated,
            ahead,
            passed: Duration::ZERO,
        }
    }

    fn cluster(&self) -> &Cluster {
        &self.simulated.cluster
    }

    /// Any node: the leader may change while the clocks are set.
    fn node(&self) -> &Arc<Node> {
        self.cluster()
            .nodes
            .values()
            .next()
            .expect("there are some")
    }

    fn truth(&self) -> UnixMillis {
        WallClock::default().now().saturating_add(self.passed)
    }

    /// Sets all clocks ahead of the truth by this much, and waits until the nodes agree on that
    /// time.
    async fn set_ahead(&self, by: Duration) {
        self.ahead.set(self.passed + by);
        for node in self.cluster().nodes.values() {
            let agree = async {
                loop {
                    let reading = node.context().gossip.time();
                    let is_it =
                        difference(reading.time, self.truth().saturating_add(by)) < MINUTE / 2;
                    if reading.state == ClockState::Agreed && is_it {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(TIMEOUT, agree)
                .await
                .expect("the nodes agree on the time");
        }
    }

    /// Lets this much time pass while the clocks are ahead by `ahead`, and waits until the log has
    /// the time.
    async fn pass(&mut self, time: Duration, ahead: Duration) {
        self.passed += time;
        self.set_ahead(ahead).await;
        let now = self.truth().saturating_add(ahead);
        for node in self.cluster().nodes.values() {
            let mut applied = node.context().write_path.applied.clone();
            let is_in_log = applied.wait_for(|meta| {
                let last = meta.cluster.time.last_in_log();
                last.is_some_and(|last| difference(last, now) < MINUTE)
            });
            let applied = timeout(TIMEOUT, is_in_log).await;
            applied.expect("the time is in the log").unwrap();
        }
    }

    /// By how much time was set back, as reported to readers.
    fn read_set_back(&self) -> Duration {
        self.node().read_state().set_back
    }

    async fn is_set_back(&self) {
        for node in self.cluster().nodes.values() {
            let is_set_back = async {
                while node.read_state().set_back.is_zero() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(TIMEOUT, is_set_back).await.expect("it is time");
        }
    }

    async fn kill_all(&mut self) {
        let nodes: Vec<_> = self.cluster().configs.keys().copied().collect();
        let index = self.node().status().applied_index;
        for node in self.cluster().nodes.values() {
            applied(node, index).await;
        }
        for node in &nodes {
            self.simulated.kill(*node);
        }
    }

    async fn open_all(&mut self) {
        self.simulated.cluster.open_all().await;
        self.cluster().ready().await;
    }

    async fn restart_all(&mut self) {
        self.kill_all().await;
        self.open_all().await;
    }

    /// Lets all nodes remove old packets, once they may. The packets of these keys must still be
    /// there.
    async fn nothing_expires(&self, keys: &[u8]) {
        for node in self.cluster().nodes.values() {
            let context = node.context();
            let may_expire = async {
                let log_time = || context.state_machine.meta().cluster.time.clone();
                while !context.gossip.time().may_expire
                    || log_time().stamp_at(context.gossip.time().time).is_none()
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let ended = timeout(2 * TIMEOUT, may_expire).await;
            ended.expect("the pause ends");
        }
        for node in self.cluster().nodes.values() {
            node.context().context.remove_old().await;
        }
        for key in keys {
            self.received(*key).await;
        }
    }

    /// The time at which all nodes report that they received the packet of this key.
    async fn received(&self, key: u8) -> UnixMillis {
        expect_equal_digests(self.cluster().nodes.values()).await;
        let key = PublicKey::from_bytes([key; 32]);
        let nodes = self.cluster().nodes.values();
        let stored = nodes.map(|node| node.stored_packet(&key).unwrap().expect("it is there"));
        let received: Vec<_> = stored.map(|stored| stored.received).collect();
        assert!(received.iter().all(|it| *it == received[0]), "{received:?}");
        received[0]
    }
}

fn difference(a: UnixMillis, b: UnixMillis) -> Duration {
    a.since(b).max(b.since(a))
}

/// A PUT that only the log decides.
async fn put_through_log(node: &Node, packet: SignedPacket) -> Result<PutOutcome, PutError> {
    let deadline = Instant::now() + Duration::from_secs(2);
    node.context()
        .write_queue
        .put(packet, Conditions::default(), deadline)
        .await
}

/// Without the rule, stamps stayed a month ahead. A PUT of an unknown key then evicted packets that
/// were alive, because their refreshes cost no entry, and blocks ended too early.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_month_ahead_nothing_alive_is_evicted_and_blocks_hold() {
    let ticking = TickingCluster::start(|config| config.settings.packets.count_max = 2).await;
    let node = ticking.cluster().followers().next().unwrap();
    let alive = packet(2, 5);
    put(node, &packet(1, 5)).await.unwrap();
    put(node, &alive).await.unwrap();
    let block = DeletePacket {
        key: PublicKey::from_bytes([9; 32]),
        block_secs: Some(10 * DAY.as_secs()),
    };
    ask(node, block).await.unwrap();

    ticking.set_ahead(MONTH).await;
    assert_eq!(put(node, &packet(1, 6)).await, Ok(PutOutcome::Stored));
    ticking.set_ahead(Duration::ZERO).await;
    assert_eq!(put(node, &alive).await, Ok(PutOutcome::Unchanged));
    assert_eq!(put(node, &packet(3, 5)).await, Ok(PutOutcome::Full));
    let blocked = packet(9, ticking.truth().0 * 1000 + 1);
    assert_eq!(
        put_through_log(node, blocked).await,
        Ok(PutOutcome::Blocked)
    );
    for key in [1, 2] {
        ticking.received(key).await;
    }
    ticking.simulated.cluster.shutdown().await;
}

/// Without the rule, only the processes that saw a step paused expiry: all packets were removed
/// soon after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_month_ahead_and_a_restart_nothing_alive_expires() {
    // Longer than the test; an eighth of it is the pause after the restart.
    let mut ticking =
        TickingCluster::start(|config| config.settings.packets.retention_secs = 80).await;
    put(ticking.node(), &packet(1, 5)).await.unwrap();
    ticking.set_ahead(MONTH).await;
    put(ticking.node(), &packet(2, 5)).await.unwrap();
    ticking.restart_all().await;
    ticking.nothing_expires(&[1, 2]).await;
    ticking.simulated.cluster.shutdown().await;
}

/// No process has seen this step.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_starts_with_its_clocks_a_month_ahead_expires_nothing_alive() {
    let mut ticking =
        TickingCluster::start(|config| config.settings.packets.retention_secs = 80).await;
    put(ticking.node(), &packet(1, 5)).await.unwrap();
    ticking.kill_all().await;
    ticking.ahead.set(MONTH);
    ticking.open_all().await;
    ticking.nothing_expires(&[1]).await;
    ticking.simulated.cluster.shutdown().await;
}

/// Without the rule, stamps stayed a month ahead until the true time had reached them.
#[tokio::test(flavor = "multi_thread")]
async fn time_is_set_back_across_restarts_after_a_long_agreement() {
    let mut ticking = TickingCluster::start(|config| config.settings.packets.count_max = 5).await;
    for key in [1, 2] {
        put(ticking.node(), &packet(key, 5)).await.unwrap();
    }
    let before = ticking.received(1).await;
    ticking.set_ahead(MONTH).await;
    for key in [2, 3] {
        put(ticking.node(), &packet(key, 6)).await.unwrap();
    }
    ticking.restart_all().await;
    ticking.pass(10 * MINUTE, MONTH).await;
    put(ticking.node(), &packet(4, 5)).await.unwrap();

    ticking.set_ahead(Duration::ZERO).await;
    let stepped = put(ticking.node(), &packet(5, 5)).await;
    assert_eq!(stepped, Ok(PutOutcome::Stored));
    ticking.pass(10 * MINUTE, Duration::ZERO).await;
    assert!(
        difference(
            ticking.received(5).await,
            ticking.truth().saturating_add(MONTH)
        ) < DAY
    );
    assert_eq!(ticking.read_set_back(), Duration::ZERO, "it is early yet");
    let ahead_ms = ticking.node().status().clock.log_ahead_ms;
    assert!(ahead_ms.abs_diff(millis(MONTH)) < millis(MINUTE));

    // The time that has been waited is not lost.
    ticking.restart_all().await;
    ticking.passed += 6 * MINUTE;
    ticking.set_ahead(Duration::ZERO).await;
    ticking.is_set_back().await;
    assert_eq!(
        ticking.received(1).await,
        before,
        "it is from before the step"
    );
    let mut received = Vec::new();
    for key in 1..=5 {
        received.push(ticking.received(key).await);
    }
    assert!(received.is_sorted(), "{received:?}");
    assert!(received[4] <= ticking.truth());
    let now = ticking.truth();
    for (key, ago) in [(2, 26), (3, 26), (4, 16), (5, 16)] {
        let expected = now.saturating_sub(ago * MINUTE);
        let difference = difference(received[key - 1], expected);
        assert!(difference < MINUTE, "{key}: {difference:?}");
    }

    // The cluster is full and evicts no live packet. A packet that is received now, at any node,
    // gets the current time.
    let unknown = packet(6, 5);
    assert_eq!(put(ticking.node(), &unknown).await, Ok(PutOutcome::Full));
    assert_eq!(
        put(ticking.node(), &packet(1, 9)).await,
        Ok(PutOutcome::Stored)
    );
    assert!(difference(ticking.received(1).await, ticking.truth()) < MINUTE);
    ticking.restart_all().await;
    assert!(difference(ticking.received(1).await, ticking.truth()) < MINUTE);
    assert!(difference(ticking.received(5).await, received[4]).is_zero());
    ticking.simulated.cluster.shutdown().await;
}
