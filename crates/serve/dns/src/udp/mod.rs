//! DNS over UDP.
//!
//! Dedicated threads answer datagrams, so that a flood and the other work of the node do not delay
//! each other. Each thread has its own socket at each address (SO_REUSEPORT: the system distributes
//! clients over them). It receives the waiting datagrams with one system call, answers them, and
//! sends the responses with one system call. The system drops what it cannot queue, so a flood
//! costs no memory here. Nothing is allocated for a datagram, except for the few that wait for the DHT.
//!
//! | piece | what it is |
//! |---|---|
//! | [`bind`] | the sockets of an address |
//! | [`AddressFamily`] | the types that differ between IPv4 and IPv6 |
//! | [`Batch`] | datagrams that are received, answered and sent together |
//! | [`UdpThreads`] | the threads that answer datagrams |
//! | [`WaitingPlaces`] | the few datagrams that wait for the DHT |

mod batch;
mod family;
mod socket;
mod threads;
mod waiting;

use batch::{Batch, Destination};
use family::AddressFamily;
pub(crate) use socket::bind;
pub(crate) use threads::UdpThreads;
#[cfg(test)]
pub(crate) use waiting::WAITING_PER_CLIENT_MAX;
use waiting::{WaitingPlaces, WaitingQuery};

#[cfg(test)]
#[path = "udp_tests.rs"]
mod tests;
