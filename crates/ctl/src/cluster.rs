//! Settings of the whole cluster: `quorate cluster`.

use clap::Subcommand;
use quorate_api::{RaiseLevelRequest, RaisedLevel, path};

use crate::admin::{ApiCall, Session};

/// Changes settings of the whole cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Raise the feature level to the highest that all members support, even if some hold it back
    /// (cluster.level_hold). Afterwards no older version of Quorate can run in the cluster
    RaiseLevel,
}

impl ClusterCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let Self::RaiseLevel = self;
        let call = ApiCall::post(path::RAISE_LEVEL, &RaiseLevelRequest {});
        let raised = |now: &RaisedLevel| format!("the cluster is at level {}", now.level);
        session.change(&call, raised).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::admin::canned::{Answer, CannedNode};

    #[tokio::test]
    async fn the_new_level_is_printed() {
        let answer = Answer::json(StatusCode::OK, &json!({ "level": 2 }));
        let node = CannedNode::start([answer]).await;
        let (captured, outcome) = node.run(&["cluster", "raise-level"]).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(captured.notes(), "quorate: the cluster is at level 2\n");
        let request = node.requests().pop().unwrap();
        assert_eq!(request.target, path::RAISE_LEVEL);
    }
}
