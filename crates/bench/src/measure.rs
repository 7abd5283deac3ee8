//! Work, and what it cost.

use std::net::SocketAddr;

use crate::{
    cpu::{Usage, Used},
    load::Outcome,
    scrape::{Inside, Scrape},
};

/// Whose cost is measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers {
    /// The ids of their processes, on this machine.
    pub(crate) ids: Vec<u32>,
    /// Where their metrics are.
    pub(crate) admins: Vec<SocketAddr>,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) outcome: Outcome,
    pub(crate) used: Used,
    /// What metrics say, where there are any.
    pub(crate) inside: Option<Inside>,
}

impl Servers {
    /// Does the work, and reads what it cost.
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
