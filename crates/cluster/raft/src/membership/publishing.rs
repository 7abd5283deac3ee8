//! What the leader does for operators about zones, who may publish, and packets.

use std::time::Duration;

use quorate_api::{DeletePacket, Deleted, Problem};
use quorate_state::{Command, LogIndex, Outcome, PublishChange, ZoneChange};

use super::{
    admin::Order,
    refusals::{failed, publishing, zone},
};

impl Order<'_> {
    /// Changes a zone, and says from which entry on it is so. Asked again, it changes nothing more. What
    /// all would reject need not be written by all.
    pub(super) async fn change_zone(&self, change: ZoneChange) -> Result<LogIndex, Problem> {
        let meta = self.parts.state_machine.meta().clone();
        let changed = change.changed(&meta.cluster.zones).map_err(zone)?;
        if changed.is_none() {
            return Ok(meta.applied_index());
        }
        let zone = change.zone.clone();
        let (index, _) = self.commit(Command::ChangeZone(change)).await?;
        tracing::info!(%index, %zone, "a zone has changed");
        Ok(index)
    }

    /// Changes who may publish. Otherwise as a change of a zone.
    pub(super) async fn change_publishing(
        &self,
        change: PublishChange,
    ) -> Result<LogIndex, Problem> {
        let meta = self.parts.state_machine.meta().clone();
        let changed = change.changed(&meta.cluster.publishing);
        if changed.map_err(publishing)?.is_none() {
            return Ok(meta.applied_index());
        }
        let (index, _) = self.commit(Command::ChangePublishing(change)).await?;
        Ok(index)
    }

    /// Deletes the packet of a key, and blocks that for a time if one is given. Asked again, it finds no
    /// packet, and blocks from then on.
    pub(super) async fn delete_packet(
        &self,
        DeletePacket { key, block_secs }: DeletePacket,
    ) -> Result<(LogIndex, Deleted), Problem> {
        let now = self.now();
        let block = block_secs.map(Duration::from_secs);
        let command = Command::DeletePacket {
            key,
            blocked_until: block.map(|block| now.saturating_add(block)),
            now,
        };
        match self.commit(command).await? {
            (index, Outcome::Deleted { existed }) => {
                tracing::info!(%index, %key, existed, ?block, "deleted a packet");
                let deleted = Deleted {
                    key: key.to_string(),
                    was_stored: existed,
                };
                Ok((index, deleted))
            }
            (_, other) => Err(failed(format!("deleting gave {other:?}"))),
        }
    }
}
