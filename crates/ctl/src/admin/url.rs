//! Where the admin API of a node is: a URL or a Unix socket.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{bail, ensure};
use reqwest::Url;

use crate::http;

/// The URL of the admin API on this machine.
pub(crate) const LOOPBACK: &str = "http://127.0.0.1:9100";

/// The socket of a node that systemd started on this machine.
pub(crate) const SYSTEM_SOCKET: &str = "/run/quorate/admin.sock";

/// The beginning of the address of a socket.
const UNIX: &str = "unix:";

/// The longest path of a Unix socket, in bytes.
const SOCKET_PATH_SIZE_MAX: usize = 107;

/// The base URL of requests on a socket: the node answers none there for another host.
const SOCKET_URL: &str = "http://localhost";

/// The admin API of a node: `http://host:port`, `https`, or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminUrl {
    url: Url,
    socket: Option<PathBuf>,
}

impl AdminUrl {
    /// The admin API on the socket at `path`.
    pub(crate) fn of_socket(path: &Path) -> Self {
        Self {
            url: Url::parse(SOCKET_URL).expect("the constant is a URL"),
            socket: Some(path.to_owned()),
        }
    }

    /// The admin API of a node on this machine that no argument names: on `config_socket` or
    /// `system_socket`, the first that exists, otherwise on loopback.
    pub(crate) fn found(config_socket: Option<&Path>, system_socket: &Path) -> Self {
        let mut sockets = config_socket.into_iter().chain([system_socket]);
        // One in a directory that is closed to this user does not count.
        let socket = sockets.find(|path| path.symlink_metadata().is_ok());
        match socket {
            Some(path) => Self::of_socket(path),
            None => LOOPBACK.parse().expect("the constant is a URL"),
        }
    }

    /// The URL of `path`, which starts with a slash and is percent-encoded.
    pub(crate) fn at(&self, path: &str) -> Url {
        let base = self.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path}")).expect("a URL followed by a path is a URL")
    }

    /// The path of the socket, if it is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }
}

impl FromStr for AdminUrl {
    type Err = anyhow::Error;

    fn from_str(s: &str) -> anyhow::Result<Self> {
        if let Some(path) = s.strip_prefix(UNIX) {
            ensure!(!path.is_empty(), "write it like {UNIX}{SYSTEM_SOCKET}");
            ensure!(
                path.len() <= SOCKET_PATH_SIZE_MAX,
                "{path} has {} bytes, but the path of a Unix socket can have at most {SOCKET_PATH_SIZE_MAX}",
                path.len()
            );
            return Ok(Self::of_socket(path.as_ref()));
        }
        let example = format!("{LOOPBACK} or {UNIX}{SYSTEM_SOCKET}");
        let url = http::parse_url(s, &example)?;
        if !url.username().is_empty() || url.password().is_some() {
            bail!(
                "a URL is visible in process lists: put the token into a file and use --token-file"
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            bail!("the URL ends with its path; write it like {LOOPBACK}");
        }
        Ok(Self { url, socket: None })
    }
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(path) => write!(f, "{UNIX}{}", path.display()),
            None => f.write_str(self.url.as_str().trim_end_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_api::path;

    use super::*;

    fn parse(text: &str) -> AdminUrl {
        text.parse().unwrap()
    }

    #[test]
    fn node_names_are_escaped_in_the_path() {
        let url = parse(LOOPBACK).at(&path::with(path::PROMOTE, "../x y?/#"));
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:9100/v1/members/..%2Fx%20y%3F%2F%23/promote"
        );
    }

    #[test]
    fn the_path_of_a_proxy_is_kept() {
        for base in ["https://example.org/ns1", "https://example.org/ns1/"] {
            let url = parse(base);
            assert_eq!(
                url.at(path::STATUS).as_str(),
                "https://example.org/ns1/v1/status"
            );
            assert_eq!(url.to_string(), "https://example.org/ns1");
        }
    }

    #[test]
    fn invalid_admin_urls_are_rejected_with_a_reason() {
        for (text, expected) in [
            ("127.0.0.1:9100", "write it like"),
            ("ftp://example.org", "not http or https"),
            ("http://:secret@example.org", "--token-file"),
            ("http://example.org/?a", "ends with its path"),
            ("unix:", "write it like unix:/run/quorate/admin.sock"),
            (&format!("unix:/{}", "s".repeat(107)), "108 bytes"),
        ] {
            let error = text.parse::<AdminUrl>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_socket_is_named_by_its_path() {
        let url = parse("unix:/run/a.sock");
        assert_eq!(url.socket(), Some(Path::new("/run/a.sock")));
        assert_eq!(url.to_string(), "unix:/run/a.sock");
        assert_eq!(url.at(path::STATUS).as_str(), "http://localhost/v1/status");
    }

    #[test]
    fn the_first_socket_that_exists_is_found_and_otherwise_loopback() {
        let dir = tempfile::tempdir().unwrap();
        let [of_config, of_system] = ["a", "b"].map(|name| dir.path().join(name));
        let found = || AdminUrl::found(Some(&of_config), &of_system).to_string();
        assert_eq!(found(), LOOPBACK);
        std::fs::write(&of_system, "").unwrap();
        assert_eq!(found(), format!("unix:{}", of_system.display()));
        std::fs::write(&of_config, "").unwrap();
        assert_eq!(found(), format!("unix:{}", of_config.display()));
        let without_config = AdminUrl::found(None, &of_system);
        assert_eq!(without_config.socket(), Some(&*of_system));
    }
}
