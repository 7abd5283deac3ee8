//! Where a relay is.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

/// The path of relays that name none.
const DEFAULT_PATH: &str = "/pkarr";

/// `http://host:port/path`. Plain HTTP, since encryption would be measured too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayUrl {
    /// Host and port as they were written.
    pub(crate) host: String,
    /// The path above the keys, without a slash at its end.
    pub(crate) path: String,
    /// The first address that the host has.
    pub(crate) address: SocketAddr,
}

impl RelayUrl {
    /// The relay of a node that listens here.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            host: address.to_string(),
            path: DEFAULT_PATH.to_owned(),
            address,
        }
    }
}

impl FromStr for RelayUrl {
    type Err = RelayUrlError;

    fn from_str(url: &str) -> Result<Self, RelayUrlError> {
        let rest = url.strip_prefix("http://").ok_or(RelayUrlError::Scheme)?;
        let (host, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let path = match path.trim_end_matches('/') {
            "" => DEFAULT_PATH,
            path => path,
        };
        if path.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(RelayUrlError::Path);
        }
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = with_port
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next())
            .ok_or_else(|| RelayUrlError::Host(host.to_owned()))?;
        Ok(Self {
            host: host.to_owned(),
            path: path.to_owned(),
            address,
        })
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

/// Why a URL names no relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelayUrlError {
    /// It is not plain HTTP.
    #[error("a relay is measured over plain HTTP: write http://host:port/pkarr")]
    Scheme,
    /// Its path has characters that a request line cannot carry.
    #[error("the path has characters that no URL has")]
    Path,
    /// Its host has no address.
    #[error("{0:?} has no address")]
    Host(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_path_are_read() {
        let url: RelayUrl = "http://127.0.0.1:8081/a/b/".parse().unwrap();
        assert_eq!(url.address, "127.0.0.1:8081".parse().unwrap());
        assert_eq!(
            (url.host.as_str(), url.path.as_str()),
            ("127.0.0.1:8081", "/a/b")
        );
    }

    #[test]
    fn port_and_path_have_defaults() {
        let url: RelayUrl = "http://127.0.0.1".parse().unwrap();
        assert_eq!(url.address, "127.0.0.1:80".parse().unwrap());
        assert_eq!(url.to_string(), "http://127.0.0.1/pkarr");
        let v6: RelayUrl = "http://[::1]:8081".parse().unwrap();
        assert_eq!(v6.address, "[::1]:8081".parse().unwrap());
    }

    #[test]
    fn what_names_no_relay_says_why() {
        assert_eq!(
            "https://127.0.0.1".parse::<RelayUrl>(),
            Err(RelayUrlError::Scheme)
        );
        assert_eq!(
            "http://127.0.0.1/a b".parse::<RelayUrl>(),
            Err(RelayUrlError::Path)
        );
        assert_eq!(
            "http://:".parse::<RelayUrl>(),
            Err(RelayUrlError::Host(":".into()))
        );
    }
}
