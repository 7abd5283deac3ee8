//! DNS over QUIC (RFC 9250). Experimental.
//!
//! quinn's endpoint carries the bytes. What a stranger can hold is bounded here: a handshake waits
//! for nobody else's, has a time limit and gives way to others; clients whose address nothing vouches
//! for are asked to repeat themselves when there are many (RFC 9000, section 8.1.2); connections have
//! the same limits as those over TCP; streams and what they carry are few and small.

mod connection;
mod server;

pub(crate) use connection::QuicProtocol;
pub(crate) use server::serve;

#[cfg(test)]
#[path = "quic_tests.rs"]
mod tests;
