//! Scheduled backups.
//!
//! All nodes compute from the replicated [`LastBackup`](quorate_state::LastBackup) whether a backup is due
//! and whose turn it is, so they need no messages for that and no clock of their own.

mod turn;

pub use turn::{PATIENCE_MAX, PATIENCE_MIN, Schedule};
