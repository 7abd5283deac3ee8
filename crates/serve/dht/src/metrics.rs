//! The metrics of the bridge.

use strum::{IntoStaticStr, VariantArray};

/// How a lookup ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum LookupLabel {
    /// With a packet.
    Found,
    /// The DHT has none.
    Absent,
    /// Too few nodes of the DHT answered.
    Unanswered,
    /// It did not end in time.
    Abandoned,
}

/// Why a question started no lookup although the key is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum RefusedLabel {
    /// The rate of the client, of its network or of all is used up.
    Rate,
    /// The client or its network causes as many lookups as it may.
    Client,
    /// This node makes as many lookups as it may.
    Node,
    /// The DHT cannot be reached.
    Disconnected,
}

/// Why a value of the DHT was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum InvalidLabel {
    /// It is no packet, or its signature is not strict.
    Packet,
    /// Its timestamp is too far ahead of the clock.
    TooFarAhead,
}

/// How a publication ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum PublicationLabel {
    /// Nodes of the DHT took the packet.
    Stored,
    /// The DHT has a newer one, which is proposed to the cluster.
    Superseded,
    /// No node of the DHT took it.
    Failed,
}

/// How many nodes took a packet: at least 20 are asked.
const COPIES_BUCKETS: [f64; 7] = [1.0, 4.0, 8.0, 16.0, 24.0, 48.0, 96.0];

/// From a network on one machine to the end of the longest lookup.
const LOOKUP_BUCKETS: [f64; 11] = [
    0.001, 0.004, 0.016, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 16.0,
];

quorate_metrics::metrics! {
    /// Metrics of the bridge.
    pub struct DhtMetrics in "quorate_dht" {
        /// Whether the bridge is on: 1, or 0
        pub(crate) enabled: Gauge,
        /// Lookups that ended, by outcome
        pub(crate) lookups_total: Counter { outcome: LookupLabel },
        /// Lookups that run now
        pub(crate) lookups_open: Gauge,
        /// Questions that started no lookup, by reason
        pub(crate) lookups_refused_total: Counter { reason: RefusedLabel },
        /// Time from the start of a lookup to its first packet, in seconds
        pub(crate) first_packet_seconds: Histogram = LOOKUP_BUCKETS,
        /// Time from the start of a lookup to its newest packet, in seconds
        pub(crate) newest_packet_seconds: Histogram = LOOKUP_BUCKETS,
        /// Nodes of the DHT that lookups asked
        pub(crate) nodes_asked_total: Counter,
        /// Nodes of the DHT that answered lookups
        pub(crate) nodes_answered_total: Counter,
        /// Values of the DHT that were not used, by reason
        pub(crate) values_invalid_total: Counter { reason: InvalidLabel },
        /// Publications that ended, by outcome
        pub(crate) publications_total: Counter { outcome: PublicationLabel },
        /// Keys that wait for their publication
        pub(crate) publications_waiting: Gauge,
        /// Publications that were left to the next round, because too many waited
        pub(crate) publications_dropped_total: Counter,
        /// How long ago the next publication was due, in seconds
        pub(crate) publication_delay_seconds: Gauge,
        /// Nodes of the DHT that took a published packet
        pub(crate) publication_copies: Histogram = COPIES_BUCKETS,
        /// Nodes in the routing table; 0 while the DHT cannot be reached
        pub(crate) routing_nodes: Gauge,
        /// The estimated number of nodes in the DHT
        pub(crate) estimated_nodes: Gauge,
        /// Round trips to nodes of the DHT, in seconds. The timeout of requests follows from them
        pub(crate) round_trip_seconds: Histogram = LOOKUP_BUCKETS,
        /// Starts of the client of the DHT, after the first one because of failures or changed round trips
        pub(crate) starts_total: Counter,
    }
}
