//! A cluster of our own: three nodes on loopback, started and ended with the run.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use clap::Args;
use quorate_ctl::RelayUrl;
use quorate_tests::{Cluster, Node, voters};

use crate::{machine, measure::Servers};

/// Connections that fill the cluster: enough for full batches.
pub(crate) const FILL_CONNECTIONS: usize = 128;

/// Which program runs, and where its data lies.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// The program; by default `quorate` beside this one.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the nodes' data lies meanwhile, on a real disk; by default beside this program.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl ClusterArgs {
    /// Starts the nodes, and prints what they run on.
    pub(crate) async fn start(&self) -> anyhow::Result<Cluster> {
        let own = env::current_exe().context("this program does not know its own path")?;
        let program = self.program.clone();
        let program = program.unwrap_or_else(|| own.with_file_name("quorate"));
        ensure!(
            program.is_file(),
            "there is no program {}: build it, or name it with --program",
            program.display()
        );
        let dir = self.dir.clone();
        let dir = dir.or_else(|| own.parent().map(Path::to_owned));
        quorate_ctl::install_tls_provider();
        println!("program    {}", program.display());
        // All as it is by default, but for the limit: all PUTs come from one address.
        let plan = voters(3).named("quorate-bench").program(program);
        let cluster = Cluster::start(plan.below(dir.unwrap_or_default())).await;
        machine::print_facts(cluster.dir())?;
        Ok(cluster)
    }
}

/// Whose cost is measured: the leader's first.
pub(crate) async fn servers(cluster: &Cluster) -> Servers {
    let leader = cluster.leader().await;
    let followers = cluster.nodes().without(&leader);
    let nodes = || [&leader].into_iter().chain(followers.iter());
    Servers {
        ids: nodes().filter_map(|node| node.process_id()).collect(),
        admins: nodes().map(|node| node.addresses().admin).collect(),
    }
}

/// The relays of these nodes.
pub(crate) fn relays(nodes: &[Arc<Node>]) -> Vec<RelayUrl> {
    let addresses = nodes.iter().map(|node| node.addresses().http);
    addresses.map(RelayUrl::from).collect()
}
