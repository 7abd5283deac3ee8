//! Limits on responses to addresses that may be forged.

use std::{net::IpAddr, sync::Arc, time::Instant};

use arc_swap::ArcSwapOption;
use quorate_limit::{LimitConfig, Networks, ResponseRates};

/// Limits on responses over UDP, where anybody can forge the address of another. Clients that sent
/// a valid cookie, or are exempt, are not limited.
pub struct AnswerLimits {
    rates: ResponseRates,
    exempt: Networks,
    size_max: usize,
}

/// The limit of one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerLimit {
    /// There is no limit.
    Unlimited,
    /// The response may have this many bytes.
    Size(usize),
    /// The response is empty and truncated, so that the client retries over TCP.
    RetryOverTcp,
}

impl AnswerLimits {
    /// The limits that `config` sets; `None` if it disables them.
    pub fn new(config: &LimitConfig) -> Option<Self> {
        config.enabled.then(|| Self {
            rates: ResponseRates::new(config),
            exempt: config.dns_exempt_networks.clone(),
            size_max: config.dns_answer_size_max,
        })
    }

    /// Loopback addresses are exempt too. An address in an exempt network can be flooded with
    /// responses to forged queries, so the checks reject a list that covers everybody.
    fn is_exempt(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() || self.exempt.contains(address)
    }

    /// The limit of the next response to this address. Reads the clock once.
    fn next(&self, address: IpAddr) -> AnswerLimit {
        match address {
            address if self.is_exempt(address) => AnswerLimit::Unlimited,
            address if self.rates.admits(address, Instant::now()) => {
                AnswerLimit::Size(self.size_max)
            }
            _ => AnswerLimit::RetryOverTcp,
        }
    }
}

/// The current limits, shared between the code that applies them and the code that replaces them.
/// Without limits, every client gets complete responses.
#[derive(Clone, Default)]
pub struct SharedLimits(Arc<ArcSwapOption<AnswerLimits>>);

impl SharedLimits {
    pub fn new(limits: Option<AnswerLimits>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(limits)))
    }

    /// Replaces the limits for all later queries.
    pub fn replace(&self, limits: Option<AnswerLimits>) {
        self.0.store(limits.map(Arc::new));
    }

    /// Whether responses to this address are not limited.
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        let limits = self.0.load();
        limits
            .as_ref()
            .is_none_or(|limits| limits.is_exempt(address))
    }

    pub(crate) fn next(&self, address: IpAddr) -> AnswerLimit {
        let limits = self.0.load();
        limits
            .as_ref()
            .map_or(AnswerLimit::Unlimited, |limits| limits.next(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_always_exempt_and_others_only_if_listed() {
        let limits = |exempt: &[&str]| {
            AnswerLimits::new(&LimitConfig {
                dns_exempt_networks: Networks::parse(exempt).unwrap(),
                ..LimitConfig::default()
            })
            .unwrap()
        };
        let (none, some) = (limits(&[]), limits(&["192.0.2.0/24"]));
        for (address, without, with) in [
            ("127.0.0.1", true, true),
            ("127.9.9.9", true, true),
            ("::1", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("192.0.2.9", false, true),
            ("::ffff:192.0.2.9", false, true),
            ("198.51.100.1", false, false),
            ("2001:db8::1", false, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(none.is_exempt(address), without, "{address}");
            assert_eq!(some.is_exempt(address), with, "{address}");
        }
    }
}
