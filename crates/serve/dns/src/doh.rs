//! DNS over HTTPS: messages (RFC 8484), and JSON in the format of public resolvers. The HTTP server
//! of the router terminates TLS.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
    routing,
};
use data_encoding::BASE64URL_NOPAD;
use hickory_proto::serialize::binary::DecodeError;
use quorate_http::{
    BodyError, ClientRules, ProblemResponse, ProblemType, limit_problem, read_body, with_methods,
};
use quorate_limit::LimitExceeded;

use crate::{
    DnsClient, DnsTransport, QUERY_SIZE_MAX, Responder, ResponseSummary,
    json::{JsonMessage, JsonQuery, JsonQueryError},
};

/// The path that clients use by default.
const PATH: &str = "/dns-query";

/// The media type of DNS messages.
const DNS_MESSAGE: &str = "application/dns-message";

/// The media types of DNS in JSON. Responses have the first.
const DNS_JSON: [&str; 2] = ["application/dns-json", "application/json"];

/// The methods of the resource.
const DOH_METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// `GET`, `HEAD` and `POST` at `/dns-query`. A DNS response with any RCODE has the HTTP status 200
/// (RFC 8484, section 4.2.1); other statuses mean that the request had no DNS query to answer.
///
/// Each client, and each network around it, may send as many queries as `rules` allow; more get 429
/// with `Retry-After`. Behind a trusted proxy, the client of a limit is the one that it names.
pub fn doh_router(responder: Arc<Responder>, rules: ClientRules) -> Router {
    let resource = with_methods(
        routing::get(get).post(post),
        DOH_METHODS,
        "send the query with GET, HEAD or POST",
    );
    Router::new()
        .route(PATH, resource)
        .with_state(Doh { responder, rules })
}

/// What every request needs.
#[derive(Clone)]
struct Doh {
    responder: Arc<Responder>,
    rules: ClientRules,
}

impl Doh {
    /// Counts a query of the client that sent this request.
    fn check_limit(&self, request: &Parts) -> Result<(), RequestError> {
        let client = self.rules.client(&request.extensions, &request.headers);
        Ok(self.rules.limits.check_query(client)?)
    }
}

/// Why a request gets no DNS response.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error(transparent)]
    Limited(#[from] LimitExceeded),
    #[error("responses are {DNS_MESSAGE} or {}: accept one of them, or omit Accept", DNS_JSON[0])]
    NotAcceptable,
    #[error("the body must be {DNS_MESSAGE}: set Content-Type to it")]
    MediaType,
    #[error(transparent)]
    JsonQuery(#[from] JsonQueryError),
    #[error("the parameters cannot be read")]
    Parameters(#[from] QueryRejection),
    #[error("the parameter dns is not base64url without padding (RFC 8484, section 6)")]
    Encoding,
    #[error("a query may have at most {QUERY_SIZE_MAX} bytes")]
    TooLong,
    #[error("the URL is too long: a query may have at most {QUERY_SIZE_MAX} bytes")]
    UriTooLong,
    #[error("the body did not arrive completely and in time")]
    BodyLost,
    #[error("the message is not a DNS query")]
    NotAQuery,
    #[error("the response cannot be converted to JSON")]
    Unreadable(#[from] DecodeError),
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
        let kind = match self {
            Self::Limited(error) => return limit_problem(error).into_response(),
            Self::NotAcceptable => ProblemType::NotAcceptable,
            Self::MediaType => ProblemType::NoDnsMessage,
            Self::TooLong => ProblemType::TooLong,
            Self::UriTooLong => ProblemType::UriTooLong,
            Self::BodyLost => ProblemType::BodyLost,
            Self::Unreadable(_) => ProblemType::Unpresentable,
            Self::JsonQuery(_) | Self::Parameters(_) | Self::Encoding | Self::NotAQuery => {
                ProblemType::BadRequest
            }
        };
        ProblemResponse::new(kind, self).into_response()
    }
}

/// Serves HEAD too: the HTTP server leaves out the body.
async fn get(
    State(doh): State<Doh>,
    client: DnsClient,
    request: Request,
) -> Result<Response, RequestError> {
    let (parts, _) = request.into_parts();
    doh.check_limit(&parts)?;
    let query = parts.uri.query().unwrap_or_default();
    let mut parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    match parameters.find(|(name, _)| *name == "dns") {
        Some((_, encoded)) => {
            let format = Format::Message.negotiated(&parts.headers)?;
            respond(&doh.responder, &client, &decode(encoded)?, format).await
        }
        None => {
            let format = Format::Json.negotiated(&parts.headers)?;
            let Query(query) = Query::<JsonQuery>::try_from_uri(&parts.uri)?;
            respond(&doh.responder, &client, &query.message()?, format).await
        }
    }
}

fn decode(encoded: &str) -> Result<Vec<u8>, RequestError> {
    if encoded.len() > BASE64URL_NOPAD.encode_len(QUERY_SIZE_MAX) {
        return Err(RequestError::UriTooLong);
    }
    let message = BASE64URL_NOPAD.decode(encoded.as_bytes());
    message.map_err(|_| RequestError::Encoding)
}

async fn post(
    State(doh): State<Doh>,
    client: DnsClient,
    request: Request,
) -> Result<Response, RequestError> {
    let (parts, body) = request.into_parts();
    doh.check_limit(&parts)?;
    let format = Format::Message.negotiated(&parts.headers)?;
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| is_media_type(value, DNS_MESSAGE)) {
        return Err(RequestError::MediaType);
    }
    // The client chooses how large it is and how long the body takes.
    drop(parts);
    let message = read_body(body, QUERY_SIZE_MAX).await?;
    respond(&doh.responder, &client, &message, format).await
}

/// The client is the peer of the connection, which the HTTP server stores in the request.
impl<S: Sync> FromRequestParts<S> for DnsClient {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        Ok(Self::new(address, DnsTransport::Https))
    }
}

