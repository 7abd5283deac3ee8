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
    /// An HTTP request.
    Https,
}
