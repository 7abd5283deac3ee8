//! Every kind of work in turn, on three nodes on loopback.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use quorate_ctl::RelayUrl;
use quorate_tests::{Cluster, ORIGIN, voters};

use crate::{
    commands::{PUTS_PER_SEC_MAX, SHAPE},
    cpu,
    load::{Bounds, Expect, Outcome, connections::drive, dns, requests::Requests},
    machine,
    measure::Servers,
    packets::{Keys, absent_names, shuffled},
    report,
};

/// Connections that fill the cluster: enough for full batches.
const FILL_CONNECTIONS: usize = 128;

/// How long filling may take. Keys that are not written by then are not read either.
const FILL_TIME: Duration = Duration::from_secs(15);

/// PUTs a second that one connection makes at most, with a flush in each.
const PUTS_PER_SEC_MAX_ALONE: u64 = 5_000;

/// Keys whose packets are refreshed: written once before, which is not measured.
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
    /// How many connections there are where there are several.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// Only the work whose name contains this, such as "GET"; the cluster is filled in any case.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The program; by default `quorate` beside this one.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the nodes' data lies meanwhile, on a real disk; by default beside this program.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Starts the cluster, measures, ends it.
pub(crate) async fn run(args: SmokeArgs) -> anyhow::Result<()> {
    let home = home()?;
    let program = args.program.clone().unwrap_or_else(|| home.join("quorate"));
    ensure!(
        program.is_file(),
        "there is no program {}: build it, or name it with --program",
        program.display()
    );
    let dir = args.dir.clone().unwrap_or(home);
    quorate_ctl::install_tls_provider();
    // All as it is by default, but for the limit: all PUTs come from one address.
    let plan = voters(3).named("quorate-bench").program(program).below(dir);
    let cluster = Cluster::start(plan).await;
    machine::print_facts(cluster.dir())?;
    let smoke = Smoke {
        servers: servers(&cluster).await,
        cluster,
        keys: Keys::new(0, usize::try_from(args.keys)?),
        connections: args.connections.into(),
        time: Duration::from_secs(args.secs),
        only: args.only,
    };
    println!(
        "cluster    3 nodes, {} keys, packets of {} bytes, {} s for each row\n",
        args.keys,
        smoke.keys.sign(1)[0].payload.len(),
        args.secs
    );
    smoke.run().await
}

/// Whose cost is measured: the leader's first.
async fn servers(cluster: &Cluster) -> Servers {
    let leader = cluster.leader().await;
    let followers = cluster.nodes().without(&leader);
    let nodes = || [&leader].into_iter().chain(followers.iter());
    Servers {
        ids: nodes().filter_map(|node| node.process_id()).collect(),
        admins: nodes().map(|node| node.addresses().admin).collect(),
    }
}

/// Where this program is.
fn home() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("this program does not know its own path")?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

/// Which nodes are worked on.
#[derive(Debug, Clone, Copy)]
enum At {
    Leader,
    Follower,
    All,
}

struct Smoke {
    cluster: Cluster,
    servers: Servers,
    keys: Keys,
    connections: usize,
    time: Duration,
    only: Option<String>,
}

impl Smoke {
    async fn run(&self) -> anyhow::Result<()> {
        let many = self.connections;
        report::print_header();
        let filled = self.fill().await?;
        self.put("PUT leader", At::Leader, many).await?;
        self.put("PUT follower", At::Follower, many).await?;
        self.put("PUT all nodes", At::All, many).await?;
        self.put("PUT leader", At::Leader, 1).await?;
        self.put("PUT follower", At::Follower, 1).await?;
        self.refresh().await?;

        let found = shuffled(self.keys.names()[..filled].to_vec());
        let absent = absent_names(filled);
        self.get("GET follower", &found, Expect::Found).await?;
        self.get("GET follower, 404", &absent, Expect::Absent)
            .await?;
        self.dns("DNS UDP TXT", &found, Expect::Found).await?;
        self.dns("DNS UDP NXDOMAIN", &absent, Expect::Absent)
            .await?;
        self.print_memory();
        Ok(())
    }

