//! How the clients of connections are limited.

use std::{net::IpAddr, sync::Arc, time::Duration};

use quorate_http::{BandwidthLimiter, IsTrusted, Throttle, listener::IsExempt};
use quorate_limit::RequestLimits;

use crate::DnsClient;

/// How the clients of connections are limited. By default only by the counts of the configuration.
#[derive(Clone)]
pub struct ConnectionRules {
    /// Which clients may have any number of connections.
    pub is_exempt: IsExempt,
    /// Which proxies are trusted to name the client, on listeners for proxies.
    pub is_trusted: IsTrusted,
    /// Limits the bytes of all connections of a client together.
    pub charge: Option<BandwidthLimiter>,
    /// Limits the queries of all connections of a client together.
    pub queries: RequestLimits,
}

impl Default for ConnectionRules {
    fn default() -> Self {
        Self {
            is_exempt: Arc::new(|_| false),
            is_trusted: Arc::new(|_| false),
            charge: None,
            queries: RequestLimits::default(),
        }
    }
}

impl ConnectionRules {
    /// Which peers may have any number of connections: a proxy has those of many clients.
    pub(crate) fn is_exempt(&self) -> IsExempt {
        let (is_exempt, is_trusted) = (self.is_exempt.clone(), self.is_trusted.clone());
        Arc::new(move |peer| is_exempt(peer) || is_trusted(peer))
    }

    /// Counts bytes of a client, and returns how long it must wait before the next.
    pub(crate) fn charge(&self, client: IpAddr, byte_count: usize) -> Duration {
        let charge = self.charge.as_ref().filter(|_| !(self.is_exempt)(client));
        charge.map_or(Duration::ZERO, |charge| charge(client, byte_count))
    }

    /// The limit of the bytes of a connection of this client. There is none if the client's address
    /// may be forged: nobody may use up the limit of another.
    pub(crate) fn throttle(&self, client: &DnsClient) -> Option<Throttle> {
        let is_limited = !client.transport.is_datagram() && !(self.is_exempt)(client.address);
        let charge = self.charge.clone().filter(|_| is_limited)?;
        Some(Throttle::new(client.address, Some(charge), u64::MAX))
    }

    /// Counts a query of a connection, and returns how long it must wait for its answer. A query
    /// whose client's address may be forged does not wait: its answer has limits of its own.
    pub(crate) fn charge_query(&self, client: &DnsClient) -> Duration {
        match client.transport.is_datagram() {
            true => Duration::ZERO,
            false => self.queries.charge_query(client.address),
        }
    }
}
