//! Packets, retention index and checkpoints, in one redb file. The only importer of redb.
//!
//! # Layout
//!
//! | table | key | value |
//! |---|---|---|
//! | `records` | public key, 32 bytes | time received (u64, ms), payload |
//! | `retention` | time received (u64, ms), public key | nothing |
//! | `meta` | `"format"`, `"applied"`, `"membership"`, `"record_count"` | one value each |
//!
//! All integers are big-endian. Every transaction that changes packets also sets `applied` and
//! `membership`, so the file never says that it holds an entry which it does not.
//!
//! # Durability
//!
//! [`Store::transact`] commits in memory only: after a crash the file is as of the last
//! [`Store::checkpoint`], and the Raft log holds the rest. A checkpoint is one durable two-phase
//! commit, with the allocator's state in it so that opening after a crash need not read the whole
//! file. The caller syncs the log through the applied entry *first*: a file ahead of its log could
//! contradict the entries that a new leader sends.
//!
//! # Snapshots
//!
//! A [`Snapshot`] is a read transaction, not a file: taking one is free, and it is streamed in key
//! order in chunks that each end in the SHA-256 of all that came before. A [`SnapshotReceiver`]
//! builds a new file beside the old one, and [`Store::install`] swaps them once it is whole.
//!
//! Any error of a commit is fatal to the node: redb refuses further writes, and a failed sync must
//! not be retried.

mod digest;
mod error;
mod metrics;
mod packets;
mod receive;
mod schema;
mod snapshot;
mod store;

pub use error::StoreError;
pub use metrics::Metrics;
pub use packets::PacketsMut;
pub use receive::{ReceivedSnapshot, SnapshotReceiver};
pub use schema::Meta;
pub use snapshot::{Snapshot, SnapshotChunks};
pub use store::{Config, Store};
