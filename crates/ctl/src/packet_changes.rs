//! Which packets change: `quorate packet changes`.

use clap::Args;
use quorate_api::{CHANGE_COUNT_MAX, PacketChanges, Status, path};
use tokio::time::sleep;

use crate::{
    admin::{AdminClient, Ask},
    console::Console,
};

#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// Those behind this entry of the log; without it, those that come from now on.
    #[arg(long, value_name = "INDEX", required_unless_present = "follow")]
    pub(crate) since: Option<u64>,
    /// Go on until interrupted.
    #[arg(long)]
    pub(crate) follow: bool,
}

pub(crate) async fn print(
    args: ChangesArgs,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let mut since = match args.since {
        Some(since) => since,
        None => {
            let status: Status = client.send(&Ask::get(path::STATUS), console).await?;
            status.applied_index
        }
    };
    loop {
        let ask = Ask::get(path::CHANGES).query("since", since);
        let ask = ask.query("count", CHANGE_COUNT_MAX);
        let changes: PacketChanges = client.send(&ask, console).await?;
        since = changes.next;
        if !changes.changes.is_empty() {
            console.print(&changes, lines)?;
            continue;
        }
        if !args.follow {
            console.note(format_args!("for what comes behind it: --since {since}"));
            return Ok(());
        }
        sleep(client.pace.poll_interval).await;
    }
}

fn lines(changes: &PacketChanges) -> String {
    let changes = changes.changes.iter();
    let line = |change: &_| {
        let quorate_api::PacketChange { index, key, kind } = change;
        format!("{index} {kind} {key}\n")
    };
    changes.map(line).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use quorate_api::{ChangeKind, PacketChange, ProblemType};

    use super::*;
    use crate::{
        admin::canned::{Answer, CannedNode},
        console::captured::Captured,
    };

    fn changes(indexes: &[u64], next: u64) -> Answer {
        let change = |&index| PacketChange {
            index,
            key: "k".to_owned(),
            kind: ChangeKind::Stored,
        };
        let changes = indexes.iter().map(change).collect();
        Answer::json(StatusCode::OK, &PacketChanges { changes, next })
    }

    #[tokio::test]
    async fn all_that_there_is_is_printed_and_where_to_go_on() {
        let answers = [changes(&[8, 8], 9), changes(&[10], 10), changes(&[], 12)];
        let node = CannedNode::start(answers).await;
        let (mut console, captured) = Captured::console(false);
        let args = ChangesArgs {
            since: Some(7),
            follow: false,
        };
        print(args, &node.client(), &mut console).await.unwrap();
        assert_eq!(captured.data(), "8 stored k\n8 stored k\n10 stored k\n");
        let note = "quorate: for what comes behind it: --since 12\n";
        assert_eq!(captured.notes(), note);
        let targets: Vec<_> = node.asked().into_iter().map(|asked| asked.target).collect();
        let expected = [7, 9, 10].map(|since| format!("/v1/changes?since={since}&count=1000"));
        assert_eq!(targets, expected);
    }

    #[tokio::test]
    async fn who_follows_goes_on_until_changes_are_lost() {
        let lost = Answer::problem(ProblemType::ChangesLost, "list all packets");
        let answers = [changes(&[], 7), changes(&[8], 8), changes(&[], 8), lost];
        let node = CannedNode::start(answers).await;
        let (mut console, captured) = Captured::console(false);
        let args = ChangesArgs {
            since: Some(7),
            follow: true,
        };
        let ended = print(args, &node.client(), &mut console).await;
        assert_eq!(ended.unwrap_err().to_string(), "list all packets");
        assert_eq!(captured.data(), "8 stored k\n");
    }
}
