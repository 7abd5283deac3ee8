//! The metrics.

use crate::failure::FailureKind;

quorate_metrics::metrics! {
    /// Metrics of the certificate.
    pub struct AcmeMetrics in "quorate_acme" {
        /// When a certificate was stored last, in seconds since 1970; 0: never
        pub(crate) last_success_timestamp_seconds: Gauge,
        /// When the last attempt since then failed, in seconds since 1970; 0: none
        pub(crate) last_failure_timestamp_seconds: Gauge,
        /// Attempts of this node to get a certificate that failed, by what failed
        pub(crate) failures_total: Counter { kind: FailureKind },
        /// When the certificate will be renewed, in seconds since 1970; 0: there is none
        pub(crate) renewal_timestamp_seconds: Gauge,
        /// When the certificate expires, in seconds since 1970; 0: there is none
        pub(crate) expiry_timestamp_seconds: Gauge,
        /// Orders that this node has created
        pub(crate) orders_total: Counter,
        /// Certificates that this node has stored
        pub(crate) certificates_total: Counter,
        /// Attempts in a row that have failed
        pub(crate) failed_attempts: Gauge,
    }
}
