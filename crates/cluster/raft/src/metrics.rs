//! What consensus tells Prometheus, beside the state that `NodeStatus` gives.

use strum::{IntoStaticStr, VariantArray};

/// What a scrub reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Scrubbed {
    Log,
    Store,
}

/// Powers of two up to the largest batch.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

quorate_metrics::metrics! {
    /// Figures of consensus.
    pub struct RaftMetrics in "quorate_raft" {
        /// Packets in a batch that this node formed
        pub batch_packets: Histogram = BATCH_BUCKETS,
        /// Packets that this node, as the leader, had the cluster remove because they were too old
        pub expired_packets_total: Counter,
        /// Packets that this node removed, as all nodes did, for others when the capacity was reached
        pub evicted_packets_total: Counter,
        /// Messages of peers that no honest member sends, which were refused
        pub(crate) rejected_messages_total: Counter,
        /// Times that a peer told of a term more than 1,000 above that of this node
        pub(crate) term_jumps_total: Counter,
        /// Bytes that can still be written in the file system of log and store
        pub(crate) disk_free_bytes: Gauge,
        /// Whether the disk is nearly full, so that this node only reads: 1 or 0
        pub(crate) disk_full: Gauge,
        /// Scrubs that read all of the log or the store and found it whole
        pub(crate) scrubs_total: Counter { what: Scrubbed },
        /// Times that the log or the store was found damaged, at start or by a scrub
        pub(crate) damage_total: Counter { what: Scrubbed },
    }
}

/// The three metrics a node is made with.
#[derive(Clone)]
pub struct NodeMetrics {
    /// Of consensus.
    pub raft: RaftMetrics,
    /// Of the log.
    pub log: quorate_log::LogMetrics,
    /// Of the store.
    pub store: quorate_store::StoreMetrics,
}
