//! A cluster of real processes in a temporary directory.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use reqwest::Client;
use tempfile::TempDir;

use crate::{Links, Node, Nodes, Publisher, binary, wait::until};

/// The zone that nodes serve by default.
pub const ORIGIN: &str = "quorate.test.";

/// The second zone that nodes serve.
pub const OTHER_ORIGIN: &str = "other.test.";

/// How long a request may take: longer than the deadline of any PUT, so that an answer after the
/// deadline is still received.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a cluster is started again if another process took one of its ports.
const START_TRIES: usize = 3;

/// Describes a cluster to start.
#[derive(Debug, Clone)]
pub struct Plan {
    voter_count: usize,
    program: Option<PathBuf>,
    dir: PathBuf,
    put_deadline: Duration,
    put_slow: Duration,
    checkpoint_interval: Duration,
    put_burst: Option<u32>,
    log_kept_count: u64,
    has_links: bool,
    cluster_settings: String,
    more_config: String,
    /// The text after `listen` in `[dns]`.
    dns: String,
    /// The host name of a node, by its number.
    host: fn(usize) -> String,
}

/// A cluster of `count` voters with default settings, except that PUTs are not limited.
pub fn voters(count: usize) -> Plan {
    Plan {
        voter_count: count,
        program: None,
        dir: env::temp_dir(),
        put_deadline: Duration::from_secs(10),
        put_slow: Duration::from_secs(1),
        checkpoint_interval: Duration::from_secs(30),
        put_burst: None,
        log_kept_count: 50_000,
        has_links: false,
        cluster_settings: String::new(),
        more_config: String::new(),
        dns: two_origins(),
        host: |_| "127.0.0.1".to_owned(),
    }
}

/// Two zones, so that no test passes only because there is one.
fn two_origins() -> String {
    format!(
        r#"
[[dns.origins]]
name = "{ORIGIN}"
ns = ["ns1.{ORIGIN}"]
a = ["192.0.2.1"]
aaaa = ["2001:db8::1"]
ns_addresses = {{ "ns1.{ORIGIN}" = ["192.0.2.53"] }}

[[dns.origins]]
name = "{OTHER_ORIGIN}"
ns = ["ns.example.org."]
"#
    )
}

impl Plan {
    /// Lets the nodes run this program instead of the default one.
    pub fn program(self, program: PathBuf) -> Self {
        Self {
            program: Some(program),
            ..self
        }
    }

    /// Creates the cluster's directory in `dir` instead of the directory for temporary files.
    pub fn below(self, dir: PathBuf) -> Self {
        Self { dir, ..self }
    }

    /// Sets the deadline of a PUT.
    pub fn put_deadline(self, put_deadline: Duration) -> Self {
        Self {
            put_deadline,
            ..self
        }
    }

    /// Sets how long a PUT takes before it is logged with its stages.
    pub fn put_slow(self, put_slow: Duration) -> Self {
        Self { put_slow, ..self }
    }

    /// How often a checkpoint is written.
    pub fn checkpoint_interval(self, checkpoint_interval: Duration) -> Self {
        Self {
            checkpoint_interval,
            ..self
        }
    }

    /// How many log entries are kept after a checkpoint covers them.
    pub fn log_kept_count(self, log_kept_count: u64) -> Self {
        Self {
            log_kept_count,
            ..self
        }
    }

    /// How many PUTs a client may send in a burst; then one a second.
    pub fn put_burst(self, put_burst: u32) -> Self {
        Self {
            put_burst: Some(put_burst),
            ..self
        }
    }

    /// Lets the nodes reach each other over links that the test can break.
    pub fn with_links(self) -> Self {
        Self {
            has_links: true,
            ..self
        }
    }

    /// More settings of every node's `[cluster]`.
    pub fn with_cluster_settings(self, settings: &str) -> Self {
        Self {
            cluster_settings: settings.to_owned(),
            ..self
        }
    }

    /// More sections of every node's configuration file, such as `[packets]`.
    pub fn with_config(self, sections: &str) -> Self {
        Self {
            more_config: sections.to_owned(),
            ..self
        }
    }

    /// What every node's configuration file has below `[dns]`, except `listen`, instead of two
    /// zones.
    pub fn with_dns(self, dns: &str) -> Self {
        Self {
            dns: dns.to_owned(),
            ..self
        }
    }

    /// The host name under which others reach each node, instead of its address.
    pub fn with_host_names(self, host: fn(usize) -> String) -> Self {
        Self { host, ..self }
    }

    /// For how many voters the cluster waits: an odd number. Further nodes become voters too.
    fn voters_awaited(&self) -> usize {
        self.voter_count.saturating_sub(1) / 2 * 2 + 1
    }

    /// The configuration file of node `number`.
    fn config(&self, node: &Node, number: usize) -> String {
        let addresses = node.addresses();
        let Self {
            put_deadline,
            put_slow,
            checkpoint_interval,
            log_kept_count,
            cluster_settings,
            more_config,
            dns: dns_settings,
            ..
        } = self;
        format!(
            r#"version = 1
data_dir = {data_dir:?}

[cluster]
node_name = "{node_name}"
{cluster_settings}

[http]
listen = "{http}"

[peer]
listen = "{peer}"
advertise = "{advertise}"

[admin]
listen = "{admin}"

[dns]
listen = "{dns}"
{dns_settings}

[limit]
{limit}

[put]
deadline_ms = {deadline_ms}
slow_ms = {slow_ms}

[store]
checkpoint_interval_secs = {checkpoint_secs}

[log]
kept_count_max = {log_kept_count}
{more_config}"#,
            data_dir = node.data_dir(),
            node_name = node.name().replace(' ', "-"),
            limit = match self.put_burst {
                None => "enabled = false".to_owned(),
                Some(burst) => format!("put_burst = {burst}\nput_per_sec = 1"),
            },
            http = addresses.http,
            peer = addresses.peer,
            advertise = format_args!("{}:{}", (self.host)(number), addresses.peer.port()),
            admin = addresses.admin,
            dns = addresses.dns,
            deadline_ms = put_deadline.as_millis(),
            slow_ms = put_slow.as_millis(),
            checkpoint_secs = checkpoint_interval.as_secs(),
        )
    }
}

