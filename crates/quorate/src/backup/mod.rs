//! Backups of the running node: streamed to operators, and scheduled.

mod schedule;
mod settings;
mod stream;

pub(crate) use schedule::ScheduledBackups;
pub(crate) use settings::BackupSettings;
pub(crate) use stream::NodeBackups;
