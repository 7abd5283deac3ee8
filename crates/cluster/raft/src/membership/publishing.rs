//! What the leader does for operators about who may publish.

use std::time::Duration;

use bytes::Bytes;
use quorate_api::operate::{Refusal, Response};
use quorate_packet::PublicKey;
use quorate_state::{Command, LogIndex, Outcome, PublishChange};

use super::admin::Admin;

impl Admin {
    /// Changes who may publish, and says from which entry on it is so. Asked again, it changes nothing
    /// more. What all would reject need not be written by all.
    pub(super) async fn change_publishing(&self, change: Bytes) -> Result<LogIndex, Refusal> {
        let unreadable = |error| Refusal::Failed(format!("the change: {error}"));
        let change = PublishChange::decode(change).map_err(unreadable)?;
        let (cluster, applied) = self.cluster_and_index();
        match change.changed(&cluster.publishing) {
            Err(rejection) => Err(Refusal::Publishing(rejection.to_string())),
            Ok(None) => Ok(applied),
            Ok(Some(_)) => {
                let command = Command::ChangePublishing(change);
                self.commit_entry(command).await.map(|(index, _)| index)
            }
        }
    }

    /// Deletes the packet of a key, and blocks that for a time if one is given. Asked again, it finds no
    /// packet, and blocks from then on.
    pub(super) async fn delete_packet(
        &self,
        key: PublicKey,
        block: Option<Duration>,
    ) -> Result<Response, Refusal> {
        let now = self.now();
        let command = Command::DeletePacket {
            key,
            blocked_until: block.map(|block| now.saturating_add(block)),
            now,
        };
        match self.commit_entry(command).await? {
            (index, Outcome::Deleted { existed }) => {
                tracing::info!(%index, %key, existed, ?block, "deleted a packet");
                Ok(Response::PacketDeleted { index, existed })
            }
            (_, other) => Err(Refusal::Failed(format!("deleting gave {other:?}"))),
        }
    }
}
