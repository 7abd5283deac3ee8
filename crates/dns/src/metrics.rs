//! What the DNS server tells Prometheus.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::{Transport, code::Code};

/// Figures of the DNS server.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Queries answered, by transport and response code
    queries: [[IntCounter; Code::ALL.len()]; Transport::ALL.len()],
    /// Messages ignored because they were too short for a header, or responses
    pub(crate) messages_ignored: IntCounter,
    /// Responses that left something out to fit a datagram
    pub(crate) responses_truncated: IntCounter,
    /// TCP connections that are open now
    pub(crate) connections: IntGauge,
    /// TCP connections refused because too many were open
    pub(crate) connections_refused: IntCounter,
}

impl Metrics {
    /// Registers the figures.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let queries = IntCounterVec::new(
            Opts::new(
                "quorate_dns_queries_total",
                "Queries answered, by transport and response code",
            ),
            &["transport", "code"],
        )?;
        registry.register(Box::new(queries.clone()))?;
        let connections = IntGauge::new(
            "quorate_dns_connections_open",
            "TCP connections that are open now",
        )?;
        registry.register(Box::new(connections.clone()))?;
        Ok(Self {
            queries: Transport::ALL.map(|transport| {
                Code::ALL
                    .map(|code| queries.with_label_values(&[transport.as_str(), code.as_str()]))
            }),
            messages_ignored: counter(
                registry,
                "quorate_dns_messages_ignored_total",
                "Messages ignored because they were too short for a header, or responses",
            )?,
            responses_truncated: counter(
                registry,
                "quorate_dns_responses_truncated_total",
                "Responses that left something out to fit a datagram",
            )?,
            connections,
            connections_refused: counter(
                registry,
                "quorate_dns_connections_refused_total",
                "TCP connections refused because too many were open",
            )?,
        })
    }

    pub(crate) fn count(&self, transport: Transport, code: Code) {
        self.queries[transport as usize][code as usize].inc();
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}
