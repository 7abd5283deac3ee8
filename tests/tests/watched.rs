//! A cluster under load, with links that can fail and with checked reads.

use std::time::Duration;

use quorate_tests::{Cluster, Load, Plan, Readers, voters};

/// Enough writers to form batches, few enough for two cores.
const WRITER_COUNT: usize = 12;

/// Acknowledgements that show that writes continue.
const ACKS: u64 = 200;

/// The deadline of a PUT: short, so that writers at an isolated node try another one.
const PUT_DEADLINE: Duration = Duration::from_secs(2);

/// Timeouts that a busy machine does not exceed, for tests that expect no election.
const PATIENT: &str = "[raft]
heartbeat_ms = 100
election_timeout_min_ms = 1000
election_timeout_max_ms = 1500
";

/// The same for links with a delay of some hundred milliseconds.
const MORE_PATIENT: &str = "[raft]
heartbeat_ms = 500
election_timeout_min_ms = 2000
election_timeout_max_ms = 3500
";

pub(crate) struct Watched {
    pub(crate) cluster: Cluster,
    load: Load,
    readers: Readers,
}

impl Watched {
    /// Starts it, and waits for acknowledged writes.
    pub(crate) async fn start() -> Self {
        Self::start_plan(voters(3)).await
    }

    /// The same with long election timeouts.
    pub(crate) async fn start_patient(voter_count: usize) -> Self {
        Self::start_plan(voters(voter_count).with_config(PATIENT)).await
    }

    /// The same for slow links.
    pub(crate) async fn start_more_patient() -> Self {
        Self::start_plan(voters(3).with_config(MORE_PATIENT)).await
    }

    async fn start_plan(plan: Plan) -> Self {
        let cluster = Cluster::start(plan.with_links().put_deadline(PUT_DEADLINE)).await;
        let load = Load::start(&cluster.nodes(), WRITER_COUNT);
        let readers = Readers::start(&cluster.nodes(), &load);
        let watched = Self {
            cluster,
            load,
            readers,
        };
        watched.expect_writes().await;
        watched
    }

    /// Waits until more PUTs are acknowledged.
    pub(crate) async fn expect_writes(&self) {
        self.load.wait_for_acks(ACKS).await;
    }

    /// Heals it, and expects that all nodes become equal and hold what was acknowledged, and that no read
    /// was wrong.
    pub(crate) async fn expect_healed(self) {
        self.cluster.links().heal();
        self.cluster.nodes().wait_ready().await;
        self.expect_writes().await;
        let reads = self.readers.stop().await;
        assert!(
            reads.stale > 50 && reads.linearizable > 50,
            "{reads:?} show little"
        );
        let oracle = self.load.stop().await;
        self.cluster.nodes().expect_converged().await;
        oracle.expect_held_by(&self.cluster.nodes()).await;
    }
}
