//! The result of reading the cluster clock.

use quorate_state::UnixMillis;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// The basis of the cluster time.
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
    /// A majority of the clocks agrees, including this node's.
    Agreed,
    /// A majority of the clocks agrees, but not this node's.
    Disagrees,
    /// No majority agrees any more: the last agreed time plus what has passed since.
    Held,
    /// No majority has agreed since this node started: the last time in the log plus what has passed since
    /// the start.
    #[default]
    Unknown,
}

/// The cluster time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Its basis.
    pub state: ClockState,
    /// The time. It may go back a little when more clocks are sampled.
    pub time: UnixMillis,
    /// The latest possible time: the time, or, without agreement, the latest clock of a sampled member.
    /// Timestamps later than this are too far ahead.
    pub latest: UnixMillis,
    /// Whether packets may expire by this time.
    pub may_expire: bool,
    /// How far this node's clock is ahead of the agreed time, in milliseconds.
    pub offset_ms: Option<i64>,
    /// The time, if this node itself sampled an agreeing majority. Only then may it report the time to
    /// others.
    pub first_hand: Option<UnixMillis>,
}

/// The time in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The time of the proposal.
    pub now: UnixMillis,
    /// The latest timestamp that a packet may have.
    pub timestamp_max: UnixMillis,
}
