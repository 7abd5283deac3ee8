//! How much is sent to addresses that may be forged.

use std::{net::IpAddr, time::Instant};

use quorate_limit::{Config, ExemptNetworks, ResponseRates};

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
    pub fn new(config: &Config, exempt: ExemptNetworks) -> Option<Self> {
        config.enabled.then(|| Self {
            rates: ResponseRates::new(config),
            exempt,
            size_max: config.dns_answer_size_max,
        })
    }

    /// How the next answer to this address is limited. The clock is read once.
    pub(crate) fn next(&self, address: IpAddr) -> Limited {
        match address {
            address if self.exempt.contains(address) => Limited::No,
            address if self.rates.admits(address, Instant::now()) => Limited::To(self.size_max),
            _ => Limited::Refused,
        }
    }
}
