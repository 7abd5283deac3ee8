//! The Raft log on disk: entries, vote and commit index.
//!
//! What an entry says is opaque here. Everything is written by one thread, in the order of the
//! calls; it takes all that waits, writes it as one *group* and syncs once: that is the group commit
//! of a node.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Log`] | the log: append, truncate, purge, read |
//! | [`SavedVote`] | who may lead in which term |
//! | [`Scrub`] | reads again what is on disk, to find damage |
//! | [`inspect`] | says what is in the files of a log, damaged or not |
//! | [`SyncObserver`] | hears how long the disk takes |
//! | [`LogMetrics`] | how long a group takes to reach the disk, and what is in it |
//!
//! Two rules that callers rely on: the callback of [`Log::append`] and [`Log::save_vote`] comes
//! only after `fdatasync`, and after any error it comes with an error for ever, because what the
//! kernel dropped after a failed sync cannot be written again (Rebello et al., *Can Applications
//! Recover from fsync Failures?*, 2020).
//!
//! # Files
//!
//! | file | what it is |
//! |---|---|
//! | `lock` | held by the process that has the log |
//! | `vote` | two copies of the vote |
//! | `synced` | up to where the log is known to be synced, in two slots |
//! | `000000000001.seg`, … | segments: the log itself, and one more that stands ready |
//! | `*.spare` | will be a segment; says nothing |
//!
//! Segments have a fixed size and are full of written zeros from the start, so that a sync writes no
//! metadata. Purged ones are used again. What is in them is believed by checksum, number and chain
//! only: the checksums are seeded with an id that was drawn when the log was made, so that bytes
//! from outside, or of another log, never pass.
//!
//! # Full disks
//!
//! Votes, and groups into segments that are there, take no space. The next segment is made before it
//! is needed. While there is no space for it, [`Log::is_full`] says so, and what finds no room waits: it
//! is not acknowledged, and nothing has failed. An error of a sync is fatal whatever it says.
//!
//! # After a loss of power
//!
//! A log that lost what it had acknowledged must not vote (Alagappan et al., *Protocol-Aware
//! Recovery for Consensus-Based Storage*, 2018). So a torn last write, which nobody was told of, is
//! told from damage by what else is there; the rules stand at the head of `recovery.rs`. In doubt
//! the log is refused, with what to do.

mod base;
mod block;
mod chain;
mod config;
#[cfg(test)]
mod damage_tests;
mod error;
#[cfg(test)]
mod fixture;
mod group;
mod index;
mod injected_fault;
mod inspect;
mod item;
mod log;
#[cfg(test)]
mod loss_tests;
mod metrics;
mod queue;
mod recovery;
mod scrub;
mod segment;
mod segment_allocator;
mod shared;
#[cfg(test)]
mod space_tests;
mod synced;
mod vote;
mod writer;

pub use config::{LogConfig, SyncObserver};
pub use error::{LogDamage, LogError};
#[doc(hidden)]
pub use injected_fault::InjectedFault;
pub use inspect::inspect;
pub use log::{Log, State};
pub use metrics::LogMetrics;
pub use queue::OnFlushed;
pub use scrub::Scrub;
pub use vote::{NODE_SIZE, SavedVote};
