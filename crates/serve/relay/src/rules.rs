//! What holds for clients, and may change while they are served.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use quorate_limit::{RequestLimits, TrustedProxies};

/// What holds for clients, shared by who applies it and who changes it. By default there are no
/// limits, and no proxies.
#[derive(Debug, Clone, Default)]
pub struct ClientRules {
    /// How much each may PUT and GET.
    pub limits: RequestLimits,
    trusted_proxies: Arc<ArcSwap<TrustedProxies>>,
}

impl ClientRules {
    /// These limits, and the word of these proxies about who a client is.
    pub fn new(limits: RequestLimits, trusted_proxies: TrustedProxies) -> Self {
        Self {
            limits,
            trusted_proxies: Arc::new(ArcSwap::from_pointee(trusted_proxies)),
        }
    }

    /// Has these proxies be believed, for every request that comes later.
    pub fn trust(&self, proxies: TrustedProxies) {
        self.trusted_proxies.store(Arc::new(proxies));
    }

    /// Whether `peer` is one of those proxies.
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.load().contains(peer)
    }

    /// The client's address, as [`TrustedProxies::client_address`] finds it.
    pub fn client_address<'a>(
        &self,
        peer: IpAddr,
        x_forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let proxies = self.trusted_proxies.load();
        proxies.client_address(peer, x_forwarded_for, forwarded)
    }
}
