//! What a look at the clock of the cluster gives.

use quorate_state::UnixMillis;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// What the time of the cluster rests on.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    VariantArray,
    IntoStaticStr,
    strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum ClockState {
    /// A majority of the clocks agree, and this node's is among them.
    Agreed,
    /// A majority of the clocks agree, and this node's does not.
    Disagrees,
    /// No majority agrees any more: it is the time that was agreed on last, and what has passed
    /// since.
    Held,
    /// No majority has agreed since this node started: it is what the log told last, and what has
    /// passed since the start.
    #[default]
    Unknown,
}

/// What time it is for the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the time rests on.
    pub state: ClockState,
    /// The time. A little of it may be taken back when more clocks are heard.
    pub time: UnixMillis,
    /// The latest that it can be: the time, or the latest clock of a member that is heard while
    /// there is no agreement. What is stamped later than that is not fresh.
    pub latest: UnixMillis,
    /// Whether what is old by this time may go.
    pub may_expire: bool,
    /// By how much this node's clock is ahead of the time that a majority agrees on, in
    /// milliseconds.
    pub offset_ms: Option<i64>,
    /// The time, if this node itself has heard a majority that agrees on it: what it may tell
    /// others.
    pub first_hand: Option<UnixMillis>,
}

/// The time in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When the command was proposed.
    pub now: UnixMillis,
    /// The latest timestamp that a packet may have.
    pub timestamp_max: UnixMillis,
}
