//! Leadership: `quorate leader`.

use clap::Subcommand;
use quorate_api::{TransferRequest, TransferResult, path};

use crate::{
    admin::{ApiCall, Session},
    nodes::Nodes,
};

/// Transfers leadership.
#[derive(Debug, Subcommand)]
pub enum LeaderCommand {
    /// Transfer leadership without waiting for an election timeout
    Transfer {
        /// The new leader: its key, a unique beginning of it, or its name; by default the live voter that has
        /// most of the log
        node: Option<String>,
    },
}

impl LeaderCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let Self::Transfer { node } = self;
        let nodes = Nodes::read(session).await?;
        let to = node.map(|node| nodes.key(&node).to_owned());
        let call = ApiCall::post(path::TRANSFER, &TransferRequest { to });
        let leads = |now: &TransferResult| format!("{} leads", nodes.shown(&now.leader));
        session.change(&call, leads).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::{
        admin::canned::{Answer, CannedNode},
        member::tests::two_members,
    };

    #[tokio::test]
    async fn the_new_leader_is_printed() {
        let answer = Answer::json(StatusCode::OK, &json!({ "leader": "key-b" }));
        for (to, body) in [(Some("b"), r#"{"to":"key-b"}"#), (None, r#"{"to":null}"#)] {
            let node = CannedNode::start([two_members(), answer.clone()]).await;
            let words = ["leader", "transfer"].into_iter().chain(to);
            let (captured, outcome) = node.run(&words.collect::<Vec<_>>()).await;
            assert_eq!(outcome, Ok(()));
            assert_eq!(captured.notes(), "quorate: b (key-b…) leads\n");
            let request = node.requests().pop().unwrap();
            assert_eq!(
                (request.target.as_str(), request.body.as_str()),
                (path::TRANSFER, body)
            );
        }
    }
}
