//! The settings of the admin API.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use quorate_http::listener::ListenAddresses;
use quorate_setting::{Findings, KeyPath, settings};

/// The port of the admin API.
const PORT: u16 = 9100;

/// The longest path of a Unix socket, in bytes: the system has 108 with the zero at the end.
const SOCKET_PATH_SIZE_MAX: usize = 107;

settings! {
    /// The admin API: its addresses, and who may use it.
    pub struct AdminConfig {
        /// The addresses on which it listens. The default is every loopback address of the machine
        /// (IPv6 only if the machine has it). Everything but health needs a token, except that
        /// programs on this machine may read metrics. Without tls, tokens are sent over plain HTTP.
        listen: ListenAddresses = ListenAddresses::loopback(PORT);
        /// Whether these addresses speak HTTPS, with the certificate of [tls].
        tls: bool = false;
        /// The Unix socket on which no request needs a token: every program that may open the file
        /// may do everything. A relative path is inside data_dir. If empty, there is no socket.
        socket: PathBuf = "admin.sock".into();
        /// The group whose members may use the socket too, as a name in /etc/group or a number. If
        /// empty, only the user of the node and root may.
        socket_group: String = String::new();
        /// The file with the known tokens, which `quorate admin-token new` writes. It has only
        /// their hashes. It is read again at each reload. If empty, there are no tokens.
        tokens_file: PathBuf = PathBuf::new();
        /// Whether programs on this machine need a token for metrics too, unless they use the
        /// socket.
        loopback_needs_token: bool = false;
    }
}

impl AdminConfig {
    /// The path of the socket, if there is one.
    pub fn socket_in(&self, data_dir: &Path) -> Option<PathBuf> {
        let is_set = !self.socket.as_os_str().is_empty();
        is_set.then(|| data_dir.join(&self.socket))
    }

    /// Reports a socket whose path is too long for the system. `at` is the path of these settings.
    pub fn check_socket(&self, data_dir: &Path, at: &KeyPath, findings: &mut Findings) {
        let Some(path) = self.socket_in(data_dir) else {
            return;
        };
        let size = path.as_os_str().len();
        if size > SOCKET_PATH_SIZE_MAX {
            let reason = format!(
                "{} has {size} bytes, but the path of a Unix socket can have at most \
                 {SOCKET_PATH_SIZE_MAX}: set a shorter absolute path",
                path.display()
            );
            findings.error_between([&*at.key("socket").to_string(), "data_dir"], reason);
        }
    }

    /// Reports settings that contradict each other. `at` is the path of these settings.
    pub fn check_access(&self, at: &KeyPath, findings: &mut Findings) {
        let [listen, tokens_file, loopback_needs_token] =
            ["listen", "tokens_file", "loopback_needs_token"].map(|key| at.key(key).to_string());
        self.listen.check_not_empty(at.key("listen"), findings);
        let has_tokens = !self.tokens_file.as_os_str().is_empty();
        if self.loopback_needs_token && !has_tokens {
            let reason = "nobody could read metrics over TCP: set the file of tokens";
            findings.error_between([&loopback_needs_token, &tokens_file], reason);
        }
        let mut addresses = self.listen.iter();
        let is_foreign = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        let Some(foreign) = addresses.find(is_foreign) else {
            return;
        };
        if has_tokens && !self.tls {
            let reason = format!(
                "{foreign} can be reached from other machines, and tokens are sent over plain HTTP: \
                 set admin.tls, or use a private network"
            );
            findings.warning(&*listen, reason);
        }
        if !has_tokens {
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
        findings_of(&AdminConfig {
            listen: vec![listen.parse().unwrap()].into(),
            tokens_file: tokens_file.into(),
            loopback_needs_token,
            ..AdminConfig::default()
        })
    }

    fn findings_of(config: &AdminConfig) -> (usize, usize) {
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
    #[test]
    fn tokens_over_https_need_no_private_network() {
        let config = AdminConfig {
            listen: vec!["10.0.0.1:9100".parse().unwrap()].into(),
            tokens_file: "tokens".into(),
            tls: true,
            ..AdminConfig::default()
        };
        assert_eq!(findings_of(&config), (0, 0));
    }

    #[test]
    fn a_socket_with_a_long_path_is_an_error() {
        for (data_dir, socket, is_error) in [
            ("/".repeat(96), "admin.sock", false),
            ("d".repeat(96), "admin.sock", false),
            ("d".repeat(97), "admin.sock", true),
            ("d".repeat(200), "/run/quorate/admin.sock", false),
            ("d".repeat(200), "", false),
            ("d".to_owned(), &*format!("/{}", "s".repeat(106)), false),
            ("d".to_owned(), &*format!("/{}", "s".repeat(107)), true),
        ] {
            let config = AdminConfig {
                socket: socket.into(),
                ..AdminConfig::default()
            };
            let mut findings = Findings::default();
            config.check_socket(data_dir.as_ref(), &"admin".into(), &mut findings);
            assert_eq!(findings.errors.len(), usize::from(is_error), "{socket}");
            for error in findings.errors {
                assert!(error.reason.contains("at most 107"), "{}", error.reason);
            }
        }
    }
}
