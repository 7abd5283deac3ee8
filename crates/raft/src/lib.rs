//! Consensus: openraft over our log, our store and a transport.
//!
//! The only importer of openraft. [`Node`] is what the roof opens; fronts see it as a
//! [`Replica`](quorate_replica::Replica), peers as a [`Service`](quorate_rpc::Service).
//!
//! # The way of a PUT
//!
//! ```text
//! put ── Puts ── batch ──┬─ this node leads ───────────────── Proposer ── log ── apply ── answer
//!                        └─ another leads ── Forwarder ── its Proposer        └── (each node)
//! ```
//!
//! The node that took the PUT answers once *it* has applied the entry. An attempt that surely failed
//! is tried again until the deadline and then "not stored"; one that may have succeeded is tried
//! again too, since applying a packet twice changes nothing, and then "unknown".
//!
//! # Log and checkpoint
//!
//! What is applied after a restart is the last checkpoint of the store and the log behind it. A
//! checkpoint *is* openraft's snapshot, so the log is never purged past what the store holds; and
//! the log is synced through the applied entry before the store is
//! (`docs/decisions/0004-checkpoint.md`).
//!
//! | piece | what it is |
//! |---|---|
//! | [`Node`] | Raft, log and store put together |

mod config;
mod forward;
mod leadership;
mod log_storage;
mod metrics;
mod network;
mod node;
mod pipe;
mod proposer;
mod puts;
mod service;
mod settings;
mod snapshot;
mod state_machine;
mod types;
mod upkeep;

pub use config::Config;
pub use metrics::Metrics;
pub use node::{FatalError, Node, NodeMetrics, OpenError};
pub use settings::{
    LogSettings, PacketSettings, PutSettings, RaftSettings, Settings, StoreSettings,
};
