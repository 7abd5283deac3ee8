//! A cluster of three Quorate nodes on loopback, started and ended with the run.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use clap::Args;
use quorate_ctl::RelayUrl;
use quorate_tests::{Cluster, Node, Plan, voters};

use crate::{machine, measure::Servers};

/// Connections that fill the cluster: enough for full batches.
pub(crate) const FILL_CONNECTIONS: usize = 128;

/// Which program runs, and where its data is.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// The program; by default `quorate` next to this one.
    #[arg(long, value_name = "FILE", env = "QUORATE_BIN")]
    program: Option<PathBuf>,
    /// The directory for the nodes' data, on a real disk; by default next to this program.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl ClusterArgs {
    /// Starts the nodes, and prints which machine they run on.
    pub(crate) async fn start(&self) -> anyhow::Result<Cluster> {
        println!("program    {}", self.program()?.display());
        let cluster = Cluster::start(self.plan()?).await;
        machine::print_facts(cluster.dir())?;
        Ok(cluster)
    }

    /// Three nodes with default settings, except for the limits: all PUTs come from one address.
    pub(crate) fn plan(&self) -> anyhow::Result<Plan> {
        self.plan_of(3)
    }

    /// The same with another number of nodes.
    pub(crate) fn plan_of(&self, voter_count: usize) -> anyhow::Result<Plan> {
        quorate_ctl::install_tls_provider();
        Ok(voters(voter_count)
            .program(self.program()?)
            .below(self.dir()?))
    }

    /// The directory for the data.
    pub(crate) fn dir(&self) -> anyhow::Result<PathBuf> {
        match &self.dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(own_path()?.parent().map(Path::to_owned).unwrap_or_default()),
        }
    }

    pub(crate) fn program(&self) -> anyhow::Result<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => own_path()?.with_file_name("quorate"),
        };
        ensure!(
            program.is_file(),
            "there is no program {}: build it, or name it with --program",
            program.display()
        );
        Ok(program)
    }
}

pub(crate) fn own_path() -> anyhow::Result<PathBuf> {
    env::current_exe().context("this program does not know its own path")
}

/// The processes whose cost is measured, the leader first.
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
