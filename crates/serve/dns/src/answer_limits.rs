//! How much is sent to addresses that may be forged.

use std::{net::IpAddr, sync::Arc, time::Instant};

use arc_swap::ArcSwapOption;
use quorate_limit::{ExemptNetworks, LimitConfig, ResponseRates};

/// How much is answered over UDP, where anybody can ask in the name of another. Whoever has shown a
/// valid cookie, or is exempt, is not limited.
pub struct AnswerLimits {
    rates: ResponseRates,
    exempt: ExemptNetworks,
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
    /// The limits that `config` asks for, if it does, of all but those who are exempt.
    pub fn new(config: &LimitConfig, exempt: ExemptNetworks) -> Option<Self> {
        config.enabled.then(|| Self {
            rates: ResponseRates::new(config),
            exempt,
            size_max: config.dns_answer_size_max,
        })
    }

    /// How the next answer to this address is limited. The clock is read once.
    fn next(&self, address: IpAddr) -> Limited {
        match address {
            address if self.exempt.contains(address) => Limited::No,
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
            .is_none_or(|limits| limits.exempt.contains(address))
    }

    pub(crate) fn next(&self, address: IpAddr) -> Limited {
        let limits = self.0.load();
        limits
            .as_ref()
            .map_or(Limited::No, |limits| limits.next(address))
    }
}
