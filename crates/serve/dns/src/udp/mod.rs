//! Datagrams.
//!
//! Threads of their own answer them, so that a flood neither waits for what else the node does nor
//! keeps it from being done: each has a socket of its own at each address (SO_REUSEPORT: the system
//! spreads clients over them), takes what is there in one call, answers it, and sends the answers in
//! one call. What the system cannot queue it drops, so a flood costs no memory here; nothing is
//! allocated for a datagram.
//!
//! | piece | what it is |
//! |---|---|
//! | [`bind`] | the sockets of an address |
//! | [`Family`] | what IPv4 and IPv6 have different types for |
//! | [`Batch`] | datagrams that are received, answered and sent together |
//! | [`UdpThreads`] | the threads |

mod batch;
mod family;
mod socket;
mod threads;

use batch::Batch;
use family::Family;
pub(crate) use socket::bind;
pub(crate) use threads::UdpThreads;

#[cfg(test)]
#[path = "udp_tests.rs"]
mod tests;
