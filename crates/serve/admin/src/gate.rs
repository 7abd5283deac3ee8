//! Who may ask what.

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
    audit::{AuditLine, REFUSED_READ, peer},
    token::LOOPBACK,
};

/// Fields by which a proxy tells that it asks for somebody else.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Stands before the routes, and asks for tokens.
#[derive(Clone)]
pub(crate) struct Gate {
    tokens: Arc<Tokens>,
    loopback_needs_token: bool,
}

/// Whoever asks.
pub(crate) struct Caller {
    /// The token's name, or [`LOOPBACK`].
    pub(crate) name: String,
    scope: Scope,
}

/// The name of whoever was let in: an extension of the request.
#[derive(Clone)]
pub(crate) struct By(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        let by = parts.extensions.get::<Self>().cloned();
        Ok(by.expect("the gate stands before all routes that ask who it is"))
    }
}

impl Gate {
    pub(crate) fn new(tokens: Arc<Tokens>, config: &AdminConfig) -> Self {
        Self {
            tokens,
            loopback_needs_token: config.loopback_needs_token,
        }
    }

    /// Who sent this request.
    pub(crate) fn caller(&self, request: &Request) -> Result<Caller, ProblemResponse> {
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer_token);
            let known = token.and_then(|token| self.tokens.find(token));
            let known = known.ok_or_else(|| unauthorized("the token is not known here"))?;
            return Ok(Caller {
                name: known.name.to_string(),
                scope: known.scope,
            });
        }
        if self.loopback_needs_token {
            return Err(unauthorized("a token is needed"));
        }
        if !peer(request).is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
            return Err(unauthorized("from another machine, a token is needed"));
        }
        check_direct(request)?;
        Ok(Caller {
            name: LOOPBACK.to_owned(),
            scope: Scope::Operate,
        })
    }
}

impl Caller {
    /// Refuses what its token is not good for.
    pub(crate) fn check(&self, needed: Scope) -> Result<(), ProblemResponse> {
        match self.scope >= needed {
            true => Ok(()),
            false => {
                let (name, scope) = (&self.name, self.scope);
                let said =
                    format!("the token {name} has the scope {scope}, and this needs {needed}");
                Err(ProblemResponse::new(ProblemType::Scope, said))
            }
        }
    }
}

/// Lets those in whose token has a scope that changes nothing.
pub(crate) async fn admit(
    State((gate, scope)): State<(Gate, Scope)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ProblemResponse> {
    let caller = gate.caller(&request)?;
    if let Err(problem) = caller.check(scope) {
        // Somebody has a token and tries what else it opens.
        let response = problem.into_response();
        let mut line = AuditLine::new(REFUSED_READ, &request);
        line.by = caller.name;
        line.write(&response);
        return Ok(response);
    }
    request.extensions_mut().insert(By(caller.name));
    Ok(next.run(request).await)
}

fn unauthorized(said: &str) -> ProblemResponse {
    let said = format!("{said}: send `Authorization: Bearer TOKEN`");
    ProblemResponse::new(ProblemType::NotAuthorized, said)
}

/// The token of an `Authorization` field (RFC 6750, section 2.1).
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

/// Refuses what comes from this machine but was sent by somebody else: by a proxy, or by a web page
/// that had its own name resolved to this machine (DNS rebinding), whose browser takes the node for
/// the page's own server. Programs of an operator ask for `localhost` or for an address.
fn check_direct(request: &Request) -> Result<(), ProblemResponse> {
    let headers = request.headers();
    if FORWARDED.iter().any(|field| headers.contains_key(*field)) {
        return Err(unauthorized("through a proxy, a token is needed"));
    }
    let asked = asked_authority(request.uri(), headers)?;
    match asked.is_none_or(|asked| names_this_machine(asked.host())) {
        true => Ok(()),
        false => Err(unauthorized(
            "without a token, ask for localhost or an address, and for no other name",
        )),
    }
}

/// Whom the request is for (RFC 9110, section 7.2).
fn asked_authority(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, ProblemResponse> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let unclear = |_| unauthorized("the field `Host` is malformed");
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => return Ok(None),
        (Some(host), None) => host,
        (Some(_), Some(_)) => return Err(unauthorized("the field `Host` is there twice")),
    };
    host.as_bytes().try_into().map(Some).map_err(unclear)
}

fn names_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
