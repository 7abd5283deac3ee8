//! Makes the first node of a new cluster: from a backup, or from what is left of a cluster that has lost its
//! majority for ever. All of it works on files of stopped nodes.
//!
//! | piece | what it does |
//! |---|---|
//! | [`Survivor`] | reads what a node of the old cluster has, and changes nothing |
//! | [`Summary`] | what it has, in a file that can be copied to another machine |
//! | [`Assessment`] | which survivor is the best, and what may be lost |
//! | [`recover`] | makes the best survivor the first node of a new cluster |
//! | [`restore`] | makes the same from the packets of a backup |
//! | [`salvage`] | makes the same from every packet that can still be verified in damaged directories |
//!
//! # The new cluster
//!
//! It gets a new id, so that old members cannot mix in: nodes of different clusters reject each other. It gets
//! the packets, zones, publish policy, deletions and capacity of the old one, and its time, so that no packet
//! becomes older by the pause. It does not get members, registrations, invites, vouchers and secrets.
//!
//! The new node is prepared as openraft describes it for a restore from a snapshot: its store contains
//! everything as of one position, its log is empty and purged up to that position, and its membership is this
//! node alone. The term of that position is above all terms that a survivor knows, and its index is
//! [`HISTORY_GAP`] above all indexes. So no reader of the old cluster's changes can take a later entry of this one
//! for an old one that it knows.

mod assessment;
mod error;
mod prepare;
mod recover;
mod salvage;
mod summary;
mod survivor;
#[cfg(test)]
mod test_cluster;
mod verification;

pub use assessment::{Assessment, last_known};
pub use error::RecoveryError;
pub use prepare::{HISTORY_GAP, NewNode, restore};
pub use recover::{Recovered, recover};
pub use salvage::{Completeness, Salvaged, salvage};
pub use summary::{Summary, SummaryVote};
pub use survivor::Survivor;
