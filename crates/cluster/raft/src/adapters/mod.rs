//! Adapts our log, store and transport to the traits of openraft.
//!
//! The only folder that imports openraft, which is an alpha version: an upgrade changes nothing
//! else. The rest of the crate sees [`Raft`], the [`StateMachine`] that writes checkpoints, and
//! values of ours.
//!
//! | piece | what it is |
//! |---|---|
//! | [`raft`] | [`Raft`]: all operations on consensus |
//! | [`membership`] | the members, and how they are changed |
//! | [`view`] | [`RaftView`]: the state of consensus, as a value |
//! | [`responder`], [`reception`] | answers to peers: to messages of Raft, and to snapshots |
//! | [`transmission`] | sends snapshots to peers |
//! | [`state_machine`], [`applying`] | the applied state with its checkpoints, and how entries are applied |
//! | [`log_storage`], [`storage`], [`network`] | log, state machine and transport as openraft sees them |
//! | [`snapshot`] | what openraft passes around as a snapshot |
//! | [`answered`] | which requests of this leader were answered, to confirm reads |
//! | [`types`], [`conversions`], [`settings`] | openraft's types and settings, and conversions to and from ours |

mod answered;
mod applying;
mod conversions;
mod entry_times;
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

pub(crate) use entry_times::{EntryTimes, LastEntryTimes};
pub(crate) use log_storage::{flushed, saved_vote};
pub(crate) use membership::{MembersChange, Membership};
pub(crate) use raft::Raft;
pub(crate) use state_machine::{NOT_FOUNDED, StateMachine, applied_membership, blocking};
pub(crate) use view::{Follower, RaftView};
