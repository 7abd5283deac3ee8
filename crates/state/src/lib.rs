//! The replicated state machine: what a log entry does to the packets.
//!
//! Every node applies the same entries in the same order and must come to the same packets, so
//! [`apply`] obeys three laws:
//!
//! - **Total.** No content of an entry makes it fail or panic; what cannot be applied gives
//!   [`Outcome::Rejected`]. Only the packets themselves can fail, and that is fatal to the node.
//! - **Deterministic.** Time arrives only inside commands, stamped by the leader. Equal logs give
//!   equal packets, byte for byte.
//! - **Trusting.** Signatures were verified where the packet entered. Verifying again could make
//!   nodes of different versions disagree.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Command`] | what is proposed, with its versioned encoding |
//! | [`EncodedPackets`] | packets on their way into a batch |
//! | [`Outcome`] | what applying it gave |
//! | [`StoredPackets`] | where the packets are: redb in a node, a map in tests |
//! | [`StoredPacket`] | a packet and when the cluster last received it |
//! | [`LogPosition`] | where an entry stands: term and index |

mod apply;
mod command;
mod encoded_packets;
mod position;
mod stored_packet;
mod time;

pub use apply::{Outcome, PutOutcome, TIMESTAMP_AHEAD_MAX, apply};
pub use command::{
    BATCH_COUNT_MAX, BATCH_SIZE_MAX, Command, CommandError, EXPIRE_COUNT_MAX, PutBatch,
};
pub use encoded_packets::EncodedPackets;
pub use position::{LogIndex, LogPosition, Term};
pub use stored_packet::{StoredPacket, StoredPackets};
pub use time::{UnixMillis, millis};
