//! Who leads: `quorate leader`.

use clap::{Args, Subcommand};
use quorate_api::{TransferRequest, Transferred, path};

use crate::{
    admin::{AdminArgs, AdminClient, Ask},
    console::Console,
    exit,
    nodes::Nodes,
};

/// Arguments of `quorate leader`.
#[derive(Debug, Args)]
#[command(after_help = exit::help())]
pub struct LeaderArgs {
    #[command(flatten)]
    admin: AdminArgs,
    #[command(subcommand)]
    command: LeaderCommand,
}

#[derive(Debug, Subcommand)]
enum LeaderCommand {
    /// Hand leadership over, without an election that somebody has to wait for.
    #[command(after_help = exit::help())]
    Transfer {
        /// To this voter: its key, a unique beginning of it, or its name. Without it, to the live
        /// voter that has most of the log.
        node: Option<String>,
    },
}

/// Changes who leads.
pub async fn leader(args: LeaderArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    let LeaderCommand::Transfer { node } = args.command;
    transfer(node, &client, &mut console).await
}

pub(crate) async fn transfer(
    to: Option<String>,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let nodes = Nodes::ask(client, console).await?;
    let to = to.map(|to| nodes.key(&to)).transpose()?;
    let ask = Ask::post(path::TRANSFER, &TransferRequest { to })?;
    let transferred: Transferred = client.send(&ask, console).await?;
    console.note(format_args!("{} leads", nodes.shown(&transferred.leader)));
    console.report(&transferred)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::{
        admin::canned::{Answer, CannedNode},
        console::captured::Captured,
        member::tests::two_members,
    };

    #[tokio::test]
    async fn the_new_leader_is_told() {
        let answer = Answer::json(StatusCode::OK, &json!({ "leader": "key-b" }));
        for (to, body) in [(Some("b"), r#"{"to":"key-b"}"#), (None, r#"{"to":null}"#)] {
            let node = CannedNode::start([two_members(), answer.clone()]).await;
            let (mut console, captured) = Captured::console(false);
            let handed_over = transfer(to.map(str::to_owned), &node.client(), &mut console).await;
            handed_over.unwrap();
            assert_eq!(captured.notes(), "quorate: b (key-b…) leads\n");
            let asked = node.asked().pop().unwrap();
            assert_eq!(
                (asked.target.as_str(), asked.body.as_str()),
                (path::TRANSFER, body)
            );
        }
    }
}
