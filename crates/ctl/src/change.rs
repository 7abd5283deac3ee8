//! Changes of the membership: asked for until they are done.

use std::time::Duration;

use quorate_api::{ChangeReport, ChangeState};
use tokio::time::{Instant, sleep};

use crate::{
    admin::{AdminClient, AdminError, Ask, behind},
    console::Console,
    nodes::Nodes,
};

/// For how long a change is waited for unless one says. A node of a million packets catches up in a
/// fraction of it.
pub(crate) const TIMEOUT: &str = "10m";

/// A change of the membership, and for whom it is made.
pub(crate) struct Change<'a> {
    client: &'a AdminClient,
    console: &'a mut Console,
    pub(crate) nodes: Nodes,
}

impl<'a> Change<'a> {
    /// Learns what nodes there are, for what is asked to name them by their keys.
    pub(crate) async fn begin(
        client: &'a AdminClient,
        console: &'a mut Console,
    ) -> Result<Self, AdminError> {
        let nodes = Nodes::ask(client, console).await?;
        Ok(Self {
            client,
            console,
            nodes,
        })
    }

    /// Asks for it until it is done, tells how far it is, and at the end what `done` says of the node
    /// that it was about. Each time goes on where the one before was, so that it can be interrupted,
    /// and asked for again, at any point.
    pub(crate) async fn carry_out(
        self,
        ask: &Ask,
        timeout: Duration,
        done: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + timeout;
        let mut told = None;
        loop {
            let report: ChangeReport = self.client.send(ask, self.console).await?;
            let node = self.nodes.shown(&report.node);
            if report.state == ChangeState::Done {
                for warning in &report.warnings {
                    self.console.note(format_args!("warning: {warning}"));
                }
                self.console.note(done(&node));
                return self.console.report(&report);
            }
            let lag = report.lag;
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Err(AdminError::NotDone { node, lag, timeout }.into());
            }
            if told != Some(lag) {
                told = Some(lag);
                let behind = behind(lag);
                self.console
                    .note(format_args!("{node} is catching up{behind}"));
            }
            sleep(self.client.pace.poll_interval.min(rest)).await;
        }
    }
}