async fn respond(
    responder: &Responder,
    client: &DnsClient,
    message: &[u8],
    format: Format,
) -> Result<Response, RequestError> {
    let mut out = Vec::new();
    let ResponseSummary { ttl_secs } = responder
        .respond_in_time(message, client, &mut out)
        .await
        .ok_or(RequestError::NotAQuery)?;
    // RFC 8484, section 5.1: never fresh for longer than the smallest TTL in it.
    let cache_control = match ttl_secs {
        Some(secs) => format!("max-age={secs}"),
        None => "no-store".to_owned(),
    };
    let (content_type, body) = match format {
        Format::Message => (DNS_MESSAGE, out),
        Format::Json => (DNS_JSON[0], JsonMessage::read(&out)?.to_vec()),
    };
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CACHE_CONTROL, cache_control),
        (header::VARY, header::ACCEPT.to_string()),
    ];
    Ok((headers, body).into_response())
}

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Message,
    Json,
}

impl Format {
    /// Negotiates the format: `self`, the format of the question, or else the other, if the client
    /// accepts it. A client without Accept accepts all. Quality values (`q`) are ignored.
    fn negotiated(self, headers: &HeaderMap) -> Result<Self, RequestError> {
        let accepts = |format: Self| {
            let values = headers.get_all(header::ACCEPT).iter();
            let mut values = values.filter_map(|value| value.to_str().ok());
            values.any(|value| value.split(',').any(|range| format.includes_range(range)))
        };
        if !headers.contains_key(header::ACCEPT) || accepts(self) {
            return Ok(self);
        }
        let other = match self {
            Self::Message => Self::Json,
            Self::Json => Self::Message,
        };
        accepts(other)
            .then_some(other)
            .ok_or(RequestError::NotAcceptable)
    }

    /// Whether a media range of Accept includes this format.
    fn includes_range(self, range: &str) -> bool {
        let types = match self {
            Self::Message => &[DNS_MESSAGE][..],
            Self::Json => &DNS_JSON[..],
        };
        let mut fitting = ["*/*", "application/*"].iter().chain(types);
        fitting.any(|media_type| is_media_type(range, media_type))
    }
}

/// Whether `value` is this type, ignoring parameters (RFC 9110, section 8.3.1).
fn is_media_type(value: &str, media_type: &str) -> bool {
    let name = value.split(';').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case(media_type)
}

#[cfg(test)]
#[path = "doh_tests.rs"]
mod tests;
