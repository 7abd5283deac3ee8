//! The transports of DNS messages.

use strum::{IntoStaticStr, VariantArray};

/// The transport of a query. The names are the label values in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum DnsTransport {
    /// A datagram. The response must fit in one.
    Udp,
    Tcp,
    /// A TLS connection (RFC 7858).
    Tls,
    /// A stream of QUIC (RFC 9250).
    Quic,
    Https,
}

impl DnsTransport {
    /// Whether the client's address may be forged, and the response must fit in one datagram.
    pub fn is_datagram(self) -> bool {
        self == Self::Udp
    }

    /// Whether the network sees only the size of a message. HTTP is assumed to be encrypted.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Quic | Self::Https)
    }

    /// Whether DNS itself decides how long an idle connection stays open. It does not for QUIC (RFC
    /// 9250, section 5.5.2), nor for HTTP.
    pub(crate) fn may_stay_idle(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}
