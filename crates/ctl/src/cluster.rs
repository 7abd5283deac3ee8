//! Settings of the whole cluster: `quorate cluster`.

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use quorate_api::{
    NodeStatus, RaiseLevelRequest, RaisedLevel, RotateKeyRequest, RotatedKey, SettingsRequest, path,
};

use crate::{
    admin::{ApiCall, Session},
    span, table,
};

/// Shows or changes settings of the whole cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Raise the feature level to the highest that all members support, even if some hold it back
    /// (cluster.level_hold). Afterwards no older version of Quorate can run in the cluster
    RaiseLevel,
    /// Replace the cluster key, which seals the secrets of the cluster, and the secrets of DNS cookies
    #[command(after_help = "\
The removal of a member does it too. Secrets that no node can open any more are lost, as after the loss of
cluster.key on all nodes: the certificate is then ordered anew.")]
    RotateKey {
        /// Drop the secrets that no node can open any more
        #[arg(long)]
        discard_lost: bool,
    },
    /// Show the settings on which the cluster has agreed
    Show,
    /// Change a setting of the cluster, on all nodes
    #[command(after_help = "\
The settings in [packets] of a configuration are used once, when the cluster is founded. A node with other
values says so at its start.

  quorate cluster set packets.count_max 2000000
  quorate cluster set packets.retention_secs 14d")]
    Set {
        /// The setting
        setting: ClusterSetting,
        /// Its value: a number, or for a time a span such as 12h or 7d
        value: String,
        /// Do it even if it deletes stored packets
        #[arg(long)]
        yes: bool,
    },
}

/// A setting on which the cluster has agreed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ClusterSetting {
    /// The most packets that the cluster stores
    #[value(name = "packets.count_max")]
    CountMax,
    /// The size of all packets at which no further key is accepted, in bytes
    #[value(name = "packets.size_max")]
    SizeMax,
    /// How long a packet is kept after it was last received, in seconds
    #[value(name = "packets.retention_secs")]
    RetentionSecs,
}

impl ClusterSetting {
    fn parse(self, text: &str) -> anyhow::Result<u64> {
        let name = self.to_possible_value().expect("none is skipped");
        let name = name.get_name().to_owned();
        match (text.parse(), self) {
            (Ok(number), _) => Ok(number),
            (Err(_), Self::RetentionSecs) => match span::parse(text) {
                Ok(span) => Ok(span.as_secs()),
                Err(error) => bail!("{name}: {error}"),
            },
            (Err(_), _) => bail!("{name} is a whole number, not {text:?}"),
        }
    }
}

impl ClusterCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::RaiseLevel => {
                let call = ApiCall::post(path::RAISE_LEVEL, &RaiseLevelRequest {});
                let raised = |now: &RaisedLevel| format!("the cluster is at level {}", now.level);
                session.change(&call, raised).await?;
            }
            Self::RotateKey { discard_lost } => {
                let request = RotateKeyRequest { discard_lost };
                let call = ApiCall::post(path::CLUSTER_KEY, &request);
                session.change(&call, rotated).await?;
            }
            Self::Show => {
                session.show(&ApiCall::get(path::STATUS), settings).await?;
            }
            Self::Set {
                setting,
                value,
                yes,
            } => {
                let value = setting.parse(&value)?;
                let call = ApiCall::post(path::SETTINGS, &request(setting, value, yes));
                let done = |_: &NodeStatus| "the cluster has the new setting".to_owned();
                session.change(&call, done).await?;
            }
        }
        Ok(())
    }
}

fn rotated(rotated: &RotatedKey) -> String {
    let key = &rotated.key;
    let lost: Vec<&str> = rotated.lost.iter().map(Into::into).collect();
    let lost = lost.join(", ");
    match (lost.is_empty(), rotated.discarded) {
        (true, _) => format!("the cluster has the new key {key}"),
        (false, true) => format!("the cluster has the new key {key}; dropped: {lost}"),
        (false, false) => format!(
            "the cluster has the new key {key}, but no node that answers can open: {lost}. Start the nodes \
             that are down; if none of them has the old cluster.key, repeat this with --discard-lost"
        ),
    }
}

fn request(setting: ClusterSetting, value: u64, may_delete: bool) -> SettingsRequest {
    let unchanged = SettingsRequest {
        may_delete,
        ..SettingsRequest::default()
    };
    match setting {
        ClusterSetting::CountMax => SettingsRequest {
            count_max: Some(value),
            ..unchanged
        },
        ClusterSetting::SizeMax => SettingsRequest {
            size_max: Some(value),
            ..unchanged
        },
        ClusterSetting::RetentionSecs => SettingsRequest {
            retention_secs: Some(value),
            ..unchanged
        },
    }
}

fn settings(status: &NodeStatus) -> String {
    let shown = |value: Option<u64>| value.map_or("not set".to_owned(), |value| value.to_string());
    table::lines(&[
        ("packets.count_max", shown(status.packet_count_max)),
        ("packets.size_max", shown(status.packets_size_max)),
        ("packets.retention_secs", shown(status.retention_secs)),
    ])
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

    #[tokio::test]
    async fn a_setting_is_sent_with_its_name_in_the_configuration() {
        let node = CannedNode::start([Answer::json(StatusCode::OK, &NodeStatus::default())]).await;
        for (words, body) in [
            (
                &["packets.count_max", "7"][..],
                json!({ "packets.count_max": 7, "may_delete": false }),
            ),
            (
                &["packets.retention_secs", "2d", "--yes"],
                json!({ "packets.retention_secs": 172_800, "may_delete": true }),
            ),
        ] {
            let (_, outcome) = node.run(&[&["cluster", "set"], words].concat()).await;
            assert_eq!(outcome, Ok(()));
            let request = node.requests().pop().unwrap();
            assert_eq!(request.target, path::SETTINGS);
            let sent: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(sent, body);
        }
        let words = ["cluster", "set", "packets.size_max", "10m"];
        let (_, outcome) = node.run(&words).await;
        let (text, _) = outcome.unwrap_err();
        assert_eq!(text, "packets.size_max is a whole number, not \"10m\"");
        let (captured, outcome) = node.run(&["cluster", "show"]).await;
        assert_eq!(outcome, Ok(()));
        assert!(
            captured
                .data()
                .contains("packets.size_max        not set\n"),
            "{}",
            captured.data()
        );
    }
}
