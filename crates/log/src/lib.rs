//! The Raft log on disk: entries, vote and commit index, in append-only chunks.
//!
//! The only importer of the `raft-log` crate. What an entry says is opaque here. Everything is
//! written by one thread of that crate, in the order of the calls, and one `fdatasync` covers all
//! that was queued before it: that is the group commit of a node.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Log`] | the log: append, truncate, purge, read |
//! | [`Vote`] | who may lead in which term |
//! | [`Metrics`] | how long a group takes to reach the disk |
//!
//! Two rules that callers rely on: the callback of [`Log::append`] and [`Log::save_vote`] comes
//! only after `fdatasync`, and after any error it comes with an error for ever, because what the
//! kernel dropped after a failed sync cannot be written again (Rebello et al., *Can Applications
//! Recover from fsync Failures?*, 2020).

mod codec;
mod log;
mod metrics;

pub use codec::{NODE_SIZE, Vote};
pub use log::{Config, Log, LogError, OnFlushed, State};
pub use metrics::Metrics;
