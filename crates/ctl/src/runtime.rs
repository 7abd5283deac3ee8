//! What can be changed while a node runs: `quorate reload`, `quorate log-filter`.

use clap::Args;
use quorate_api::{LogFilter, ReloadReport, path};
use serde_json::json;

use crate::{
    admin::{AdminArgs, AdminClient, Ask},
    console::Console,
    exit,
    table::Table,
};

/// Arguments of `quorate reload`.
#[derive(Debug, Args)]
#[command(after_help = exit::help())]
pub struct ReloadArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

/// Has the node that is asked read its configuration again, and prints which settings changed.
pub async fn reload(args: ReloadArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    read_again(&client, &mut console).await
}

pub(crate) async fn read_again(client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let ask = Ask::post(path::RELOAD, &json!({}))?;
    let report: ReloadReport = client.send(&ask, console).await?;
    if report.changed.is_empty() && report.needs_restart.is_empty() {
        console.note("no setting has changed");
        return console.report(&report);
    }
    console.print(&report, changes)
}

fn changes(report: &ReloadReport) -> String {
    let mut table = Table::new(["SETTING", "HOLDS"]);
    for setting in &report.changed {
        table.push([setting.clone(), "now".to_owned()]);
    }
    for setting in &report.needs_restart {
        table.push([setting.clone(), "after a restart".to_owned()]);
    }
    table.text()
}

/// Arguments of `quorate log-filter`.
#[derive(Debug, Args)]
#[command(after_help = exit::help_after("\
A filter is a level (error, warn, info, debug, trace), or levels by target: info,quorate_raft=debug.
It holds until the node restarts or reloads another one."))]
pub struct LogFilterArgs {
    /// What to log from now on; without it, what is logged is printed.
    filter: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Prints what the node that is asked logs, or changes it.
pub async fn log_filter(args: LogFilterArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    match args.filter {
        Some(filter) => set_filter(filter, &client, &mut console).await,
        None => print_filter(&client, &mut console).await,
    }
}

pub(crate) async fn print_filter(
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let filter: LogFilter = client.send(&Ask::get(path::LOG_FILTER), console).await?;
    console.print(&filter, |filter| format!("{}\n", filter.filter))
}

pub(crate) async fn set_filter(
    filter: String,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let ask = Ask::put(path::LOG_FILTER, &LogFilter { filter })?;
    let filter: LogFilter = client.send(&ask, console).await?;
    console.note(format_args!("the node logs {}", filter.filter));
    console.report(&filter)
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, StatusCode};
    use quorate_api::ProblemType;

    use super::*;
    use crate::{
        admin::canned::{Answer, CannedNode},
        console::captured::Captured,
    };

    async fn reloaded(answer: Answer) -> (Captured, anyhow::Result<()>) {
        let node = CannedNode::start([answer]).await;
        let (mut console, captured) = Captured::console(false);
        let outcome = read_again(&node.client(), &mut console).await;
        (captured, outcome)
    }

    #[tokio::test]
    async fn what_a_reload_changed_is_listed() {
        let report = ReloadReport {
            changed: vec!["limit.put_burst".to_owned()],
            needs_restart: vec!["http.listen".to_owned()],
        };
        let (captured, _) = reloaded(Answer::json(StatusCode::OK, &report)).await;
        let expected = "\
SETTING          HOLDS
limit.put_burst  now
http.listen      after a restart
";
        assert_eq!(captured.data(), expected);

        let nothing = Answer::json(StatusCode::OK, &ReloadReport::default());
        let (captured, _) = reloaded(nothing).await;
        assert_eq!(captured.data(), "");
        assert_eq!(captured.notes(), "quorate: no setting has changed\n");
    }

    #[tokio::test]
    async fn a_refused_reload_fails_in_the_words_of_the_node() {
        let problem = Answer::problem(ProblemType::RefusedReload, "line 3: no such key");
        let (captured, outcome) = reloaded(problem).await;
        let expected = "line 3: no such key";
        assert_eq!(outcome.unwrap_err().to_string(), expected);
        assert_eq!(captured.data(), "");
    }

    #[tokio::test]
    async fn the_filter_is_printed_and_set() {
        let filter = LogFilter {
            filter: "info,quorate_raft=debug".to_owned(),
        };
        let node = CannedNode::start([Answer::json(StatusCode::OK, &filter)]).await;
        let (mut console, captured) = Captured::console(false);
        print_filter(&node.client(), &mut console).await.unwrap();
        assert_eq!(captured.data(), "info,quorate_raft=debug\n");

        let (mut console, captured) = Captured::console(false);
        let set = set_filter(filter.filter.clone(), &node.client(), &mut console).await;
        set.unwrap();
        assert_eq!(captured.data(), "");
        assert_eq!(
            captured.notes(),
            "quorate: the node logs info,quorate_raft=debug\n"
        );
        let asked = node.asked().pop().unwrap();
        assert_eq!(
            (asked.method, asked.target.as_str()),
            (Method::PUT, path::LOG_FILTER)
        );
    }
}
