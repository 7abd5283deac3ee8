//! What limits tell Prometheus.

use strum::{IntoStaticStr, VariantArray};

use crate::Limit;

/// What a table of buckets is for.
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
    /// What everybody shares.
    Totals,
    /// Bytes of clients.
    Bytes,
    /// Answers over UDP.
    DnsAnswers,
}

quorate_metrics::metrics! {
    /// Figures of limits.
    pub struct LimitMetrics in "quorate_limit" {
        /// Requests refused, by the narrowest limit that refused them
        pub(crate) refused_total: Counter { limit: Limit },
        /// Buckets dropped before they were full again as others took their place, by table: client_count_max is too small
        pub(crate) forgotten_total: Counter { table: TableLabel },
        /// Memory that tables of buckets take, which no client can change, by table, in bytes
        pub(crate) memory_bytes: Gauge { table: TableLabel },
    }
}

impl LimitMetrics {
    /// Notes how much memory a table takes; 0 if there is none.
    pub fn set_memory(&self, table: TableLabel, size: usize) {
        self.memory_bytes.of(table).set(size as i64);
    }
}
