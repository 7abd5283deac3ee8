//! What the DNS server tells Prometheus.

use crate::{DnsTransport, rcode::Rcode};

quorate_metrics::metrics! {
    /// Figures of the DNS server.
    pub struct Metrics in "quorate_dns" {
        /// Queries answered, by transport and response code
        pub(crate) queries_total: Counter { transport: DnsTransport, rcode: Rcode },
        /// Messages ignored because they were too short for a header, or responses
        pub(crate) messages_ignored_total: Counter,
        /// Responses that left something out to fit a datagram
        pub(crate) responses_truncated_total: Counter,
    }
}
