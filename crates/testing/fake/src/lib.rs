//! A replica in memory that fails as told, for the tests of the fronts.
//!
//! A dev-dependency only. It stands alone in its cluster and keeps what it promises: what is PUT is
//! read, older packets are superseded, the digest is one over all packets. Beyond that a test can
//! put anything into it, hold its answers back, and make each of them an error.
//!
//! | piece | what it is |
//! |---|---|
//! | [`FakeReplica`] | `Reader`, `Observer`, `Replica` and `Operator` in one |
//! | [`Operators`] | what operators have asked of it, and what they are answered |
//! | [`packet`] | a packet signed by the `pkarr` crate |
//! | [`received_now`], [`unverified`] | what it can be given to store |

mod answers;
mod operator;
mod packet;
mod replica;
mod state;

pub use operator::Operators;
pub use packet::{packet, received_now, unverified};
pub use replica::FakeReplica;
pub use state::READ_ERROR;
