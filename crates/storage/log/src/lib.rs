//! The Raft log on disk: entries, vote and commit index.
//!
//! The content of an entry is opaque to this crate. One thread writes everything, in the order of
//! the calls. It writes all queued items as one *group* and syncs once (group commit).
//!
//! | type or function | purpose |
//! |---|---|
//! | [`Log`] | the log: append, truncate, purge, read |
//! | [`SavedVote`] | the node that this one voted for, and the term |
//! | [`Scrub`] | reads the files in the background, to find damage |
//! | [`LogReader`] | reads the log of a node that will not start again, damaged or not |
//! | [`inspect`] | prints what is in the files of a log, damaged or not |
//! | [`SyncObserver`] | is notified when a write starts and ends, to measure the disk |
//! | [`LogMetrics`] | how long a group takes to reach the disk, and how many entries it has |
//!
//! Callers rely on two rules. The callback of [`Log::append`] and [`Log::save_vote`] is called only
//! after `fdatasync`. After any error, every later callback gets an error too: what the kernel
//! dropped after a failed sync cannot be written again (Rebello et al., *Can Applications Recover
//! from fsync Failures?*, 2020).
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `lock` | locked by the process that uses the log |
//! | `vote` | two copies of the vote |
//! | `synced` | the position up to which the log is known to be synced, in two slots |
//! | `000000000001.seg`, … | segments: the log itself, and the next segment, allocated in advance |
//! | `*.spare` | a spare file, which will become a segment; its content means nothing |
//!
//! Segments have a fixed size and are filled with zeros when they are allocated, so that a sync
//! writes no metadata. Purged segments are reused. A group in a segment is valid only if its
//! checksum, its number and its link to the group before it match. The checksums are seeded with an
//! id that is drawn at random when the log is created, so that foreign bytes, or those of another
//! log, never match.
//!
//! # Full disks
//!
//! Votes, and groups that fit into allocated segments, need no space. The next segment is allocated
//! before it is needed. While there is no space for it, [`Log::is_full`] returns true, and entries
//! that do not fit wait: they are not acknowledged, and nothing has failed. An error of a sync is
//! always fatal.
//!
//! # After a power loss
//!
//! A log that lost what it had acknowledged must not vote (Alagappan et al., *Protocol-Aware
//! Recovery for Consensus-Based Storage*, 2018). So recovery distinguishes damage from a torn last
//! write, which was never acknowledged; the rules are at the top of `recovery.rs`. When it cannot
//! decide, the log is not opened, and the error states what to do.

mod block;
mod bounds;
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
mod metrics;
#[cfg(test)]
mod power_loss_tests;
mod queue;
mod reader;
mod recovery;
mod scrub;
mod segment;
mod segment_allocator;
mod shared;
#[cfg(test)]
mod space_tests;
mod synced_position;
mod vote;
mod writer;

pub use config::{LOG_DIR, LogConfig, SyncObserver};
pub use error::{LogDamage, LogError};
#[doc(hidden)]
pub use injected_fault::InjectedFault;
pub use inspect::inspect;
pub use log::{Log, State};
pub use metrics::LogMetrics;
pub use queue::OnFlushed;
pub use reader::LogReader;
pub use scrub::Scrub;
pub use vote::{NODE_SIZE, SavedVote};
