//! Listeners: accept, count, limit and drain connections, for all protocols of a node.
//!
//! HTTP, DNS over TCP and the links between nodes use connections differently, but accept them in
//! the same way. So a [`Protocol`] serves one connection, and a [`Listener`] does the rest: it
//! enforces the limits, continues after errors of `accept`, and at shutdown frees the address, lets
//! connections finish and closes those that take too long.
//!
//! | piece | what it is |
//! |---|---|
//! | [`ListenAddresses`] | the setting for the addresses to listen on |
//! | [`Listener`] | an address that is bound and not served yet |
//! | [`ConnectionLimits`] | how many connections in total and per client, and how long a shutdown waits for them |
//! | [`Connections`] | the open connections, and which one is evicted for a new one; not only for TCP |
//! | [`ConnectionSlot`], [`BusyGuard`] | the entry of a connection there, and what marks it as not idle |
//! | [`Protocol`] | serves one connection |
//! | [`ListenerServer`] | a listener that is served |
//! | [`ProxiedClient`] | the client of a connection or a datagram that came through a proxy (PROXY protocol) |
//! | [`linger`] | closes a connection so that the peer can read the last bytes |
//! | [`ListenerMetrics`] | metrics of all listeners of a node, by [`ListenerName`] |

mod addresses;
mod bind;
mod connections;
mod linger;
mod metrics;
mod open_connections;
mod proxy_header;
mod server;

pub use addresses::ListenAddresses;
pub use bind::{BindError, Listener};
pub use connections::{
    BusyGuard, ConnectionLimits, ConnectionSlot, Connections, IsExempt, TooManyConnections,
};
pub use linger::linger;
pub use metrics::{ListenerMetrics, ListenerName};
pub use proxy_header::{ProxiedClient, ProxyHeaderError};
pub(crate) use server::{Accept, serve};
pub use server::{ListenerServer, Protocol};
