//! What the relay tells Prometheus.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// From 250 µs, one disk flush on a fast device, to the deadline.
const PUT_BUCKETS: [f64; 13] = [
    0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1.0, 4.0, 12.0,
];

/// A closed set of label values.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant,)* }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

labels! {
    /// What became of a PUT.
    PutLabel {
        Stored = "stored",
        Unchanged = "unchanged",
        Superseded = "superseded",
        TooFarAhead = "too_far_ahead",
        Invalid = "invalid",
        TooLong = "too_long",
        BodyLost = "body_lost",
        ConditionFailed = "condition_failed",
        Limited = "limited",
        NoLeader = "no_leader",
        Overloaded = "overloaded",
        ShuttingDown = "shutting_down",
        Unreadable = "unreadable",
        Unknown = "unknown",
    }
}

labels! {
    /// What became of a GET.
    GetLabel {
        Found = "found",
        NotModified = "not_modified",
        Missing = "missing",
        Invalid = "invalid",
        NotLinearizable = "not_linearizable",
        Unreadable = "unreadable",
    }
}

/// Figures of the relay.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// PUTs answered, by outcome
    puts: Vec<IntCounter>,
    /// GETs and HEADs answered, by outcome
    gets: Vec<IntCounter>,
    /// Time from a verified packet to the outcome of its PUT, in seconds
    put_duration: Histogram,
}

impl Metrics {
    /// Registers the figures.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let put_duration = Histogram::with_opts(
            HistogramOpts::new(
                "quorate_relay_put_duration_seconds",
                "Time from a verified packet to the outcome of its PUT, in seconds",
            )
            .buckets(PUT_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(put_duration.clone()))?;
        Ok(Self {
            puts: counters(
                registry,
                "quorate_relay_puts_total",
                "PUTs answered, by outcome",
                PutLabel::ALL.iter().map(|label| label.as_str()),
            )?,
            gets: counters(
                registry,
                "quorate_relay_gets_total",
                "GETs and HEADs answered, by outcome",
                GetLabel::ALL.iter().map(|label| label.as_str()),
            )?,
            put_duration,
        })
    }

    pub(crate) fn count_put(&self, label: PutLabel) {
        self.puts[label as usize].inc();
    }

    pub(crate) fn count_get(&self, label: GetLabel) {
        self.gets[label as usize].inc();
    }

    pub(crate) fn observe_put(&self, duration: Duration) {
        self.put_duration.observe(duration.as_secs_f64());
    }
}

/// A counter for each outcome, in the order of the outcomes, at zero from the start.
fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    outcomes: impl Iterator<Item = &'static str>,
) -> Result<Vec<IntCounter>, prometheus::Error> {
    let counters = IntCounterVec::new(Opts::new(name, help), &["outcome"])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(outcomes
        .map(|outcome| counters.with_label_values(&[outcome]))
        .collect())
}

/// Which of a node's listeners a [`Server`](crate::Server) serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The relay, DoH and health, for everybody.
    Public,
    /// Health, metrics and status, for operators.
    Admin,
}

/// Figures of one HTTP server.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    /// Connections that are open now, by listener
    pub(crate) connections: IntGauge,
    /// Connections refused because too many were open, by listener
    pub(crate) refused: IntCounter,
    /// Connections that the system could not accept, by listener
    pub(crate) accept_errors: IntCounter,
}

impl ServerMetrics {
    /// Registers the figures of `listener`, each of them once.
    pub fn register(registry: &Registry, listener: Listener) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| {
            let listener = match listener {
                Listener::Public => "public",
                Listener::Admin => "admin",
            };
            Opts::new(name, help).const_label("listener", listener)
        };
        let connections = IntGauge::with_opts(opts(
            "quorate_relay_connections_open",
            "Connections that are open now, by listener",
        ))?;
        let refused = IntCounter::with_opts(opts(
            "quorate_relay_connections_refused_total",
            "Connections refused because too many were open, by listener",
        ))?;
        let accept_errors = IntCounter::with_opts(opts(
            "quorate_relay_accept_errors_total",
            "Connections that the system could not accept, by listener",
        ))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        registry.register(Box::new(accept_errors.clone()))?;
        Ok(Self {
            connections,
            refused,
            accept_errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_all_figures_are_these() {
        let registry = Registry::new();
        Metrics::register(&registry).unwrap();
        for listener in [Listener::Public, Listener::Admin] {
            ServerMetrics::register(&registry, listener).unwrap();
        }
        let families = registry.gather();
        let names: Vec<_> = families.iter().map(|family| family.name()).collect();
        assert_eq!(
            names,
            [
                "quorate_relay_accept_errors_total",
                "quorate_relay_connections_open",
                "quorate_relay_connections_refused_total",
                "quorate_relay_gets_total",
                "quorate_relay_put_duration_seconds",
                "quorate_relay_puts_total",
            ]
        );
        let figures: usize = families.iter().map(|f| f.get_metric().len()).sum();
        assert_eq!(
            figures,
            2 + 2 + 2 + GetLabel::ALL.len() + 1 + PutLabel::ALL.len()
        );
    }

    #[test]
    fn every_outcome_counts_at_its_own_place() {
        for (index, label) in PutLabel::ALL.iter().enumerate() {
            assert_eq!(*label as usize, index);
        }
        for (index, label) in GetLabel::ALL.iter().enumerate() {
            assert_eq!(*label as usize, index);
        }
    }
}