/// A running cluster. When this is dropped, its nodes are killed and its data is removed; if the test
/// has failed, the logs of the nodes are printed.
pub struct Cluster {
    plan: Plan,
    /// Grows.
    nodes: Mutex<Vec<Arc<Node>>>,
    links: Option<Links>,
    client: Client,
    dir: TempDir,
}

impl Cluster {
    /// Creates directories, identities and configuration files, prepares the first node to found the
    /// cluster and the others to join it. Starts nothing.
    pub fn prepare(plan: &Plan) -> Self {
        let dir = TempDir::with_prefix_in("quorate-tests-", &plan.dir)
            .expect("a temporary directory can be created");
        let client = Client::builder()
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .build()
            .expect("a client can be built");
        let mut cluster = Self {
            plan: plan.clone(),
            nodes: Mutex::default(),
            links: None,
            client,
            dir,
        };
        for _ in 0..plan.voter_count {
            cluster.another_node();
        }
        let nodes = cluster.nodes();
        cluster.links = plan.has_links.then(|| Links::between(&nodes));
        if let Some(links) = &cluster.links {
            for node in nodes.iter() {
                node.set_routes(links.routes(node));
            }
        }
        if let [first, others @ ..] = &*nodes {
            first.found(&cluster.token_file(), plan.voters_awaited());
            others
                .iter()
                .for_each(|node| node.join_by_file(&cluster.token_file()));
        }
        cluster
    }

    /// A further node with an identity and a configuration, not started.
    pub fn machine(&self) -> Arc<Node> {
        self.another_node()
    }

    /// The file with the join token of the planned nodes.
    pub fn token_file(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    /// Starts a further node, which joins with a token of `member`, and waits until it is a voter.
    pub async fn join(&self, member: &Node) -> Arc<Node> {
        let node = self.machine();
        node.join(&member.invite(&[]).await);
        member.wait_for_role(&node, "voter").await;
        node.wait_ready().await;
        node
    }

    fn another_node(&self) -> Arc<Node> {
        let program = self.plan.program.as_deref();
        let program = program.unwrap_or_else(|| binary::quorate());
        let mut nodes = self.lock();
        let number = nodes.len() + 1;
        let (name, dir) = (
            format!("node {number}"),
            self.dir.path().join(number.to_string()),
        );
        let node = Arc::new(Node::init(name, dir, program, self.client.clone()));
        node.configure(&self.plan.config(&node, number));
        nodes.push(node.clone());
        node
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Node>>> {
        // Adding a node cannot panic halfway.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a cluster and waits until all its nodes are ready voters.
    pub async fn start(plan: Plan) -> Self {
        let cluster = Self::start_at_free_ports(&plan).await;
        cluster.nodes().expect_to_be_the_voters().await;
        cluster
    }

    async fn start_at_free_ports(plan: &Plan) -> Self {
        for _ in 1..START_TRIES {
            let cluster = Self::prepare(plan);
            if cluster.start_unless_ports_are_taken().await {
                return cluster;
            }
        }
        let cluster = Self::prepare(plan);
        cluster.nodes().start();
        cluster.nodes().wait_ready().await;
        cluster
    }

    async fn start_unless_ports_are_taken(&self) -> bool {
        self.nodes().start();
        for node in self.nodes().iter() {
            let alive = until(
                "a node to be ready",
                crate::wait::START_WITHIN,
                async || match node.is_up() {
                    false if node.log().to_lowercase().contains("in use") => Ok(false),
                    _ => node.ready().await.map(|()| true),
                },
            );
            if !alive.await {
                return false;
            }
        }
        true
    }

    /// Where the directories of its nodes are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The network between the nodes of a cluster that was planned with links.
    pub fn links(&self) -> &Links {
        self.links
            .as_ref()
            .expect("a test that cuts links plans a cluster with links")
    }

    /// All nodes, in the order of their numbers.
    pub fn nodes(&self) -> Nodes {
        self.lock().iter().cloned().collect()
    }

    /// Node `number`, counted from 1.
    pub fn node(&self, number: usize) -> Arc<Node> {
        self.lock()[number - 1].clone()
    }

    /// The nodes whose processes run.
    pub fn live(&self) -> Nodes {
        self.nodes().only(Node::is_up)
    }

    /// The leader, once all live nodes agree on one.
    pub async fn leader(&self) -> Arc<Node> {
        self.live().wait_for_leader().await
    }

    /// A live node that is not the leader.
    pub async fn follower(&self) -> Arc<Node> {
        let leader = self.leader().await;
        self.live()
            .without(&leader)
            .first()
            .expect("there are several live nodes")
            .clone()
    }

    /// A publisher with a new key.
    pub fn publisher(&self, name: &str) -> Publisher {
        Publisher::new(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            for node in self.nodes().iter() {
                eprintln!("{}", node.log_text());
            }
        }
    }
}
