//! What the DNS server tells Prometheus.

use quorate_metrics::{By, Counter, Error, Figure, Registry};

use crate::{DnsTransport, cookie::Proof, rcode::Rcode};

/// The label `origin` of queries for names in none.
const NO_ORIGIN: &str = "other";

quorate_metrics::metrics! {
    /// Figures that are the same for all origins.
    pub(crate) struct Figures in "quorate_dns" {
        /// Messages ignored because they were too short for a header, or responses
        pub(crate) messages_ignored_total: Counter,
        /// Responses that left something out to fit the datagrams that the client takes
        pub(crate) responses_truncated_total: Counter,
        /// Responses that were left empty and truncated since their address gets too many
        pub(crate) responses_rate_limited_total: Counter,
        /// Responses that were left empty and truncated since they were too long for a client without a cookie
        pub(crate) responses_size_limited_total: Counter,
        /// Queries with a cookie, by what it proved
        pub(crate) cookies_total: Counter { proof: Proof },
        /// Time to answer a query, of one query in 64, in seconds
        pub(crate) response_duration_seconds: Histogram { transport: DnsTransport } = DURATION_BUCKETS,
    }
}

/// From what a plain answer takes to what a loop must never take, in seconds.
const DURATION_BUCKETS: [f64; 10] = [
    0.000_000_5,
    0.000_001,
    0.000_002,
    0.000_005,
    0.000_01,
    0.000_02,
    0.000_05,
    0.000_1,
    0.001,
    0.01,
];

/// Queries answered, by transport and response code, of one origin.
pub(crate) type QueryCounters = By<By<Counter, Rcode>, DnsTransport>;

/// Figures of the DNS server.
#[derive(Debug, Clone)]
pub struct DnsMetrics {
    pub(crate) figures: Figures,
    queries_total: <Counter as Figure>::Vec,
    /// Queries for names in no origin.
    pub(crate) other_queries: QueryCounters,
}

impl DnsMetrics {
    /// Registers the figures. Fails when one of their names is taken.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let queries_total = Counter::vec(
            "quorate_dns_queries_total",
            "Queries answered, by origin, transport and response code",
            &["origin", "transport", "rcode"],
            &[],
        )?;
        registry.register(Box::new(queries_total.clone()))?;
        Ok(Self {
            figures: Figures::register(registry)?,
            other_queries: QueryCounters::with(&queries_total, &[NO_ORIGIN]),
            queries_total,
        })
    }

    /// The figures of an origin: made at zero when it is first served.
    pub(crate) fn queries_of(&self, origin: &str) -> QueryCounters {
        QueryCounters::with(&self.queries_total, &[origin])
    }
}
