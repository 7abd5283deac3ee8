//! Every kind of work in turn, on three nodes on loopback.

use clap::Args;
use quorate_ctl::RelayUrl;
use quorate_tests::{Cluster, ORIGIN};

use crate::{
    cluster::{ClusterArgs, FILL_CONNECTIONS, relays, servers},
    commands::PUTS_PER_SEC_MAX,
    cpu,
    load::{
        Bounds, Expect,
        connections::drive,
        dns::{self, SHAPE},
        queries::Queries,
        requests::Requests,
    },
    measure::Servers,
    packets::{Keys, absent_names, shuffled},
    report,
};

/// How long filling may take, in seconds. Keys that are not written by then are not read either.
const FILL_SECS: u64 = 15;

/// PUTs a second that one connection sends at most, with a flush in each.
const PUTS_PER_SEC_MAX_ALONE: u64 = 5_000;

/// Keys whose packets are refreshed. Their first write is not measured.
const REFRESHED_KEYS: usize = 5_000;

/// Arguments of `quorate-bench smoke`.
#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// How long each kind of work is done, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    secs: u64,
    /// How many keys are published before anything is measured.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    keys: u64,
    /// How many connections work with several connections has.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// Only the work whose name contains this, such as "GET"; the cluster is filled in any case.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts the cluster, measures, stops it.
pub(crate) async fn run(args: SmokeArgs) -> anyhow::Result<()> {
    let cluster = args.cluster.start().await?;
    let smoke = Smoke {
        servers: servers(&cluster).await,
        cluster,
        keys: Keys::new(0, usize::try_from(args.keys)?),
        args,
    };
    println!(
        "cluster    3 nodes, {} keys, packets of {} bytes, {} s for each row\n",
        smoke.args.keys,
        smoke.keys.sign(1)[0].payload.len(),
        smoke.args.secs
    );
    smoke.run().await
}

/// Which nodes receive the requests.
#[derive(Debug, Clone, Copy)]
enum NodeChoice {
    Leader,
    Follower,
    All,
}

struct Smoke {
    args: SmokeArgs,
    cluster: Cluster,
    servers: Servers,
    keys: Keys,
}

impl Smoke {
    async fn run(&self) -> anyhow::Result<()> {
        let many = self.args.connections.into();
        report::print_header();
        let filled = self.fill().await?;
        self.put("PUT leader", NodeChoice::Leader, many).await?;
        self.put("PUT follower", NodeChoice::Follower, many).await?;
        self.put("PUT all nodes", NodeChoice::All, many).await?;
        self.put("PUT leader", NodeChoice::Leader, 1).await?;
        self.put("PUT follower", NodeChoice::Follower, 1).await?;
        self.http(
            "PUT same bytes, all nodes",
            NodeChoice::All,
            many,
            async || {
                let packets = self.keys.sign(REFRESHED_KEYS.min(self.keys.names().len()));
                let once = Requests::puts(packets.clone());
                drive(
                    once,
                    self.relays(NodeChoice::All).await,
                    many,
                    within(self.args.secs),
                )
                .await?;
                Ok(Requests::refreshes(packets))
            },
        )
        .await?;

        let found = shuffled(self.keys.names()[..filled].to_vec());
        let absent = absent_names(filled);
        for (work, keys, expect) in [
            ("GET follower", &found, Expect::Found),
            ("GET follower, 404", &absent, Expect::Absent),
        ] {
            let gets = async || Ok(Requests::gets(keys.clone(), expect));
            self.http(work, NodeChoice::Follower, many, gets).await?;
        }
        self.dns("DNS UDP TXT", &found, Expect::Found).await?;
        self.dns("DNS UDP NXDOMAIN", &absent, Expect::Absent)
            .await?;
        self.print_memory();
        Ok(())
    }

    /// Publishes every key once. Returns how many were published.
    async fn fill(&self) -> anyhow::Result<usize> {
        let puts = Requests::puts(self.keys.sign(self.keys.names().len()));
        let relays = self.relays(NodeChoice::All).await;
        let run = drive(puts, relays, FILL_CONNECTIONS, within(FILL_SECS));
        let name = format!("fill: new keys, all nodes, {FILL_CONNECTIONS} conn");
        let row = self.servers.measure(name, run).await?;
        report::print(&row)?;
        // They are sent in order, so the first ones are stored.
        Ok(usize::try_from(row.outcome.tally.ok_count())?)
    }

    async fn put(&self, work: &str, nodes: NodeChoice, connections: usize) -> anyhow::Result<()> {
        let per_sec_max = match connections {
            1 => PUTS_PER_SEC_MAX_ALONE,
            _ => PUTS_PER_SEC_MAX,
        };
        let count = usize::try_from(self.args.secs * per_sec_max)?;
        let puts = async || Ok(Requests::puts(self.keys.sign(count)));
        self.http(work, nodes, connections, puts).await
    }

    /// Work over HTTP, if it is selected. The time to prepare the requests is not measured.
    async fn http(
        &self,
        work: &str,
        nodes: NodeChoice,
        connections: usize,
        prepare: impl AsyncFnOnce() -> anyhow::Result<Requests>,
    ) -> anyhow::Result<()> {
        let name = format!("{work}, {connections} conn");
        if !self.wants(&name) {
            return Ok(());
        }
        let requests = prepare().await?;
        let run = drive(
            requests,
            self.relays(nodes).await,
            connections,
            within(self.args.secs),
        );
        report::print(&self.servers.measure(name, run).await?)
    }

    async fn dns(&self, work: &str, keys: &[String], expect: Expect) -> anyhow::Result<()> {
        let name = format!("{work}, {} in flight", SHAPE.sockets * SHAPE.window);
        if !self.wants(&name) {
            return Ok(());
        }
        let server = self.cluster.follower().await.addresses().dns;
        let queries = Queries::txt(keys, ORIGIN)?;
        let run = dns::run(queries, expect, server, SHAPE, within(self.args.secs));
        report::print(&self.servers.measure(name, run).await?)
    }

    fn wants(&self, name: &str) -> bool {
        let only = self.args.only.as_ref();
        only.is_none_or(|only| name.contains(only))
    }

    /// The relays of these nodes, with the current roles of the cluster.
    async fn relays(&self, nodes: NodeChoice) -> Vec<RelayUrl> {
        relays(&match nodes {
            NodeChoice::Leader => vec![self.cluster.leader().await],
            NodeChoice::Follower => vec![self.cluster.follower().await],
            NodeChoice::All => self.cluster.nodes().to_vec(),
        })
    }

    fn print_memory(&self) {
        print!("\nresident memory:");
        for node in self.cluster.nodes().iter() {
            if let Some(size) = node.process_id().and_then(cpu::resident_size) {
                print!(" {} {} MiB", node.name(), size / (1024 * 1024));
            }
        }
        println!();
    }
}

fn within(secs: u64) -> Bounds {
    Bounds { secs, count: None }
}
