//! Limits and deadlines of the relay.

use std::{sync::Arc, time::Duration};

use quorate_http::ClientRules;
use quorate_replica::DhtBridge;
use quorate_setting::settings;

/// How much longer the relay waits than the replica, because the replica's own error says more.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// Limits and deadlines of the relay.
pub struct RelayConfig {
    /// Rate limits and trusted proxies.
    pub rules: ClientRules,
    /// The time after which a request is answered even if the replica has not answered:
    /// [`ANSWER_MARGIN`] after the replica's own deadline.
    pub deadline: Duration,
    /// How many requests may wait for changes, and how long.
    pub watch: WatchSettings,
    /// Where keys are looked up that the cluster does not store, if anywhere.
    pub dht: Option<RelayDht>,
}

/// The DHT, for GETs.
#[derive(Clone)]
pub struct RelayDht {
    pub bridge: Arc<dyn DhtBridge>,
    /// How long a GET waits for the newest packet.
    pub deadline: Duration,
}

settings! {
    /// Requests that wait for changes of a packet: /pkarr/<key>?wait=30s and /pkarr/<key>/events.
    pub struct WatchSettings {
        /// How many of them may wait at the same time. Each needs a connection, or a stream of one,
        /// and up to 20 KiB of memory. The default leaves a quarter of the connections for others.
        /// If all wait, one more ends the longest wait of the /24 or /48 that has the most, if its
        /// own has at least two fewer.
        count_max: usize = 12_288, in 0..=1_000_000, "each takes memory and a file descriptor";
        /// How many of them one client may have: an IPv4 address or an IPv6 /64. The default is two
        /// for each of 2,000 endpoints behind one address. The networks around it may have more, an
        /// IPv4 /24 and an IPv6 /48 16 times as many and an IPv6 /32 64 times, but must
        /// leave half of what one client must leave.
        count_per_client_max: usize = 4096, in 0..=1_000_000, "each takes memory and a file descriptor";
        /// The longest time that a request with ?wait= waits, in seconds, even if it asks for a
        /// longer time.
        wait_secs_max: u64 = 60, in 1..=3600, "proxies close connections that are silent for longer";
    }
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            rules: ClientRules::default(),
            deadline: Duration::from_secs(10) + ANSWER_MARGIN,
            watch: WatchSettings::default(),
            dht: None,
        }
    }
}
