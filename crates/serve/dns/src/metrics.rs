//! The metrics of the DNS server.

use quorate_metrics::{Counter, Error, Labelled, MetricType, Registry};

use crate::{DnsTransport, cookie::CookieStatus, rcode::Rcode};

/// The label `origin` of queries for names outside all origins.
const NO_ORIGIN: &str = "other";

quorate_metrics::metrics! {
    /// Metrics that all origins share.
    pub(crate) struct SharedMetrics in "quorate_dns" {
        /// Messages ignored because they were shorter than a header, were responses, or broke the rules of their transport
        pub(crate) messages_ignored_total: Counter,
        /// SERVFAIL responses because the DHT had not answered
        pub(crate) dht_unanswered_total: Counter,
        /// Responses truncated to fit the largest datagram that the client accepts
        pub(crate) responses_truncated_total: Counter,
        /// Responses sent empty and truncated because the client's address exceeded its rate limit
        pub(crate) responses_rate_limited_total: Counter,
        /// Responses sent empty and truncated because they were too long for a client without a valid cookie
        pub(crate) responses_size_limited_total: Counter,
        /// Zones built again because their replicated records changed
        pub(crate) zones_built_total: Counter,
        /// Queries with a cookie, by the result of checking it
        pub(crate) cookies_total: Counter { proof: CookieStatus },
        /// Time to answer a query, measured for one query in 64, in seconds
        pub(crate) response_duration_seconds: Histogram { transport: DnsTransport } = DURATION_BUCKETS,
    }
}

/// From the time of a simple answer to a time that a thread must never spend on one, in seconds.
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

/// The counters of answered queries of one origin, by transport and response code.
pub(crate) type QueryCounters = Labelled<Labelled<Counter, Rcode>, DnsTransport>;

/// Metrics of the DNS server.
#[derive(Debug, Clone)]
pub struct DnsMetrics {
    pub(crate) shared: SharedMetrics,
    queries_total: <Counter as MetricType>::Vec,
    /// Queries for names outside all origins.
    pub(crate) other_queries: QueryCounters,
}

impl DnsMetrics {
    /// Registers the metrics. Fails if one of their names is already registered.
    pub fn register(registry: &Registry) -> Result<Self, Error> {
        let queries_total = Counter::vec(
            "quorate_dns_queries_total",
            "Queries answered, by origin, transport and response code",
            &["origin", "transport", "rcode"],
            &[],
        )?;
        registry.register(Box::new(queries_total.clone()))?;
        Ok(Self {
            shared: SharedMetrics::register(registry)?,
            other_queries: QueryCounters::with(&queries_total, &[NO_ORIGIN]),
            queries_total,
        })
    }

    /// The counters of an origin. They start at zero when the origin is first served.
    pub(crate) fn queries_of(&self, origin: &str) -> QueryCounters {
        QueryCounters::with(&self.queries_total, &[origin])
    }
}
