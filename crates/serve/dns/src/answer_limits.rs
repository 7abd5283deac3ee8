//! How much is sent to addresses that may be forged.

use std::{net::IpAddr, sync::Arc, time::Instant};

use arc_swap::ArcSwapOption;
use quorate_limit::{LimitConfig, Networks, ResponseRates};

/// How much is answered over UDP, where anybody can ask in the name of another. Whoever has shown a
/// valid cookie, or is exempt, is not limited.
pub struct AnswerLimits {
    rates: ResponseRates,
    exempt: Networks,
    size_max: usize,
}

/// How an answer is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// Not at all.
    No,
    /// To so many bytes.
    To(usize),
    /// The client has to ask again over TCP.
    Refused,
}

impl AnswerLimits {
    /// The limits that `config` asks for, if it does.
    pub fn new(config: &LimitConfig) -> Option<Self> {
        config.enabled.then(|| Self {
            rates: ResponseRates::new(config),
            exempt: config.dns_exempt_networks.clone(),
            size_max: config.dns_answer_size_max,
        })
    }

    /// This machine is exempt too. Whoever is in an exempt network can be made the target of answers
    /// that somebody else asked for, so that checks refuse a list of everybody.
    fn is_exempt(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() || self.exempt.contains(address)
    }

    /// How the next answer to this address is limited. The clock is read once.
    fn next(&self, address: IpAddr) -> Limited {
        match address {
            address if self.is_exempt(address) => Limited::No,
            address if self.rates.admits(address, Instant::now()) => Limited::To(self.size_max),
            _ => Limited::Refused,
        }
    }
}

/// The limits in force, shared by who applies and who changes them. Without any, everybody gets all
/// they ask for.
#[derive(Clone, Default)]
pub struct SharedLimits(Arc<ArcSwapOption<AnswerLimits>>);

impl SharedLimits {
    pub fn new(limits: Option<AnswerLimits>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(limits)))
    }

    /// Has these be in force, for every query that comes later.
    pub fn replace(&self, limits: Option<AnswerLimits>) {
        self.0.store(limits.map(Arc::new));
    }

    /// Whether nothing is limited for whoever is at this address.
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        let limits = self.0.load();
        limits
            .as_ref()
            .is_none_or(|limits| limits.is_exempt(address))
    }

    pub(crate) fn next(&self, address: IpAddr) -> Limited {
        let limits = self.0.load();
        limits
            .as_ref()
            .map_or(Limited::No, |limits| limits.next(address))
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
