//! DNS over HTTPS (RFC 8484). TLS is the business of whoever serves the router.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use data_encoding::BASE64URL_NOPAD;
use quorate_http::{BodyError, method_not_allowed, options, read_body, text};

use crate::{Client, DnsTransport, QUERY_SIZE_MAX, Responder};

/// The path that clients try by default.
const PATH: &str = "/dns-query";

/// The media type of DNS messages.
const DNS_MESSAGE: &str = "application/dns-message";

/// The methods of the resource.
const DOH_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");

/// `GET`, `HEAD` and `POST` at `/dns-query`. Whatever a response's RCODE, its HTTP status is 200
/// (RFC 8484, section 4.2.1); other statuses say that there was no DNS message to answer.
pub fn doh_router(responder: Arc<Responder>) -> Router {
    let methods = MethodRouter::new()
        .get(get)
        .post(post)
        .options(async || options(DOH_METHODS))
        .fallback(async || method_not_allowed(DOH_METHODS, "a query comes by GET, HEAD or POST"));
    Router::new().route(PATH, methods).with_state(responder)
}

/// Why a request has no DNS response.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("only {DNS_MESSAGE} is given here: leave out Accept, or accept that")]
    NotAcceptable,
    #[error("the body must be {DNS_MESSAGE}, and Content-Type must say so")]
    MediaType,
    #[error("the parameter dns is missing: give it a DNS message in base64url")]
    NoParameter,
    #[error("the parameter dns is not base64url without padding (RFC 8484, section 6)")]
    Encoding,
    #[error("a query has at most {QUERY_SIZE_MAX} bytes")]
    TooLong,
    #[error("the address is too long: a query has at most {QUERY_SIZE_MAX} bytes")]
    UriTooLong,
    #[error("the body did not arrive whole and in time")]
    BodyLost,
    #[error("the message is not a DNS query")]
    NotAQuery,
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLong => Self::TooLong,
            BodyError::Slow(_) | BodyError::Lost(_) => Self::BodyLost,
        }
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyLost => StatusCode::REQUEST_TIMEOUT,
            Self::NoParameter | Self::Encoding | Self::NotAQuery => StatusCode::BAD_REQUEST,
        };
        text(status, self)
    }
}

/// HEAD too: the HTTP server leaves out the body.
async fn get(
    State(responder): State<Arc<Responder>>,
    client: Client,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, RequestError> {
    check_accept(&headers)?;
    let query = uri.query().unwrap_or_default();
    let mut parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, encoded) = parameters
        .find(|(name, _)| *name == "dns")
        .ok_or(RequestError::NoParameter)?;
    if encoded.len() > BASE64URL_NOPAD.encode_len(QUERY_SIZE_MAX) {
        return Err(RequestError::UriTooLong);
    }
    let message = BASE64URL_NOPAD.decode(encoded.as_bytes());
    let message = message.map_err(|_| RequestError::Encoding)?;
    respond(&responder, &client, &message)
}

async fn post(
    State(responder): State<Arc<Responder>>,
    client: Client,
    request: Request,
) -> Result<Response, RequestError> {
    let (parts, body) = request.into_parts();
    check_accept(&parts.headers)?;
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| is_media_type(value, DNS_MESSAGE)) {
        return Err(RequestError::MediaType);
    }
    let message = read_body(body, QUERY_SIZE_MAX).await?;
    respond(&responder, &client, &message)
}

/// Whoever is at the other end of the connection, which the HTTP server tells.
impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        Ok(Self::new(address, DnsTransport::Https))
    }
}

fn respond(
    responder: &Responder,
    client: &Client,
    message: &[u8],
) -> Result<Response, RequestError> {
    let mut out = Vec::new();
    let summary = responder
        .respond(message, client, &mut out)
        .ok_or(RequestError::NotAQuery)?;
    // RFC 8484, section 5.1: never fresh for longer than a record in it.
    let cache_control = match summary.ttl_secs {
        Some(secs) => format!("max-age={secs}"),
        None => "no-store".to_owned(),
    };
    let headers = [
        (header::CONTENT_TYPE, DNS_MESSAGE.to_owned()),
        (header::CACHE_CONTROL, cache_control),
    ];
    Ok((headers, out).into_response())
}

/// A client that names no type, any type, or this one. Clients that merely say what they like best
/// get it.
fn check_accept(headers: &HeaderMap) -> Result<(), RequestError> {
    let fits = |range: &str| {
        let mut fitting = ["*/*", "application/*", DNS_MESSAGE].into_iter();
        fitting.any(|media_type| is_media_type(range, media_type))
    };
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|v| v.split(',').any(fits));
    let mut accept = headers.get_all(header::ACCEPT).iter();
    match !headers.contains_key(header::ACCEPT) || accept.any(accepts) {
        true => Ok(()),
        false => Err(RequestError::NotAcceptable),
    }
}

/// Whether `value` is this type, parameters aside (RFC 9110, section 8.3.1).
fn is_media_type(value: &str, media_type: &str) -> bool {
    let name = value.split(';').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case(media_type)
}

#[cfg(test)]
#[path = "doh_tests.rs"]
mod tests;
