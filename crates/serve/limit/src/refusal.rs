//! What is said to a client that may not.

use std::fmt;

use strum::{IntoStaticStr, VariantArray};

/// A limit that a request can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Limit {
    /// PUTs of one client: an IPv4 address or an IPv6 /64.
    ClientPuts,
    /// PUTs of a network: an IPv4 /24, an IPv6 /48 or /32.
    NetworkPuts,
    ClientGets,
    NetworkGets,
    /// Keys not stored yet, of one client.
    ClientNewKeys,
    /// Keys not stored yet, of a network.
    NetworkNewKeys,
    /// Newer packets of one key.
    KeyPuts,
    /// Keys not stored yet, of everybody.
    TotalNewKeys,
    /// Packets to store, of everybody.
    TotalPuts,
    TotalGets,
    LinearizableReads,
}

/// A request that a limit refused. Its text is for the client, and says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The narrowest limit that refused it.
    pub limit: Limit,
    /// After how many whole seconds, at least one, none of the limits that now refuse it does any
    /// more, if nobody else uses them: what `Retry-After` says (RFC 9110, section 10.2.3).
    pub retry_after_secs: u64,
}

impl Limit {
    /// Whether others use up what it allows, so that the client did nothing wrong: then it is the
    /// node that is busy (503), not the client (429).
    pub fn is_of_everybody(self) -> bool {
        use Limit::{LinearizableReads, TotalGets, TotalNewKeys, TotalPuts};
        matches!(
            self,
            TotalNewKeys | TotalPuts | TotalGets | LinearizableReads
        )
    }

    /// What there is too much of, and what to do beside waiting.
    fn said(self) -> (&'static str, &'static str) {
        let less = "and publish a key no more often than needed";
        let keep = "and keep answers for as long as they say";
        let reuse = "and publish under the keys that you have";
        let other = "or ask another node";
        match self {
            Self::ClientPuts => ("too many PUTs from this address", less),
            Self::NetworkPuts => ("too many PUTs from the network of this address", less),
            Self::ClientGets => ("too many GETs from this address", keep),
            Self::NetworkGets => ("too many GETs from the network of this address", keep),
            Self::ClientNewKeys => ("too many new keys from this address", reuse),
            Self::NetworkNewKeys => ("too many new keys from the network of this address", reuse),
            Self::KeyPuts => ("too many new packets of this key", less),
            Self::TotalNewKeys => ("more new keys come to this node than it takes", other),
            Self::TotalPuts => ("more packets come to this node than it takes", other),
            Self::TotalGets => ("more GETs come to this node than it answers", other),
            Self::LinearizableReads => (
                "too many reads wait for the leader",
                "or ask with `policy=CacheFirst` for what this node holds",
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (too_much, advice) = self.limit.said();
        write!(f, "{too_much}: wait {} s, {advice}", self.retry_after_secs)
    }
}

impl std::error::Error for Refusal {}
