//! Whom DNS answers without limits.

use std::net::IpAddr;

use crate::{NetworkError, Networks};

/// Sources that no limit of answers holds for: this machine, and the networks that the operator
/// lists.
///
/// Whoever is in there can be made the target of answers that somebody else asked for, so a list
/// must not take in everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExemptNetworks(Networks);

impl ExemptNetworks {
    /// Parses addresses and prefixes. Fails if one is neither, or all together are all of IPv4 or of
    /// IPv6.
    pub fn parse<S: AsRef<str>>(
        networks: impl IntoIterator<Item = S>,
    ) -> Result<Self, NetworkError> {
        Networks::parse_part(networks, NetworkError::AllExempt).map(Self)
    }

    /// Whether the address is exempt.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback() || self.0.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_always_exempt_and_others_only_if_listed() {
        let none = ExemptNetworks::default();
        let some = ExemptNetworks::parse(["192.0.2.0/24"]).unwrap();
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
            assert_eq!(none.contains(address), without, "{address}");
            assert_eq!(some.contains(address), with, "{address}");
        }
    }

    #[test]
    fn a_list_of_everybody_is_refused_and_says_what_to_do() {
        for networks in [["0.0.0.0/0"], ["::/0"]] {
            let error = ExemptNetworks::parse(networks).unwrap_err().to_string();
            assert!(error.contains("limit.enabled = false"), "{error}");
        }
    }
}
