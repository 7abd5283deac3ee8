//! Runs workloads and measures their cost.

use std::net::SocketAddr;

use clap::Args;

use crate::{
    cpu::{Usage, Used},
    load::Outcome,
    scrape::{Inside, Scrape},
};

/// The servers whose cost is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Servers {
    /// A server's process on this machine, whose CPU time counts; repeat for more.
    #[arg(long = "pid", value_name = "PID")]
    pub(crate) ids: Vec<u32>,
    /// An admin address, whose metrics count (log flushes, entries); repeat for more.
    #[arg(long = "admin", value_name = "IP:PORT")]
    pub(crate) admins: Vec<SocketAddr>,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) outcome: Outcome,
    pub(crate) used: Used,
    /// The servers' metrics, if they have any.
    pub(crate) inside: Option<Inside>,
}

impl Servers {
    /// Runs a workload, and reads its cost.
    pub(crate) async fn measure(
        &self,
        work: impl Into<String>,
        run: impl Future<Output = anyhow::Result<Outcome>>,
    ) -> anyhow::Result<Row> {
        let scraped = Scrape::now(&self.admins).await?;
        let used = Usage::now(&self.ids)?;
        let outcome = run.await?;
        let used = Usage::now(&self.ids)?.since(&used);
        let inside = Scrape::now(&self.admins).await?.since(&scraped);
        Ok(Row {
            work: work.into(),
            outcome,
            used,
            inside: (!self.admins.is_empty()).then_some(inside),
        })
    }
}
