//! Changes of a running node: `quorate reload`, `quorate log-filter`.

use clap::Args;
use quorate_api::{LogFilter, ReloadReport, path};
use serde_json::json;

use crate::{
    admin::{AdminArgs, ApiCall, Session},
    table::table,
};

/// Makes the node reload its configuration, and prints which settings changed.
pub(crate) async fn reload(session: &mut Session) -> anyhow::Result<()> {
    let call = ApiCall::post(path::RELOAD, &json!({}));
    let report = session.show(&call, changes).await?;
    if report == ReloadReport::default() {
        session.note("no setting has changed");
    }
    Ok(())
}

fn changes(report: &ReloadReport) -> String {
    if *report == ReloadReport::default() {
        return String::new();
    }
    let row = |holds: &'static str| move |setting: &String| [setting.clone(), holds.to_owned()];
    let now = report.changed.iter().map(row("now"));
    let later = report.needs_restart.iter().map(row("after a restart"));
    table(["SETTING", "HOLDS"], now.chain(later))
}

pub(crate) const LOG_FILTER_HELP: &str = "\
FILTER is a level (error, warn, info, debug, trace), or levels by target: info,quorate_raft=debug.
It is in force until the node restarts or reloads another one.";

/// Arguments of `quorate log-filter`.
#[derive(Debug, Args)]
pub struct LogFilterArgs {
    /// What to log from now on; without it, the present filter is printed
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// Prints the log filter of the node, or changes it to `filter`.
pub(crate) async fn log_filter(
    filter: Option<String>,
    session: &mut Session,
) -> anyhow::Result<()> {
    match filter {
        None => {
            let text = |now: &LogFilter| format!("{}\n", now.filter);
            session.show(&ApiCall::get(path::LOG_FILTER), text).await?;
        }
        Some(filter) => {
            let call = ApiCall::put(path::LOG_FILTER, &LogFilter { filter });
            let note = |now: &LogFilter| format!("the node logs {}", now.filter);
            session.change(&call, note).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, StatusCode};
    use quorate_api::ProblemType;

    use super::*;
    use crate::{
        admin::canned::{Answer, CannedNode, Outcome},
        console::captured::Captured,
    };

    async fn reloaded(answer: Answer) -> (Captured, Outcome) {
        let node = CannedNode::start([answer]).await;
        node.run(&["reload"]).await
    }

    #[tokio::test]
    async fn reload_lists_the_changed_settings() {
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
    async fn a_rejected_reload_fails_with_the_message_of_the_node() {
        let problem = Answer::problem(ProblemType::RefusedReload, "line 3: no such key");
        let (captured, outcome) = reloaded(problem).await;
        let expected = "line 3: no such key";
        assert_eq!(outcome, Err((expected.to_owned(), 1)));
        assert_eq!(captured.data(), "");
    }

    #[tokio::test]
    async fn the_filter_is_printed_and_set() {
        let filter = LogFilter {
            filter: "info,quorate_raft=debug".to_owned(),
        };
        let node = CannedNode::start([Answer::json(StatusCode::OK, &filter)]).await;
        let (captured, outcome) = node.run(&["log-filter"]).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(captured.data(), "info,quorate_raft=debug\n");

        let (captured, outcome) = node.run(&["log-filter", &filter.filter]).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(captured.data(), "");
        assert_eq!(
            captured.notes(),
            "quorate: the node logs info,quorate_raft=debug\n"
        );
        let request = node.requests().pop().unwrap();
        assert_eq!(
            (request.method, request.target.as_str()),
            (Method::PUT, path::LOG_FILTER)
        );
    }
}
