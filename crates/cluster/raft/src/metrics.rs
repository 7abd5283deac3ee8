//! The metrics of consensus, in addition to the state that `NodeStatus` reports.

use strum::{IntoStaticStr, VariantArray};

/// The file that a scrub reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum ScrubTarget {
    Log,
    Store,
}

/// Powers of two up to the largest batch.
const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// A stage of a PUT on its way to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum PutStage {
    Queue,
    Forward,
    Append,
    Quorum,
    Apply,
    Answer,
}

/// From 50 µs, less than a sync, to 5 s, an election and more.
const STAGE_BUCKETS: [f64; 15] = [
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0,
];

quorate_metrics::metrics! {
    /// Metrics of consensus.
    pub struct RaftMetrics in "quorate_raft" {
        /// Packets in a log entry that this node proposed as the leader
        pub entry_packets: Histogram = BATCH_BUCKETS,
        /// Packets in a batch that this node forwarded to the leader
        pub forward_packets: Histogram = BATCH_BUCKETS,
        /// Time of a stage of PUTs, in seconds: of each PUT in queue and answer, of each batch of them in the others
        pub(crate) put_stage_duration_seconds: Histogram { stage: PutStage } = STAGE_BUCKETS,
        /// Packets that this node, as the leader, had removed because they were too old
        pub expired_packets_total: Counter,
        /// Packets that this node, like all nodes, removed to make space for others when the capacity was reached
        pub evicted_packets_total: Counter,
        /// Messages of peers that were rejected because no honest member sends them
        pub(crate) rejected_messages_total: Counter,
        /// Times that a peer sent a term more than 1,000 above that of this node
        pub(crate) term_jumps_total: Counter,
        /// Bytes that can still be written in the file system of log and store
        pub(crate) disk_free_bytes: Gauge,
        /// Whether the disk is nearly full, so that this node only reads: 1 or 0
        pub(crate) disk_full: Gauge,
        /// Scrubs that read all of the log or the store and found no damage
        pub(crate) scrubs_total: Counter { what: ScrubTarget },
        /// Times that the log or the store was found damaged, at start or by a scrub
        pub(crate) damage_total: Counter { what: ScrubTarget },
    }
}

/// The metrics that a node is started with.
#[derive(Clone)]
pub struct NodeMetrics {
    /// Of consensus.
    pub raft: RaftMetrics,
    /// Of the log.
    pub log: quorate_log::LogMetrics,
    /// Of the store.
    pub store: quorate_store::StoreMetrics,
}
