//! The time of a cluster in which no single clock is trusted.
//! A node with a clock days ahead must not expire packets, and one with a slow clock must not reject fresh
//! ones. So the nodes report their wall clocks in messages that they send anyway. Each clock was read
//! during a round trip, so its offset is known as an interval. The cluster time is one on which the clocks
//! of a majority of the voters agree (Marzullo and Owicki, *Maintaining the time in a distributed system*,
//! 1983).
//! Clocks agree if they differ by at most the tolerance. If a majority is right within half of it, the
//! cluster time is right within the tolerance plus a round trip, whatever the other clocks show.
//! Nothing here reads a clock: times are arguments, monotonic ones as durations since an instant that the
//! process has chosen.
//!
//! | piece | what it is |
//! |---|---|
//! | [`ClusterClock`] | the clock samples of a node, and the resulting time |
//! | [`Sample`] | one sample of a clock |
//! | [`Reading`] | the time, and how far it can be trusted |
//! | [`Stamp`] | the time in a command |

mod cluster_clock;
mod interval;
mod reading;
mod sample;

pub use cluster_clock::{ClockConfig, ClusterClock, Start};
pub use reading::{ClockState, Reading, Stamp};
pub use sample::Sample;
