//! The leader's handlers for zones, for who may publish, and for deleting packets.

use std::time::Duration;

use quorate_api::{DeletePacket, Deleted, Problem, ProblemType};
use quorate_state::{Command, LogIndex, Outcome, PublishChange, ZoneChange};

use super::{
    admin::LeaderTask,
    problems::{failed, publishing, zone},
};

impl LeaderTask<'_> {
    /// Changes a zone. Returns the index of the entry with which the change takes effect.
    pub(super) async fn change_zone(&self, change: ZoneChange) -> Result<LogIndex, Problem> {
        let zones = self.cluster().zones;
        if let Some(owner) = change.missing(&zones) {
            let detail = format!(
                "{owner} has no such replicated records in the zone {}: `quorate zone list` shows those \
                 that there are",
                change.zone
            );
            return Err(Problem::new(ProblemType::UnknownRecord, detail));
        }
        let changed = change.changed(&zones).map_err(zone)?;
        let (origin, has_changed) = (change.zone.clone(), changed.is_some());
        let command = Command::ChangeZone(change);
        let index = self.commit_if(has_changed, command).await?;
        if has_changed {
            tracing::info!(%index, zone = %origin, "a zone has changed");
        }
        Ok(index)
    }

    /// Changes who may publish. Returns the index, as for a zone.
    pub(super) async fn change_publishing(
        &self,
        change: PublishChange,
    ) -> Result<LogIndex, Problem> {
        let state = self.cluster().publishing;
        let changed = change.changed(&state).map_err(publishing)?;
        let command = Command::ChangePublishing(change);
        self.commit_if(changed.is_some(), command).await
    }

    /// Commits the command only if it changes something, so that a repeated request adds no entry.
    /// Callers check the change first: a change that all nodes would reject need not be in the log.
    async fn commit_if(&self, has_changed: bool, command: Command) -> Result<LogIndex, Problem> {
        if !has_changed {
            return Ok(self.context.state_machine.meta().applied_index());
        }
        let (index, _) = self.commit(command).await?;
        Ok(index)
    }

    /// Deletes the packet of a key, and blocks the key for a time if one is given. A repeated request
    /// finds no packet, and the block starts again.
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
            (_, other) => Err(failed(format!(
                "deleting the packet returned an unexpected {other:?}"
            ))),
        }
    }
}
