//! Limits and deadlines of the relay.

use std::time::Duration;

use quorate_limit::{ClientLimit, TrustedProxies};

/// Limits and deadlines of the relay.
#[derive(Debug)]
pub struct Config {
    /// How much each client may PUT; `None` for no limit.
    pub limit: Option<ClientLimit>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// When a request is answered even if the replica has not answered: slightly more than the
    /// replica's own deadline, whose answer says more.
    pub deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limit: None,
            trusted_proxies: TrustedProxies::default(),
            deadline: Duration::from_millis(10_500),
        }
    }
}
