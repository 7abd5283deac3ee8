//! Transports.

use strum::{IntoStaticStr, VariantArray};

/// How a query came. The names are those in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum DnsTransport {
    /// A datagram. The response has to fit one.
    Udp,
    Tcp,
    /// A TLS connection (RFC 7858).
    Tls,
    /// A stream of QUIC (RFC 9250).
    Quic,
    Https,
}

impl DnsTransport {
    /// Whether responses go to whatever address the query claims to come from, and have to fit one
    /// datagram.
    pub fn is_datagram(self) -> bool {
        self == Self::Udp
    }

    /// Whether others on the way see no more of a message than its size. Of HTTP that is the rule.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Quic | Self::Https)
    }

    /// Whether DNS itself decides how long an idle connection stays open: not QUIC (RFC 9250,
    /// section 5.5.2), nor HTTP.
    pub(crate) fn may_stay_idle(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}
