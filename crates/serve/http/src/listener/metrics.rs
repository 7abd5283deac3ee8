//! The metrics of listeners.

use quorate_metrics::GaugeGuard;
use strum::{IntoStaticStr, VariantArray};

use super::ConnectionSlot;

/// The listeners of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ListenerName {
    /// Public HTTP: the relay, DNS over HTTPS, health.
    Public,
    /// HTTP for operators: health, metrics, status.
    Admin,
    /// The same on the Unix socket.
    AdminSocket,
    /// DNS over TCP.
    Dns,
    /// DNS over TLS.
    DnsTls,
    /// DNS over QUIC.
    DnsQuic,
    /// Links from other nodes.
    Peer,
}

quorate_metrics::metrics! {
    /// Metrics of the connections of a node, by listener.
    pub struct ListenerMetrics in "quorate_listener" {
        /// Open connections, by listener
        pub connections_open: Gauge { listener: ListenerName },
        /// Connections rejected because too many were open, by listener
        pub connections_refused_total: Counter { listener: ListenerName },
        /// Idle connections closed to make room for new ones, by listener
        pub connections_evicted_total: Counter { listener: ListenerName },
        /// Errors of the system when accepting connections, by listener
        pub accept_errors_total: Counter { listener: ListenerName },
    }
}

impl ListenerMetrics {
    /// Counts an admitted connection. It counts as open until the returned guard is dropped.
    pub fn on_admitted(&self, listener: ListenerName, slot: &ConnectionSlot) -> GaugeGuard {
        if slot.has_displaced {
            self.connections_evicted_total.of(listener).inc();
        }
        GaugeGuard::new(self.connections_open.of(listener))
    }
}
