//! Transports.

use strum::{IntoStaticStr, VariantArray};

/// How a query came. The names are those in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum DnsTransport {
    /// A datagram. The response has to fit one.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection (RFC 7858).
    Tls,
    /// A stream of QUIC (RFC 9250).
    Quic,
    /// An HTTP request.
    Https,
}
