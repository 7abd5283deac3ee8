//! The leader's handler for settings on which the cluster has agreed.

use quorate_api::{ChangeSettings, Problem, ProblemType};
use quorate_state::{Command, LogIndex, SettingsChange};

use super::admin::LeaderTask;

impl LeaderTask<'_> {
    /// Changes settings, unless that deletes packets and may not. Returns the index of the entry.
    pub(super) async fn change_settings(
        &self,
        ChangeSettings { change, may_delete }: ChangeSettings,
    ) -> Result<LogIndex, Problem> {
        if let Some((name, value, range)) = change.out_of_range() {
            let detail = format!(
                "{name} is {value}, but must be between {} and {}",
                range.start(),
                range.end()
            );
            return Err(Problem::new(ProblemType::RefusedSettings, detail));
        }
        if !may_delete && let Some(detail) = self.deletion(&change) {
            return Err(Problem::new(ProblemType::WouldDelete, detail));
        }
        let (index, _) = self.commit(Command::ChangeSettings(change)).await?;
        tracing::info!(%index, ?change, "settings of the cluster have changed");
        Ok(index)
    }

    /// What a change would delete, soon or over time.
    fn deletion(&self, change: &SettingsChange) -> Option<String> {
        let meta = self.context.state_machine.meta();
        let usage = meta.packets.usage;
        let (now, kept) = (
            change.retention_secs,
            self.context.retention(&meta.cluster).as_secs(),
        );
        if let Some(secs) = now.filter(|secs| *secs < kept) {
            return Some(format!(
                "packets would expire {secs} s after they were last received, not {kept} s, and those between \
                 are deleted at once: confirm it with --yes"
            ));
        }
        [
            ("packets.count_max", change.count_max, usage.count),
            ("packets.size_max", change.size_max, usage.size),
        ]
        .into_iter()
        .find_map(|(name, max, stored)| {
            let max = max.filter(|max| *max < stored)?;
            Some(format!(
                "{stored} are stored, more than {name} = {max}, and packets that were not received for two days \
                 are deleted when new keys publish: confirm it with --yes"
            ))
        })
    }
}
