//! openraft, and our log, store and transport in the shapes that it wants them in.
//!
//! The only folder that imports openraft, which is an alpha: an upgrade ends here. The rest of the
//! crate sees [`Raft`], the [`StateMachine`] that makes checkpoints, and values of ours.
//!
//! | piece | what it is |
//! |---|---|
//! | [`raft`] | [`Raft`]: everything that is asked of consensus |
//! | [`membership`] | the members, and changes of them |
//! | [`view`] | [`View`]: how consensus stands, as a value |
//! | [`responder`], [`reception`] | what peers are answered: Raft's messages, and snapshots |
//! | [`transmission`] | snapshots that are sent to peers |
//! | [`state_machine`], [`applying`] | what is applied, its checkpoints, and how entries are applied |
//! | [`log_storage`], [`storage`], [`network`] | log, state machine and transport as openraft sees them |
//! | [`snapshot`] | what openraft passes around as a snapshot |
//! | [`types`], [`conversions`], [`settings`] | openraft's types, and ours made of them and they of ours |

mod applying;
mod conversions;
mod log_storage;
mod membership;
mod network;
mod raft;
mod reception;
mod responder;
mod settings;
mod snapshot;
mod state_machine;
mod storage;
mod transmission;
mod types;
mod view;

pub(crate) use log_storage::{flushed, saved_vote};
pub(crate) use membership::{MembersChange, Membership};
pub(crate) use raft::Raft;
pub(crate) use state_machine::{NOT_FOUNDED, StateMachine, applied_membership, blocking};
pub(crate) use view::{Follower, View};
