//! Changes of packets: `quorate packet changes`.

use clap::Args;
use quorate_api::{CHANGE_COUNT_MAX, ChangedPacket, Changes, NodeStatus, path};
use tokio::time::sleep;

use crate::admin::{ApiCall, Session};

/// Which changes are printed.
#[derive(Debug, Args)]
pub struct ChangesArgs {
    /// Start after this log entry; by default with the next change
    #[arg(long, value_name = "INDEX", required_unless_present = "follow")]
    pub(crate) since: Option<u64>,
    /// The cluster of that entry: fail if this one was restored or recovered since
    #[arg(long, value_name = "ID", requires = "since")]
    pub(crate) cluster: Option<String>,
    /// Continue until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
}

pub(crate) async fn print(args: ChangesArgs, session: &mut Session) -> anyhow::Result<()> {
    let (mut since, mut cluster) = match args.since {
        Some(since) => (since, args.cluster),
        None => {
            let status: NodeStatus = session.call(&ApiCall::get(path::STATUS)).await?;
            (status.applied_index.0, status.cluster)
        }
    };
    loop {
        let call = ApiCall::get(path::CHANGES).query("since", since);
        let mut call = call.query("count", CHANGE_COUNT_MAX);
        if let Some(cluster) = &cluster {
            call = call.query("cluster", cluster);
        }
        let changes: Changes = session.call(&call).await?;
        since = changes.next.0;
        cluster.clone_from(&changes.cluster);
        if !changes.changes.is_empty() {
            session.console.print(&changes, lines)?;
            continue;
        }
        if !args.follow {
            let cluster = cluster.map_or_else(String::new, |id| format!(" --cluster {id}"));
            session.note(format_args!(
                "to continue from here: --since {since}{cluster}"
            ));
            return Ok(());
        }
        sleep(session.retry_policy.poll_interval).await;
    }
}

fn lines(changes: &Changes) -> String {
    let changes = changes.changes.iter();
    let line = |change: &_| {
        let ChangedPacket { index, key, kind } = change;
        format!("{index} {kind} {key}\n")
    };
    changes.map(line).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use quorate_api::{ChangeKind, LogIndex, ProblemType};
    use quorate_packet::PublicKey;

    use super::*;
    use crate::admin::canned::{Answer, CannedNode};

    const KEY: PublicKey = PublicKey::from_bytes([7; 32]);

    fn changes(indexes: &[u64], next: u64) -> Answer {
        let change = |&index| ChangedPacket {
            index: LogIndex(index),
            key: KEY,
            kind: ChangeKind::Stored,
        };
        let changes = indexes.iter().map(change).collect();
        let changes = Changes {
            changes,
            next: LogIndex(next),
            cluster: Some("c1".to_owned()),
        };
        Answer::json(StatusCode::OK, &changes)
    }

    #[tokio::test]
    async fn changes_are_printed_with_the_index_to_continue_from() {
        let answers = [changes(&[8, 8], 9), changes(&[10], 10), changes(&[], 12)];
        let node = CannedNode::start(answers).await;
        let (captured, outcome) = node.run(&["packet", "changes", "--since", "7"]).await;
        assert_eq!(outcome, Ok(()));
        let lines = [8, 8, 10].map(|index| format!("{index} stored {KEY}\n"));
        assert_eq!(captured.data(), lines.concat());
        let note = "quorate: to continue from here: --since 12 --cluster c1\n";
        assert_eq!(captured.notes(), note);
        let targets: Vec<_> = node
            .requests()
            .into_iter()
            .map(|request| request.target)
            .collect();
        let expected = [
            "7&count=1000",
            "9&count=1000&cluster=c1",
            "10&count=1000&cluster=c1",
        ];
        assert_eq!(
            targets,
            expected.map(|query| format!("/v1/changes?since={query}"))
        );
    }

    #[tokio::test]
    async fn following_continues_until_changes_are_lost() {
        let lost = Answer::problem(ProblemType::ChangesLost, "list all packets");
        let answers = [changes(&[], 7), changes(&[8], 8), changes(&[], 8), lost];
        let node = CannedNode::start(answers).await;
        let words = ["packet", "changes", "--since", "7", "--follow"];
        let (captured, outcome) = node.run(&words).await;
        assert_eq!(outcome, Err(("list all packets".to_owned(), 1)));
        assert_eq!(captured.data(), format!("8 stored {KEY}\n"));
    }
}
