//! How much a client may do.

use quorate_setting::{Findings, KeyPath, settings};

use crate::{ExemptNetworks, NetworkError, Networks};

settings! {
    /// The rates of PUTs and of answers over UDP, from and to one client address.
    ///
    /// By default there is room for 2,000 iroh endpoints behind one address. Each publishes every
    /// 300 s: 2,000 / 300 s = 6.7 requests per second. When all of them restart at once, each
    /// publishes up to three times in its first seconds, as it learns its relay and its addresses:
    /// 3 × 2,000 = 6,000 requests. After that the bucket is full again in
    /// 6,000 / (20 − 6.7) = 450 s.
    pub struct Config {
        /// Whether PUTs and answers over UDP are limited per client.
        enabled: bool = true;
        /// How many PUTs a client that was idle may make at once. The default leaves room for 2,000
        /// endpoints behind one address, all of which restart at the same moment.
        put_burst: u32 = 6_000, in 1..=10_000_000, RATE;
        /// How many PUTs a second a client may make for ever.
        put_per_sec: u32 = 20, in 1..=1_000_000, RATE;
        /// How many clients have a limit of their own; all others share one.
        client_count_max was clients_max: usize = 50_000, in 1_000..=10_000_000,
            "every client takes 80 bytes, and a small table makes strangers share one limit";
        /// How many answers over UDP an address that was idle may get at once. What is beyond is
        /// truncated to nothing, at which a client asks again over TCP. Networks have limits too,
        /// multiples of this: an IPv4 /24 that of 32 addresses, a /20 of 256, a /18 of 768; an IPv6
        /// /64 of 2, a /56 of 3, a /48 of 4, a /32 of 64.
        dns_answer_burst: u32 = 1_000, in 1..=1_000_000, ANSWER_RATE;
        /// How many answers over UDP a second an address may get for ever.
        dns_answer_per_sec: u32 = 200, in 1..=1_000_000, ANSWER_RATE;
        /// The longest answer over UDP, in bytes, to an address that may be forged because it has
        /// shown no cookie (RFC 7873). Longer ones are truncated, and asked for again over TCP.
        dns_answer_size_max: usize = 512, in 512..=4_096,
            "every client takes 512 bytes (RFC 1035, section 4.2.1), and none over 4096 over UDP";
        /// Whom DNS answers over UDP without these limits, beside this machine: addresses, or
        /// prefixes such as "10.0.0.0/8".
        dns_exempt_networks: Vec<String> = Vec::new();
    }
}

const RATE: &str =
    "0 would refuse every PUT, and so high a limit is none: set limit.enabled = false";

const ANSWER_RATE: &str =
    "0 would refuse every answer, and so high a limit is none: set limit.enabled = false";

impl Config {
    /// Whom DNS answers without limits, if nothing is wrong with the list. `findings` gets to know
    /// what is, of the settings at `key`.
    pub fn exempt_networks(
        &self,
        key: &KeyPath,
        findings: &mut Findings,
    ) -> Option<ExemptNetworks> {
        let key = key.key("dns_exempt_networks");
        let networks = &self.dns_exempt_networks;
        let parsed = ExemptNetworks::parse(networks);
        match &parsed {
            Ok(_) => {}
            Err(error @ NetworkError::Everybody(_)) => findings.error(key, error.to_string()),
            Err(NetworkError::Malformed(_)) => {
                for (at, network) in networks.iter().enumerate() {
                    if let Err(error) = Networks::parse([network]) {
                        findings.error(key.index(at), error.to_string());
                    }
                }
            }
        }
        parsed.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(networks: &[&str]) -> Vec<(String, String)> {
        let config = Config {
            dns_exempt_networks: networks.iter().map(ToString::to_string).collect(),
            ..Config::default()
        };
        let mut findings = Findings::default();
        let exempt = config.exempt_networks(&"limit".into(), &mut findings);
        assert_eq!(exempt.is_some(), findings.errors.is_empty());
        let errors = findings.errors.into_iter();
        errors
            .map(|found| (found.key.to_string(), found.reason))
            .collect()
    }

    #[test]
    fn each_network_that_is_none_is_named_at_its_place() {
        let found = findings(&["a", "10.0.0.0/8", "b"]);
        let keys: Vec<_> = found.iter().map(|(key, _)| key.as_str()).collect();
        let expected = [
            "limit.dns_exempt_networks[0]",
            "limit.dns_exempt_networks[2]",
        ];
        assert_eq!(keys, expected);
        assert!(found[1].1.starts_with("`b` is neither"), "{found:?}");
    }

    #[test]
    fn a_list_of_everybody_is_an_error_of_the_list() {
        let found = findings(&["0.0.0.0/1", "128.0.0.0/1"]);
        assert_eq!(found[0].0, "limit.dns_exempt_networks");
        assert!(found[0].1.contains("all of IPv4"), "{found:?}");
        assert!(findings(&["10.0.0.0/8"]).is_empty());
    }
}
