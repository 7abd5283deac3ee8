//! The transports of queries.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over QUIC (RFC 9250).
    Quic,
    /// DNS over HTTPS (RFC 8484).
    Https,
}

impl Transport {
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "udp" => Ok(Self::Udp),
            "tcp" => Ok(Self::Tcp),
            "tls" => Ok(Self::Tls),
            "quic" => Ok(Self::Quic),
            "https" => Ok(Self::Https),
            _ => Err(format!("{word:?} is not a transport")),
        }
    }
}
