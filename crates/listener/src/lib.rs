//! TCP listeners: the one place that accepts connections, counts them and drains them.
//!
//! HTTP, DNS over TCP and the links between nodes differ in what they say on a connection, not in
//! how they come by one. So a [`Protocol`] serves one connection, and a [`Listener`] does the rest:
//! it holds connections to a cap, goes on when the system refuses one, and at shutdown frees the
//! address, lets connections end and cuts off those that take too long.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Listener`] | an address that was taken, and serves nothing yet |
//! | [`Limits`] | how many connections, and how long they may drain |
//! | [`Protocol`] | what is said on a connection |
//! | [`Server`] | a listener that serves |
//! | [`linger`] | closes a connection so that the other end reads the last words |
//! | [`Metrics`] | what all listeners of a node tell Prometheus, by [`Name`] |

mod bind;
mod linger;
mod metrics;
mod server;

pub use bind::{BindError, Listener};
pub use linger::linger;
pub use metrics::{Metrics, Name};
pub use server::{Limits, Protocol, Server};
