//! Every kind of work in turn, on three nodes on loopback.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;

use crate::{
    cluster::{Cluster, Node, ORIGIN},
    commands::{PUTS_PER_SEC_MAX, SHAPE},
    cpu,
    load::{
        Bounds, dns,
        get::{self, Expect},
        put::{self, AtEnd},
    },
    machine,
    measure::Servers,
    packets::{Keys, absent_names, shuffled},
    relay_url::RelayUrl,
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
    let mut cluster = Cluster::start(&program, &dir).await?;
    machine::print_facts(cluster.dir())?;
    let mut smoke = Smoke {
        servers: cluster.servers().await?,
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
    async fn run(&mut self) -> anyhow::Result<()> {
        let many = self.connections;
        report::print_head();
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
    async fn fill(&mut self) -> anyhow::Result<usize> {
        let packets = self.keys.sign(self.keys.names().len());
        let relays = self.relays(At::All).await?;
        let bounds = Bounds {
            time: FILL_TIME,
            count_max: u64::MAX,
        };
        let run = put::run(packets, AtEnd::Stop, &relays, FILL_CONNECTIONS, bounds);
        let name = format!("fill: new keys, all nodes, {FILL_CONNECTIONS} conn");
        let row = self.servers.measure(name, run).await?;
        report::print(&row)?;
        // They are sent in their order, so it is the first ones that are there.
        Ok(usize::try_from(row.outcome.tally.ok_count())?)
    }

    async fn put(&mut self, work: &str, at: At, connections: usize) -> anyhow::Result<()> {
        let name = format!("{work}, {connections} conn");
        if !self.wants(&name) {
            return Ok(());
        }
        let per_sec_max = match connections {
            1 => PUTS_PER_SEC_MAX_ALONE,
            _ => PUTS_PER_SEC_MAX,
        };
        let packets = self
            .keys
            .sign(usize::try_from(self.time.as_secs() * per_sec_max)?);
        let relays = self.relays(at).await?;
        let run = put::run(packets, AtEnd::Stop, &relays, connections, self.bounds());
        report::print(&self.servers.measure(name, run).await?)
    }

    async fn refresh(&mut self) -> anyhow::Result<()> {
        let name = format!("PUT same bytes, all nodes, {} conn", self.connections);
        if !self.wants(&name) {
            return Ok(());
        }
        let packets = self.keys.sign(REFRESHED_KEYS.min(self.keys.names().len()));
        let relays = self.relays(At::All).await?;
        let written = packets.clone();
        put::run(
            written,
            AtEnd::Stop,
            &relays,
            self.connections,
            self.bounds(),
        )
        .await?;
        let run = put::run(
            packets,
            AtEnd::Refresh,
            &relays,
            self.connections,
            self.bounds(),
        );
        report::print(&self.servers.measure(name, run).await?)
    }

    async fn get(&mut self, work: &str, keys: &[String], expect: Expect) -> anyhow::Result<()> {
        let name = format!("{work}, {} conn", self.connections);
        if !self.wants(&name) {
            return Ok(());
        }
        let relays = self.relays(At::Follower).await?;
        let run = get::run(
            keys.to_vec(),
            expect,
            &relays,
            self.connections,
            self.bounds(),
        );
        report::print(&self.servers.measure(name, run).await?)
    }

    async fn dns(&mut self, work: &str, keys: &[String], expect: Expect) -> anyhow::Result<()> {
        let name = format!("{work}, {} in flight", SHAPE.socket_count * SHAPE.window);
        if !self.wants(&name) {
            return Ok(());
        }
        let (_, follower) = self.cluster.leader_and_follower().await?;
        let server = follower.dns();
        let run = dns::run(keys, ORIGIN, expect, server, SHAPE, self.bounds());
        report::print(&self.servers.measure(name, run).await?)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            time: self.time,
            count_max: u64::MAX,
        }
    }

    /// The relays of these nodes, as the cluster stands now.
    async fn relays(&mut self, at: At) -> anyhow::Result<Vec<RelayUrl>> {
        let (leader, follower) = self.cluster.leader_and_follower().await?;
        Ok(match at {
            At::Leader => vec![leader.relay()],
            At::Follower => vec![follower.relay()],
            At::All => self.cluster.nodes().iter().map(Node::relay).collect(),
        })
    }

    fn print_memory(&self) {
        print!("\nresident memory:");
        for node in self.cluster.nodes() {
            if let Some(size) = cpu::resident_size(node.id()) {
                print!(" node {} {} MiB", node.number, size / (1024 * 1024));
            }
        }
        println!();
    }
}
