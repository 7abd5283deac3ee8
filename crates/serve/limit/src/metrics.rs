//! The metrics of limits.

use strum::{IntoStaticStr, VariantArray};

use crate::Limit;

/// The use of a table of buckets: the value of the label `table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TableLabel {
    /// PUTs of clients and networks.
    Puts,
    /// GETs of clients and networks.
    Gets,
    /// New keys of clients and networks.
    NewKeys,
    /// Newer packets of keys.
    Keys,
    /// Newer packets of keys that were idle.
    IdleKeys,
    /// Limits that all clients share.
    Totals,
    /// Bytes of clients and networks.
    Bytes,
    /// DNS queries of clients and networks, except those over UDP.
    Queries,
    /// Lookups in the DHT of clients and networks.
    Lookups,
    /// Answers over UDP.
    DnsAnswers,
}

quorate_metrics::metrics! {
    /// Metrics of limits.
    pub struct LimitMetrics in "quorate_limit" {
        /// Requests rejected, by the narrowest limit that rejected them
        pub(crate) refused_total: Counter { limit: Limit },
        /// Buckets evicted for others before they were full again, by table: if it grows, raise limit.client_count_max
        pub(crate) forgotten_total: Counter { table: TableLabel },
        /// Memory of the tables of buckets, which clients cannot change, by table, in bytes
        pub(crate) memory_bytes: Gauge { table: TableLabel },
    }
}

impl LimitMetrics {
    /// Sets how much memory a table takes; 0 if there is none.
    pub fn set_memory(&self, table: TableLabel, size: usize) {
        self.memory_bytes.of(table).set(size as i64);
    }
}
