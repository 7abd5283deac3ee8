//! TCP listeners: the one place that accepts connections, counts them and drains them.
//!
//! HTTP, DNS over TCP and the links between nodes differ in what they say on a connection, not in
//! how they come by one. So a [`Protocol`] serves one connection, and a [`Listener`] does the rest:
//! it holds connections to their limits, goes on when the system refuses one, and at shutdown frees the
//! address, lets connections end and cuts off those that take too long.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Listener`] | an address that was taken, and serves nothing yet |
//! | [`Limits`] | how many connections, of all clients and of one, and how long they may drain |
//! | [`Connections`] | those that are open, and which of them gives way: for what is not TCP too |
//! | [`Place`], [`Busy`] | a connection's place among them, which it keeps while something is done on it |
//! | [`Protocol`] | what is said on a connection |
//! | [`ListenerServer`] | a listener that serves |
//! | [`linger`] | closes a connection so that the other end reads the last words |
//! | [`ListenerMetrics`] | what all listeners of a node tell Prometheus, by [`Name`] |

mod bind;
mod connections;
mod linger;
mod metrics;
mod open;
mod server;

pub use bind::{BindError, Listener};
pub use connections::{Busy, Connections, Exempt, Limits, Place, TooMany};
pub use linger::linger;
pub use metrics::{ListenerMetrics, Name};
pub use server::{ListenerServer, Protocol};
