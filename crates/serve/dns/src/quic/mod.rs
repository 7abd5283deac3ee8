//! DNS over QUIC (RFC 9250). Experimental.
//!
//! quinn implements the transport. This module limits what unknown clients can occupy. A handshake
//! does not delay others, has a time limit, and ends early if its slot is needed. When there are
//! many handshakes, clients must first prove their address with a retry (RFC 9000, section 8.1.2).
//! Connections have the same limits as those over TCP. Streams and their buffers are few and small.

mod connection;
mod server;

pub(crate) use connection::QuicProtocol;
pub(crate) use server::serve;

#[cfg(test)]
#[path = "quic_tests.rs"]
mod tests;
