//! What time it is for a cluster of which no single clock is trusted.
//!
//! A node whose clock is days ahead must not expire what the cluster holds, and one whose clock is
//! slow must not refuse what is fresh. So the nodes tell each other their wall clocks in messages
//! that they send anyway. Each such clock was read at some moment of a round trip, hence its offset
//! is known as an interval. The time of the cluster is one on which the clocks of a majority of the
//! voters agree (Marzullo and Owicki, *Maintaining the time in a distributed system*, 1983).
//!
//! Clocks agree that differ by no more than the tolerance. As long as a majority is right to half
//! of it, the time of the cluster is right to the tolerance and the length of a round trip, whatever
//! the other clocks say.
//!
//! Nothing here reads a clock: moments come in as values, the monotonic ones as the time since a
//! moment that the process has chosen.
//!
//! | piece | what it is |
//! |---|---|
//! | [`ClusterClock`] | what a node has heard of the clocks, and the time that follows from it |
//! | [`Sample`] | one look at a clock |
//! | [`Reading`] | what time it is, and how far that is to be trusted |
//! | [`Stamp`] | the time in a command |

mod cluster_clock;
mod interval;
mod reading;
mod sample;

pub use cluster_clock::{ClockConfig, ClusterClock, Start};
pub use reading::{ClockState, Reading, Stamp};
pub use sample::Sample;
