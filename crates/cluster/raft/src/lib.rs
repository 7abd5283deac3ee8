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
//! tell of themselves in the tail of every message.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Node`], `assembly`, `replica` | Raft, log and store put together; the node as fronts see it |
//! | `adapters` | openraft over log, store and transport: the only folder that knows openraft |
//! | `puts`, `write_path` | the path of a PUT into the log |
//! | `read_index` | linearizable reads |
//! | `peers`, `peer_link`, `connection`, `presence` | links to all peers that are kept open, and their requests in flight |
//! | `service` | what peers are answered |
//! | `membership` | who belongs to the cluster, and how that changes |
//! | `leadership` | who leads |
//! | `succession`, `handover` | who shall lead next: when the leader is gone, and when it should not lead |
//! | `slow_disk` | why a node should not lead, as far as its disk goes |
//! | `opening`, `pull`, `founding`, `log_state`, `starting`, `recovery` | the way from a start to the first read |
//! | `transfers`, `incoming`, `window` | snapshots on their way to peers, and from a leader |
//! | `exchange`, `clock` | what nodes tell each other of themselves, and the time that follows |
//! | `agreement`, `checkpoint`, `space`, `scrub`, `expiry` | what a node does unasked |

mod adapters;
mod agreement;
mod assembly;
mod checkpoint;
mod clock;
mod config;
mod connection;
mod error;
mod exchange;
mod expiry;
mod founding;
mod handover;
mod incoming;
mod leadership;
mod log_state;
mod membership;
mod metrics;
mod node;
mod offloaded;
mod opening;
mod peer_link;
mod peers;
mod presence;
mod pull;
mod puts;
mod read_index;
mod recovery;
mod replica;
mod scrub;
mod service;
mod settings;
mod slow_disk;
mod space;
mod starting;
mod succession;
mod transfers;
mod window;
mod write_path;

pub use clock::WallClock;
pub use config::{Cleanup, Known, LOG_DIR, RaftConfig, STORE_FILE};
pub use error::{FatalError, OpenError, ShutdownError};
pub use metrics::{NodeMetrics, RaftMetrics};
pub use node::Node;
pub use settings::{
    ClockSettings, LogSettings, PacketSettings, Profile, PutSettings, RaftSettings, Settings,
    StoreSettings,
};
pub use starting::StartingNode;
