//! Checks the tokens of requests and their scopes.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Uri, header, request::Parts, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use quorate_api::ProblemType;
use quorate_http::ProblemResponse;

use crate::{
    AdminConfig, Scope, Tokens,
    audit::{AuditLine, REJECTED_READ, peer},
    token::LOOPBACK,
};

/// Header fields that show that a proxy sent the request for somebody else.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Authorizes requests before they reach the routes.
#[derive(Clone)]
pub(crate) struct Authorizer {
    tokens: Arc<Tokens>,
    loopback_needs_token: bool,
}

/// The sender of a request.
pub(crate) struct Caller {
    /// The token's name, or [`LOOPBACK`].
    pub(crate) name: String,
    scope: Scope,
}

/// The name of the authorized caller, which is an extension of the request.
#[derive(Clone)]
pub(crate) struct CallerName(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for CallerName {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        let name = parts.extensions.get::<Self>().cloned();
        Ok(name.expect("every route that needs the caller's name is authorized first"))
    }
}

impl Authorizer {
    pub(crate) fn new(tokens: Arc<Tokens>, config: &AdminConfig) -> Self {
        Self {
            tokens,
            loopback_needs_token: config.loopback_needs_token,
        }
    }

    /// Identifies the sender of a request. Fails if it needs a token and has none that is known.
    pub(crate) fn caller(&self, request: &Request) -> Result<Caller, ProblemResponse> {
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer_token);
            let known = token.and_then(|token| self.tokens.find(token));
            let known = known.ok_or_else(|| unauthorized("the token is not known to this node"))?;
            return Ok(Caller {
                name: known.name.to_string(),
                scope: known.scope,
            });
        }
        if self.loopback_needs_token {
            return Err(unauthorized("a token is needed"));
        }
        if !peer(request).is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
            return Err(unauthorized("requests from another machine need a token"));
        }
        check_direct(request)?;
        Ok(Caller {
            name: LOOPBACK.to_owned(),
            scope: Scope::Operate,
        })
    }
}

impl Caller {
    /// Fails if the caller's scope does not include `needed`.
    pub(crate) fn check(&self, needed: Scope) -> Result<(), ProblemResponse> {
        match self.scope >= needed {
            true => Ok(()),
            false => {
                let (name, scope) = (&self.name, self.scope);
                let detail =
                    format!("the token `{name}` has the scope {scope}, but this needs {needed}");
                Err(ProblemResponse::new(ProblemType::Scope, detail))
            }
        }
    }
}

/// Authorizes requests that change nothing: passes them on if the caller has the scope.
pub(crate) async fn admit(
    State((authorizer, scope)): State<(Authorizer, Scope)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ProblemResponse> {
    let caller = authorizer.caller(&request)?;
    if let Err(problem) = caller.check(scope) {
        // Logged, because somebody with a valid token tries what else it permits.
        let response = problem.into_response();
        let mut line = AuditLine::new(REJECTED_READ, &request);
        line.by = caller.name;
        line.write(&response);
        return Ok(response);
    }
    request.extensions_mut().insert(CallerName(caller.name));
    Ok(next.run(request).await)
}

fn unauthorized(detail: &str) -> ProblemResponse {
    let detail = format!("{detail}: send `Authorization: Bearer TOKEN`");
    ProblemResponse::new(ProblemType::NotAuthorized, detail)
}

/// The token of an `Authorization` field (RFC 6750, section 2.1).
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

/// Rejects requests that come from this machine on behalf of somebody else: through a proxy, or
/// from a web page whose name resolves to this machine (DNS rebinding), so that the browser takes
/// the node for the page's own server. Programs of operators send requests to `localhost` or to an
/// address.
fn check_direct(request: &Request) -> Result<(), ProblemResponse> {
    let headers = request.headers();
    if FORWARDED.iter().any(|field| headers.contains_key(*field)) {
        return Err(unauthorized("requests through a proxy need a token"));
    }
    let target = target_authority(request.uri(), headers)?;
    match target.is_none_or(|target| names_this_machine(target.host())) {
        true => Ok(()),
        false => Err(unauthorized(
            "requests without a token must be sent to `localhost` or to an IP address",
        )),
    }
}

/// The host that the request is for (RFC 9110, section 7.2).
fn target_authority(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, ProblemResponse> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let unclear = |_| unauthorized("the header field `Host` is malformed");
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => return Ok(None),
        (Some(host), None) => host,
        (Some(_), Some(_)) => return Err(unauthorized("the header field `Host` occurs twice")),
    };
    host.as_bytes().try_into().map(Some).map_err(unclear)
}

fn names_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
