//! The metrics of the relay.

use strum::{IntoStaticStr, VariantArray};

/// The outcome of a PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum PutLabel {
    Stored,
    Unchanged,
    Superseded,
    TooFarAhead,
    Full,
    Invalid,
    Forbidden,
    TooLong,
    BodyLost,
    ConditionFailed,
    Limited,
    NoLeader,
    Overloaded,
    Starting,
    ShuttingDown,
    DiskFull,
    Unknown,
}

/// The outcome of a GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum GetLabel {
    Found,
    NotModified,
    Missing,
    Invalid,
    Limited,
    NotHeld,
    NotLinearizable,
    Unreadable,
}

/// How a request waits for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum WatchLabel {
    /// For the next change: `?wait=`.
    Wait,
    /// For all changes: `/events`.
    Events,
}

/// The limit because of which a request may not wait for changes. The text is the problem's detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum TooManyWatchers {
    #[error("too many requests wait for changes at this node: use another node, or do not wait")]
    Node,
    #[error("too many requests from this address wait for changes: close some, or do not wait")]
    Client,
    #[error(
        "too many requests from the network of this address wait for changes: close some, or do \
         not wait"
    )]
    Network,
}

/// The kind of an event that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum EventLabel {
    Stored,
    Deleted,
}

/// From 250 µs, one disk flush on a fast device, to the deadline.
const PUT_BUCKETS: [f64; 13] = [
    0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1.0, 4.0, 12.0,
];

quorate_metrics::metrics! {
    /// Metrics of the relay.
    pub struct RelayMetrics in "quorate_relay" {
        /// PUTs answered, by outcome
        pub(crate) puts_total: Counter { outcome: PutLabel },
        /// GETs and HEADs answered, by outcome
        pub(crate) gets_total: Counter { outcome: GetLabel },
        /// Time from a verified packet to the outcome of its PUT, in seconds
        pub(crate) put_duration_seconds: Histogram = PUT_BUCKETS,
        /// Requests that wait for changes now, by kind of request
        pub(crate) watches_open: Gauge { kind: WatchLabel },
        /// Requests rejected because too many wait for changes, by the limit that was reached
        pub(crate) watches_refused_total: Counter { bound: TooManyWatchers },
        /// Waits that ended early, because all places were taken and others had fewer of them
        pub(crate) watches_displaced_total: Counter,
        /// Events sent to clients, by kind
        pub(crate) events_total: Counter { event: EventLabel },
    }
}

#[cfg(test)]
mod tests {
    use quorate_metrics::Registry;

    use super::*;

    #[test]
    fn all_metrics_have_these_names() {
        let registry = Registry::new();
        RelayMetrics::register(&registry).unwrap();
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        let names: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("_bucket"))
            .filter_map(|line| line.strip_prefix("quorate_relay_")?.strip_suffix(" 0"))
            .collect();
        assert_eq!(
            names,
            [
                r#"events_total{event="deleted"}"#,
                r#"events_total{event="stored"}"#,
                r#"gets_total{outcome="found"}"#,
                r#"gets_total{outcome="invalid"}"#,
                r#"gets_total{outcome="limited"}"#,
                r#"gets_total{outcome="missing"}"#,
                r#"gets_total{outcome="not_held"}"#,
                r#"gets_total{outcome="not_linearizable"}"#,
                r#"gets_total{outcome="not_modified"}"#,
                r#"gets_total{outcome="unreadable"}"#,
                "put_duration_seconds_sum",
                "put_duration_seconds_count",
                r#"puts_total{outcome="body_lost"}"#,
                r#"puts_total{outcome="condition_failed"}"#,
                r#"puts_total{outcome="disk_full"}"#,
                r#"puts_total{outcome="forbidden"}"#,
                r#"puts_total{outcome="full"}"#,
                r#"puts_total{outcome="invalid"}"#,
                r#"puts_total{outcome="limited"}"#,
                r#"puts_total{outcome="no_leader"}"#,
                r#"puts_total{outcome="overloaded"}"#,
                r#"puts_total{outcome="shutting_down"}"#,
                r#"puts_total{outcome="starting"}"#,
                r#"puts_total{outcome="stored"}"#,
                r#"puts_total{outcome="superseded"}"#,
                r#"puts_total{outcome="too_far_ahead"}"#,
                r#"puts_total{outcome="too_long"}"#,
                r#"puts_total{outcome="unchanged"}"#,
                r#"puts_total{outcome="unknown"}"#,
                "watches_displaced_total",
                r#"watches_open{kind="events"}"#,
                r#"watches_open{kind="wait"}"#,
                r#"watches_refused_total{bound="client"}"#,
                r#"watches_refused_total{bound="network"}"#,
                r#"watches_refused_total{bound="node"}"#,
            ]
        );
    }
}
