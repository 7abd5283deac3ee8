//! The error of a request that exceeds a limit.

use std::fmt;

use strum::{IntoStaticStr, VariantArray};

/// A limit that a request can exceed.
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
    /// Keys not stored yet, of all clients.
    TotalNewKeys,
    /// PUTs that the cluster must answer, of all clients.
    TotalPuts,
    /// Those of new keys, and of keys that published within the last minutes.
    TotalBusyPuts,
    /// Those that change no packet.
    TotalUnchangedPuts,
    TotalGets,
    LinearizableReads,
    /// DNS queries over HTTPS of one client, or of a network around it.
    Queries,
    /// Lookups in the DHT of one client.
    ClientLookups,
    /// Lookups in the DHT of a network.
    NetworkLookups,
    /// Lookups in the DHT of all clients.
    TotalLookups,
}

/// A request exceeded a limit. The text is for the client, and says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The narrowest limit that rejected it.
    pub limit: Limit,
    /// After how many seconds, at least one, all limits admit the request again if nobody else uses
    /// them: the value of `Retry-After` (RFC 9110, section 10.2.3).
    pub retry_after_secs: u64,
}

impl Limit {
    /// Whether all clients share the limit. Then the client did nothing wrong, because others may
    /// have used it up: the response is that the node is busy (503), not the client (429).
    pub fn is_shared(self) -> bool {
        use Limit::{
            LinearizableReads, TotalBusyPuts, TotalGets, TotalLookups, TotalNewKeys, TotalPuts,
            TotalUnchangedPuts,
        };
        matches!(
            self,
            TotalNewKeys
                | TotalPuts
                | TotalBusyPuts
                | TotalUnchangedPuts
                | TotalGets
                | LinearizableReads
                | TotalLookups
        )
    }

    /// What exceeds the limit, and what the client can do in addition to waiting.
    fn description(self) -> (&'static str, &'static str) {
        let less = "and publish a key no more often than needed";
        let keep = "and cache answers for as long as their TTL allows";
        let reuse = "and publish under the keys that you already use";
        let other = "or ask another node";
        match self {
            Self::ClientPuts => ("too many PUTs from this address", less),
            Self::NetworkPuts => ("too many PUTs from the network of this address", less),
            Self::ClientGets => ("too many GETs from this address", keep),
            Self::NetworkGets => ("too many GETs from the network of this address", keep),
            Self::ClientNewKeys => ("too many new keys from this address", reuse),
            Self::NetworkNewKeys => ("too many new keys from the network of this address", reuse),
            Self::KeyPuts => ("too many new packets of this key", less),
            Self::TotalNewKeys => ("this node receives too many new keys", other),
            Self::TotalPuts => ("this node receives too many packets", other),
            Self::TotalBusyPuts => (
                "this node receives too many packets of new keys and of keys that just published",
                other,
            ),
            Self::TotalUnchangedPuts => ("this node receives too many repeated packets", other),
            Self::TotalGets => ("this node receives too many GETs", other),
            Self::Queries => (
                "too many DNS queries from this address or its network",
                keep,
            ),
            Self::ClientLookups => ("too many lookups in the DHT from this address", keep),
            Self::NetworkLookups => (
                "too many lookups in the DHT from the network of this address",
                keep,
            ),
            Self::TotalLookups => ("this node makes too many lookups in the DHT", other),
            Self::LinearizableReads => (
                "too many reads are waiting for the leader",
                "or send `policy=CacheFirst` to read what this node holds",
            ),
        }
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (too_much, advice) = self.limit.description();
        write!(f, "{too_much}: wait {} s, {advice}", self.retry_after_secs)
    }
}

impl std::error::Error for LimitExceeded {}
