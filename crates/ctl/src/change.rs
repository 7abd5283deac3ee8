//! Changes of the membership: asked for until they are done.

use std::time::Duration;

use quorate_admin_api::{ChangeReport, ChangeState};
use tokio::time::{Instant, sleep};

use crate::{
    admin::{AdminClient, AdminError, Ask, behind},
    console::Console,
};

/// For how long a change is waited for unless one says. A node of a million packets catches up in a
/// fraction of it.
pub(crate) const TIMEOUT: &str = "10m";

/// Asks for a change until it is done, and tells how far it is. Each time goes on where the one before
/// was, so that it can be interrupted, and asked for again, at any point.
pub(crate) async fn carry_out(
    client: &AdminClient,
    console: &mut Console,
    ask: &Ask,
    timeout: Duration,
) -> anyhow::Result<ChangeReport> {
    let deadline = Instant::now() + timeout;
    let mut told = None;
    loop {
        let report: ChangeReport = client.send(ask, console).await?;
        if report.state == ChangeState::Done {
            tell_warnings(&report, console);
            return Ok(report);
        }
        let ChangeReport { node, lag, .. } = report;
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(AdminError::NotDone { node, lag, timeout }.into());
        }
        if told != Some(lag) {
            told = Some(lag);
            console.note(format_args!("{node} is catching up{}", behind(lag)));
        }
        sleep(client.pace.poll_interval.min(rest)).await;
    }
}

fn tell_warnings(report: &ChangeReport, console: &mut Console) {
    for warning in &report.warnings {
        console.note(format_args!("warning: {warning}"));
    }
}
