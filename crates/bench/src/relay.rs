//! Where a relay is.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use http_body_util::Full;
use hyper::{Request, Uri, body::Bytes, header::HOST};

/// The path of relays that name none.
const DEFAULT_PATH: &str = "/pkarr";

/// The port of URLs that name none.
const DEFAULT_PORT: u16 = 80;

/// A relay that is measured, by plain HTTP, since encryption would be measured too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    /// Host and port as they were written.
    pub(crate) host: String,
    /// The path above the keys, without a slash at its end.
    pub(crate) path: String,
    /// The first address that the host has.
    pub(crate) address: SocketAddr,
}

impl Relay {
    /// A request for a key.
    pub(crate) fn request(&self, method: &str, key: &str, body: Bytes) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(format!("{}/{key}", self.path))
            .header(HOST, &self.host)
            .body(Full::new(body))
            .expect("its parts are those of a URL")
    }
}

impl FromStr for Relay {
    type Err = RelayError;

    fn from_str(url: &str) -> Result<Self, RelayError> {
        let url: Uri = url.parse().map_err(|_| RelayError::Url)?;
        let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(RelayError::Scheme);
        };
        let port = authority.port_u16().unwrap_or(DEFAULT_PORT);
        let name = authority.host().trim_matches(['[', ']']);
        let address = (name, port)
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next())
            .ok_or_else(|| RelayError::Host(name.to_owned()))?;
        let path = match url.path().trim_end_matches('/') {
            "" => DEFAULT_PATH,
            path => path,
        };
        Ok(Self {
            host: authority.to_string(),
            path: path.to_owned(),
            address,
        })
    }
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.path)
    }
}

/// Why a URL names no relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelayError {
    /// It is no URL.
    #[error("this is no URL: write http://host:port/pkarr")]
    Url,
    /// It is not plain HTTP.
    #[error("a relay is measured over plain HTTP: write http://host:port/pkarr")]
    Scheme,
    /// Its host has no address.
    #[error("{0:?} has no address")]
    Host(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_path_are_read() {
        let relay: Relay = "http://127.0.0.1:8081/a/b/".parse().unwrap();
        assert_eq!(relay.address, "127.0.0.1:8081".parse().unwrap());
        assert_eq!(
            (relay.host.as_str(), relay.path.as_str()),
            ("127.0.0.1:8081", "/a/b")
        );
    }

    #[test]
    fn port_and_path_have_defaults() {
        let relay: Relay = "http://127.0.0.1".parse().unwrap();
        assert_eq!(relay.address, "127.0.0.1:80".parse().unwrap());
        assert_eq!(relay.to_string(), "http://127.0.0.1/pkarr");
        let v6: Relay = "http://[::1]:8081".parse().unwrap();
        assert_eq!(v6.address, "[::1]:8081".parse().unwrap());
    }

    #[test]
    fn what_names_no_relay_says_why() {
        for (url, error) in [
            ("https://127.0.0.1", RelayError::Scheme),
            ("127.0.0.1:8081", RelayError::Scheme),
            ("http://127.0.0.1/a b", RelayError::Url),
            ("http://", RelayError::Url),
            ("http://:80", RelayError::Host(String::new())),
        ] {
            assert_eq!(url.parse::<Relay>(), Err(error), "{url}");
        }
    }
}
