//! Replicates one store to all nodes of a cluster with Raft.
//!
//! Connects openraft to our log, our store and our transport; no other crate imports openraft, and here
//! only one folder. The server opens a [`Node`]. HTTP and DNS use it as a
//! [`Replica`](quorate_replica::Replica), peers as a [`Service`](quorate_peer::Service).
//!
//! # The path of a PUT
//!
//! ```text
//! put ── queue ── batcher ──┬─ this node leads ── one entry of the log ── applied ── answers
//!                           └─ another leads ──── its queue               └── (each node)
//! ```
//!
//! The node that received the PUT answers once *it* has applied the entry. An attempt that certainly
//! failed is retried until the deadline; then the answer is "not stored". An attempt that may have
//! succeeded is retried too, because applying a packet twice changes nothing; then the answer is
//! "unknown", even if a later attempt is rejected.
//!
//! # Log and checkpoint
//!
//! After a restart the node applies the log after the last checkpoint of the store. A checkpoint *is*
//! openraft's snapshot, so the log is never purged beyond what the store holds. The log is synced
//! through the applied entry before the store is (`docs/decisions/0004-checkpoint.md`).
//!
//! # Starting
//!
//! A node opens log and store, replaces damaged packets, applies what is known to be committed, and
//! makes it durable. It votes only after that. It serves reads once it has caught up with a leader,
//! or has not heard from one for a while. A node with an empty log founds the cluster once all
//! others have stated that they are new too, or waits for a leader if it joins an existing cluster
//! (`docs/decisions/0017-founding.md`). A node that has lost its data stops.
//!
//! # Leading
//!
//! The leader stamps entries with the time on which a majority of clocks agrees. A leader that should
//! not lead, because of its clock or its disk, hands over. If its process ends, another node takes over
//! immediately (`docs/decisions/0018-time-of-a-majority.md`, `0020-succession.md`). All of this uses
//! what nodes report about themselves in the metadata of every message.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Node`], `assembly`, `replica` | a node and its life cycle; how it is assembled; the node as HTTP and DNS use it |
//! | `node_context` | what all tasks of an open node share |
//! | `adapters` | openraft over log, store and transport: the only folder that imports openraft |
//! | `writes` | the path of a PUT into the log, and linearizable reads |
//! | `links` | the links kept open to peers, their requests in flight, and the answers to peers |
//! | `membership` | who belongs to the cluster, and how that changes |
//! | `leadership` | who leads, and who takes over when the leader is gone or should not lead |
//! | `start` | from the start of a node to its first read |
//! | `snapshots` | checkpoints, and snapshots sent to and received from peers |
//! | `clocks` | what nodes report to each other, and the cluster time computed from it |
//! | `background` | what a node does automatically: capacity, expiry, scrubbing, disk space |

mod adapters;
mod assembly;
mod background;
mod clocks;
mod config;
mod error;
mod leadership;
mod links;
mod membership;
mod metrics;
mod node;
mod node_context;
mod replica;
mod secrets;
mod settings;
mod snapshots;
mod start;
mod writes;

pub use clocks::wall_clock::WallClock;
pub use config::{Cleanup, Founding, KnownMembers, RaftConfig};
pub use error::{FatalError, OpenError, ShutdownError};
pub use membership::address::is_dialable;
pub use metrics::{NodeMetrics, RaftMetrics};
pub use node::Node;
pub use quorate_log::LOG_DIR;
pub use quorate_store::STORE_FILE;
pub use settings::{
    ClockSettings, LogSettings, PacketSettings, Profile, PutSettings, RaftSettings, Settings,
    StoreSettings,
};
pub use snapshots::backup_source::{BackupSource, BackupView};
