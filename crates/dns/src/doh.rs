//! DNS over HTTPS (RFC 8484). TLS is the business of whoever serves the router.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::{QUERY_SIZE_MAX, Responder, Transport};

/// The path that clients try by default.
const PATH: &str = "/dns-query";

/// The media type of DNS messages.
const DNS_MESSAGE: &str = "application/dns-message";

/// The methods of the resource.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");

/// `GET`, `HEAD` and `POST` at `/dns-query`. Whatever a response's RCODE, its HTTP status is 200
/// (RFC 8484, section 4.2.1); other statuses say that there was no DNS message to answer.
pub fn doh_router(responder: Arc<Responder>) -> Router {
    let methods = MethodRouter::new()
        .get(get)
        .post(post)
        .options(preflight)
        .fallback(other_method);
    // Lets pages of any site ask: records are public and no request carries credentials.
    let methods = methods.layer(middleware::map_response(async |response: Response| {
        ([(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")], response)
    }));
    Router::new().route(PATH, methods).with_state(responder)
}

/// Why a request has no DNS response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    #[error("the body broke off")]
    BodyLost,
    #[error("the message is not a DNS query")]
    NotAQuery,
    #[error("a query comes by GET, HEAD or POST")]
    Method,
}

impl RequestError {
    fn status(self) -> StatusCode {
        match self {
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoParameter | Self::Encoding | Self::BodyLost | Self::NotAQuery => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let allow = (self == Self::Method).then_some([(header::ALLOW, METHODS)]);
        (self.status(), allow, format!("{self}\n")).into_response()
    }
}

/// HEAD too: the HTTP server leaves out the body.
async fn get(
    State(responder): State<Arc<Responder>>,
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
    respond(&responder, &message.map_err(|_| RequestError::Encoding)?)
}

async fn post(
    State(responder): State<Arc<Responder>>,
    request: Request,
) -> Result<Response, RequestError> {
    check_accept(request.headers())?;
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| is_media_type(value, DNS_MESSAGE)) {
        return Err(RequestError::MediaType);
    }
    respond(&responder, &read_body(request).await?)
}

/// The body, if it is no longer than a query may be.
async fn read_body(request: Request) -> Result<Bytes, RequestError> {
    let body = Limited::new(request.into_body(), QUERY_SIZE_MAX);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(RequestError::TooLong),
        Err(_) => Err(RequestError::BodyLost),
    }
}

fn respond(responder: &Responder, message: &[u8]) -> Result<Response, RequestError> {
    let mut out = Vec::new();
    let summary = responder
        .respond(message, Transport::Https, &mut out)
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

async fn preflight() -> Response {
    let allowed = HeaderValue::from_static("Accept, Content-Type");
    let headers = [
        (header::ALLOW, METHODS),
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn other_method() -> RequestError {
    RequestError::Method
}

#[cfg(test)]
#[path = "doh_tests.rs"]
mod tests;
