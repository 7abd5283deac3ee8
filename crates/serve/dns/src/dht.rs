//! The DHT, as queries use it.

use std::{sync::Arc, time::Duration};

use quorate_replica::DhtBridge;

/// The DHT, for queries.
#[derive(Clone)]
pub struct DnsDht {
    pub bridge: Arc<dyn DhtBridge>,
    /// How long a query waits for the newest packet.
    pub deadline: Duration,
}