    /// Publishes every key once; how many were.
    async fn fill(&self) -> anyhow::Result<usize> {
        let puts = Requests::puts(self.keys.sign(self.keys.names().len()));
        let relays = self.relays(At::All).await;
        let run = drive(puts, relays, FILL_CONNECTIONS, within(FILL_TIME));
        let name = format!("fill: new keys, all nodes, {FILL_CONNECTIONS} conn");
        let row = self.servers.measure(name, run).await?;
        report::print(&row)?;
        // They are sent in their order, so it is the first ones that are there.
        Ok(usize::try_from(row.outcome.tally.ok_count())?)
    }

    async fn put(&self, work: &str, at: At, connections: usize) -> anyhow::Result<()> {
        self.measure(format!("{work}, {connections} conn"), async || {
            let per_sec_max = match connections {
                1 => PUTS_PER_SEC_MAX_ALONE,
                _ => PUTS_PER_SEC_MAX,
            };
            let count = usize::try_from(self.time.as_secs() * per_sec_max)?;
            let puts = Requests::puts(self.keys.sign(count));
            let relays = self.relays(at).await;
            Ok(drive(puts, relays, connections, within(self.time)))
        })
        .await
    }

    async fn refresh(&self) -> anyhow::Result<()> {
        let connections = self.connections;
        let name = format!("PUT same bytes, all nodes, {connections} conn");
        self.measure(name, async || {
            let packets = self.keys.sign(REFRESHED_KEYS.min(self.keys.names().len()));
            let relays = self.relays(At::All).await;
            let once = Requests::puts(packets.clone());
            drive(once, relays.clone(), connections, within(self.time)).await?;
            let again = Requests::refreshes(packets);
            Ok(drive(again, relays, connections, within(self.time)))
        })
        .await
    }

    async fn get(&self, work: &str, keys: &[String], expect: Expect) -> anyhow::Result<()> {
        let connections = self.connections;
        self.measure(format!("{work}, {connections} conn"), async || {
            let gets = Requests::gets(keys.to_vec(), expect);
            let relays = self.relays(At::Follower).await;
            Ok(drive(gets, relays, connections, within(self.time)))
        })
        .await
    }

    async fn dns(&self, work: &str, keys: &[String], expect: Expect) -> anyhow::Result<()> {
        let in_flight = SHAPE.socket_count * SHAPE.window;
        self.measure(format!("{work}, {in_flight} in flight"), async || {
            let server = self.cluster.follower().await.addresses().dns;
            let bounds = within(self.time);
            Ok(dns::run(keys, ORIGIN, expect, server, SHAPE, bounds))
        })
        .await
    }

    /// Prepares work, which is not measured, and measures it; nothing at all if only other work is
    /// wanted.
    async fn measure<F>(
        &self,
        name: String,
        prepare: impl AsyncFnOnce() -> anyhow::Result<F>,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<Outcome>>,
    {
        if (self.only.as_ref()).is_some_and(|only| !name.contains(only)) {
            return Ok(());
        }
        let run = prepare().await?;
        report::print(&self.servers.measure(name, run).await?)
    }

    /// The relays of these nodes, as the cluster stands now.
    async fn relays(&self, at: At) -> Vec<RelayUrl> {
        let nodes = match at {
            At::Leader => vec![self.cluster.leader().await],
            At::Follower => vec![self.cluster.follower().await],
            At::All => self.cluster.nodes().to_vec(),
        };
        let addresses = nodes.iter().map(|node| node.addresses().http);
        addresses.map(RelayUrl::from).collect()
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

fn within(time: Duration) -> Bounds {
    Bounds {
        time,
        count_max: u64::MAX,
    }
}
