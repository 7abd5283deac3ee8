//! The HTTP client, with a bound on time and size of each response.

use std::{
    future::Future,
    pin::Pin,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{LOCATION, RETRY_AFTER},
};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::time::timeout;

use crate::{backoff::RETRY_AFTER_MAX, config::check_https};

/// The largest response: a chain of certificates has a hundredth of it.
const RESPONSE_SIZE_MAX: usize = 1024 * 1024;

/// When to look at renewal information again if the authority does not say (RFC 9773, section 4.3.3).
const RENEWAL_INFO_RETRY: HeaderValue = HeaderValue::from_static("21600");

/// The URLs without which a directory is none (RFC 8555, section 7.1.1).
const DIRECTORY_URLS: [&str; 3] = ["newNonce", "newAccount", "newOrder"];

type HyperClient = Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>;

/// The client. Clones share the connections and the last response.
#[derive(Clone)]
pub(crate) struct BoundedClient {
    client: HyperClient,
    directory: Uri,
    last: Arc<Mutex<LastResponse>>,
    timeout: Duration,
}

/// What the last response was, if there was one.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastResponse {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// What was created.
    pub(crate) location: Option<String>,
    /// What is wrong, if the status says that something is.
    pub(crate) problem: Option<Problem>,
}

impl BoundedClient {
    /// A client for this directory, whose server is verified by `roots` in PEM, or by those of the machine. Fails with
    /// the reason.
    pub(crate) fn new(
        directory: &str,
        roots: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Self, String> {
        check_https(directory)?;
        let directory = Uri::from_str(directory).map_err(|error| error.to_string())?;
        let roots = match roots {
            Some(pem) => read_roots(pem)?,
            None => roots_of_machine()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config);
        let connector = connector.https_only().enable_http1().enable_http2().build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            directory,
            last: Arc::default(),
            timeout,
        })
    }

    /// The response to the last request; the default if there was none.
    pub(crate) fn last(&self) -> LastResponse {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_last(&self, last: LastResponse) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        self.set_last(LastResponse::default());
        let is_get = request.method() == Method::GET;
        let is_directory = is_get && *request.uri() == self.directory;
        let host = request.uri().host().unwrap_or_default().to_owned();
        let exchange = async {
            let response = self.client.request(request).await;
            let response = response.map_err(|error| Error::Other(Box::new(error)))?;
            let (parts, body) = response.into_parts();
            let mut last = LastResponse {
                status: parts.status.as_u16(),
                retry_after: retry_after(&parts.headers),
                location: text_of(&parts.headers, &LOCATION).map(str::to_owned),
                problem: None,
            };
            self.set_last(last.clone());
            let body = Limited::new(body, RESPONSE_SIZE_MAX).collect().await;
            let body = body.map_err(Error::Other)?.to_bytes();
            if last.status >= 400 {
                let problem = serde_json::from_slice(&body);
                last.problem = Some(problem.unwrap_or_else(|_| unknown_problem(last.status)));
                self.set_last(last);
            }
            Ok((parts, body))
        };
        let exchanged = timeout(self.timeout, exchange).await;
        let (mut parts, body) = exchanged.unwrap_or_else(|_| {
            let limit = self.timeout.as_secs_f32();
            Err(Error::Other(
                format!("{host} did not answer within {limit} s").into(),
            ))
        })?;
        if is_directory {
            check_directory(parts.status, &body).map_err(|reason| Error::Other(reason.into()))?;
        }
        match retry_after(&parts.headers) {
            // The library would panic at a time that it cannot add to now.
            Some(wait) => {
                let secs = HeaderValue::from(wait.as_secs());
                parts.headers.insert(RETRY_AFTER, secs);
            }
            // The library demands it, although not all authorities send it.
            None if is_get => {
                parts.headers.insert(RETRY_AFTER, RENEWAL_INFO_RETRY);
            }
            None => {
                parts.headers.remove(RETRY_AFTER);
            }
        }
        let (parts, ()) = Response::from_parts(parts, ()).into_parts();
        Ok(BytesResponse {
            parts,
            body: Box::new(body),
        })
    }
}

impl HttpClient for BoundedClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}

fn unknown_problem(status: u16) -> Problem {
    Problem {
        r#type: None,
        detail: Some(format!("HTTP status {status}")),
        status: Some(status),
        subproblems: Vec::new(),
    }
}

/// Fails unless the response has a directory whose URLs can be used. The library would panic at others, and ignores
/// the status.
fn check_directory(status: StatusCode, body: &[u8]) -> Result<(), String> {
    if !status.is_success() {
        return Err("the authority does not give its directory".to_owned());
    }
    let directory = serde_json::from_slice::<serde_json::Value>(body);
    let directory = directory.map_err(|error| format!("the directory is no JSON: {error}"))?;
    for key in DIRECTORY_URLS {
        let url = directory.get(key).and_then(|url| url.as_str());
        let url = url.ok_or_else(|| format!("the directory has no {key}, so it is none"))?;
        check_https(url)
            .map_err(|reason| format!("in the directory, {key} is unusable: {reason}"))?;
    }
    Ok(())
}

fn roots_of_machine() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err(
            "this machine has no root certificates: install the package ca-certificates, or set \
             tls.acme.root_file"
                .to_owned(),
        ),
        false => Ok(roots),
    }
}

fn read_roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "a PEM section is damaged".to_owned())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("it holds no certificate: it needs a section BEGIN CERTIFICATE".to_owned()),
        false => Ok(roots),
    }
}

fn text_of<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds, or a date (RFC 9110, section 10.2.3), and not more than is accepted from an authority.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text_of(headers, &RETRY_AFTER)?.trim();
    let wait = match text.parse() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            at.duration_since(SystemTime::now()).ok()?
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_at_most_a_week() {
        let wait = |text: &'static str| {
            let headers = [(RETRY_AFTER, HeaderValue::from_static(text))];
            retry_after(&headers.into_iter().collect())
        };
        assert_eq!(wait(" 7 "), Some(Duration::from_secs(7)));
        for long in [
            "604801",
            "18446744073709551615",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(wait(long), Some(RETRY_AFTER_MAX), "{long}");
        }
        for nothing in [
            "18446744073709551616",
            "-1",
            "soon",
            "Mon, 01 Jan 2001 00:00:00 GMT",
        ] {
            assert_eq!(wait(nothing), None, "{nothing}");
        }
    }
}
