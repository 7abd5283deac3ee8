//! The URL of the admin API of a node.

use std::{fmt, str::FromStr};

use anyhow::bail;
use reqwest::Url;

use crate::http;

/// The default URL of the admin API.
pub(crate) const DEFAULT: &str = "http://127.0.0.1:9100";

/// The base URL of the admin API of a node: `http://host:port`, or `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminUrl(Url);

impl AdminUrl {
    /// The URL of `path`, which starts with a slash and is percent-encoded.
    pub(crate) fn at(&self, path: &str) -> Url {
        Url::parse(&format!("{self}{path}")).expect("a URL followed by a path is a URL")
    }
}

impl FromStr for AdminUrl {
    type Err = anyhow::Error;

    fn from_str(s: &str) -> anyhow::Result<Self> {
        let url = http::parse_url(s, DEFAULT)?;
        if !url.username().is_empty() || url.password().is_some() {
            bail!(
                "a URL is visible in process lists: put the token into a file and use --token-file"
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            bail!("the URL ends with its path; write it like {DEFAULT}");
        }
        Ok(Self(url))
    }
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
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
        let url = parse(DEFAULT).at(&path::with(path::PROMOTE, "../x y?/#"));
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
        ] {
            let error = text.parse::<AdminUrl>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
