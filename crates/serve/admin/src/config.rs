//! The settings of the admin API.

use std::{net::SocketAddr, path::PathBuf};

use quorate_http::listener::ListenAddresses;
use quorate_setting::{Findings, KeyPath, settings};

/// The port of the admin API.
const PORT: u16 = 9100;

settings! {
    /// The admin API: its address, and who may use it.
    pub struct AdminConfig {
        /// The addresses on which it listens. The default is every loopback address of the machine
        /// (IPv6 only if the machine has it). Requests from other machines need a token. Tokens are
        /// sent over plain HTTP: use a private network, or a proxy with TLS.
        listen: ListenAddresses = ListenAddresses::loopback(PORT);
        /// The file with the known tokens, which `quorate admin-token new` writes. It has only
        /// their hashes. It is read again at each reload. If empty, there are no tokens.
        tokens_file: PathBuf = PathBuf::new();
        /// Whether programs on this machine need a token too. If false, every user of the machine
        /// may do everything.
        loopback_needs_token: bool = false;
    }
}

impl AdminConfig {
    /// Reports settings that contradict each other. `at` is the path of these settings.
    pub fn check_access(&self, at: &KeyPath, findings: &mut Findings) {
        let [listen, tokens_file, loopback_needs_token] =
            ["listen", "tokens_file", "loopback_needs_token"].map(|key| at.key(key).to_string());
        self.listen.check_not_empty(at.key("listen"), findings);
        let has_tokens = !self.tokens_file.as_os_str().is_empty();
        if self.loopback_needs_token && !has_tokens {
            let reason = "no request would be allowed: set the file of tokens";
            findings.error_between([&loopback_needs_token, &tokens_file], reason);
        }
        let mut addresses = self.listen.iter();
        let is_foreign = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        let Some(foreign) = addresses.find(is_foreign) else {
            return;
        };
        if has_tokens {
            let reason = format!(
                "{foreign} can be reached from other machines, and tokens are sent over plain HTTP: use \
                 a private network"
            );
            findings.warning(&*listen, reason);
        } else {
            let reason = format!(
                "{foreign} can be reached from other machines, which need a token, but there are none: \
                 set the file of tokens, which `quorate admin-token new` writes"
            );
            findings.error_between([&listen, &tokens_file], reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(listen: &str, tokens_file: &str, loopback_needs_token: bool) -> (usize, usize) {
        let config = AdminConfig {
            listen: vec![listen.parse().unwrap()].into(),
            tokens_file: tokens_file.into(),
            loopback_needs_token,
        };
        let mut findings = Findings::default();
        config.check_access(&"admin".into(), &mut findings);
        (findings.errors.len(), findings.warnings.len())
    }

    #[test]
    fn a_listener_that_nobody_could_use_is_an_error() {
        assert_eq!(findings("127.0.0.1:9100", "", false), (0, 0));
        assert_eq!(findings("[::1]:9100", "", false), (0, 0));
        assert_eq!(findings("0.0.0.0:9100", "", false), (1, 0));
        assert_eq!(findings("127.0.0.1:9100", "", true), (1, 0));
    }

    #[test]
    fn a_listener_for_other_machines_is_a_warning_even_with_tokens() {
        assert_eq!(findings("10.0.0.1:9100", "tokens", false), (0, 1));
        assert_eq!(findings("127.0.0.1:9100", "tokens", true), (0, 0));
    }
}
