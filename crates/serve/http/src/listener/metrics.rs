//! What listeners tell Prometheus.

use quorate_metrics::GaugeGuard;
use strum::{IntoStaticStr, VariantArray};

use super::Place;

/// The listeners of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Name {
    /// HTTP for everybody: the relay, DNS over HTTPS, health.
    Public,
    /// HTTP for operators: health, metrics, status.
    Admin,
    /// DNS over TCP.
    Dns,
    /// DNS over TLS.
    DnsTls,
    /// DNS over QUIC.
    DnsQuic,
    /// Links of other nodes.
    Peer,
}

quorate_metrics::metrics! {
    /// Figures of the connections of a node, by listener.
    pub struct ListenerMetrics in "quorate_listener" {
        /// Connections that are open now, by listener
        pub connections_open: Gauge { listener: Name },
        /// Connections refused because too many were open, by listener
        pub connections_refused_total: Counter { listener: Name },
        /// Connections that were idle the longest when another needed their place, by listener
        pub connections_evicted_total: Counter { listener: Name },
        /// Connections that the system could not accept, by listener
        pub accept_errors_total: Counter { listener: Name },
    }
}

impl ListenerMetrics {
    /// Notes a connection that was given `place`. It is open until what is returned is dropped.
    pub fn on_admitted(&self, listener: Name, place: &Place) -> GaugeGuard {
        if place.has_displaced {
            self.connections_evicted_total.of(listener).inc();
        }
        GaugeGuard::new(self.connections_open.of(listener))
    }
}
