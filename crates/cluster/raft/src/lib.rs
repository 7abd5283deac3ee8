//! Consensus: openraft over our log, our store and a transport.
//!
//! The only importer of openraft, in one folder. [`Node`] is what the roof opens; fronts see it as a
//! [`Replica`](quorate_replica::Replica), peers as a [`Service`](quorate_peer::Service).
//!
//! # The path of a PUT
//!
//! ```text
//! put ── queue ── batcher ──┬─ this node leads ── one entry of the log ── applied ── answers
//!                           └─ another leads ──── its queue               └── (each node)
//! ```
//!
//! The node that took the PUT answers once *it* has applied the entry. An attempt that surely failed
//! is tried again until the deadline and then "not stored"; one that may have succeeded is tried
//! again too, since applying a packet twice changes nothing, and then "unknown", whatever refuses it
//! later.
//!
//! # Log and checkpoint
//!
//! What is applied after a restart is the last checkpoint of the store and the log behind it. A
//! checkpoint *is* openraft's snapshot, so the log is never purged past what the store holds; and
//! the log is synced through the applied entry before the store is
//! (`docs/decisions/0004-checkpoint.md`).
//!
//! # Starting
//!
//! Open log and store, heal the packets if they are damaged, apply what is known to be committed,
//! make it durable; only then vote; and only when the node has caught up once with a leader, or has
//! heard of none for a while, serve reads. A node whose log is empty founds the cluster once all
//! others have said that they are new too, or waits for a leader if it joins a cluster that there is
//! (`docs/decisions/0017-founding.md`). One that has lost its data stops.
//!
//! # Leading
//!
//! The leader stamps entries with the time on which a majority of clocks agrees. One that should not
//! lead, by its clock or its disk, hands over; one whose process ends is succeeded at once
//! (`docs/decisions/0018-time-of-a-majority.md`, `0020-succession.md`). All of it rests on what nodes
//! tell of themselves in the metadata of every message.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Node`], `assembly`, `replica` | a node from its start on; how it is put together; the node as fronts see it |
//! | `parts` | what all jobs of an open node work with |
//! | `adapters` | openraft over log, store and transport: the only folder that knows openraft |
//! | `writes` | the path of a PUT into the log, and linearizable reads |
//! | `links` | links to all peers that are kept open, their requests in flight, and what peers are answered |
//! | `membership` | who belongs to the cluster, and how that changes |
//! | `leadership` | who leads; who leads next, when the leader is gone and when it should not lead |
//! | `start` | the way from a start to the first read |
//! | `snapshots` | checkpoints, and snapshots on their way to and from peers |
//! | `clocks` | what nodes tell each other of themselves, and the time that follows |
//! | `background` | what a node does unasked: capacity, expiry, scrubbing, space |

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
mod parts;
mod replica;
mod settings;
mod snapshots;
mod start;
mod writes;

pub use clocks::wall_clock::WallClock;
pub use config::{Cleanup, Founding, KnownMembers, LOG_DIR, RaftConfig, STORE_FILE};
pub use error::{FatalError, OpenError, ShutdownError};
pub use membership::address::is_dialable;
pub use metrics::{NodeMetrics, RaftMetrics};
pub use node::Node;
pub use settings::{
    ClockSettings, LogSettings, PacketSettings, Profile, PutSettings, RaftSettings, Settings,
    StoreSettings,
};
