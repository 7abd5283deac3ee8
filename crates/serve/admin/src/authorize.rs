//! Checks the tokens of requests and their scopes.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{header, request::Parts, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use quorate_api::ProblemType;
use quorate_http::ProblemResponse;

use crate::{
    AdminConfig, Scope, Tokens,
    audit::{AuditLine, AuditLog, REJECTED_READ, peer},
    token::{LOOPBACK, SOCKET},
};

/// Header fields that show that a proxy sent the request for somebody else, besides
/// `X-Forwarded-*`.
const FORWARDED: [&str; 3] = ["forwarded", "x-real-ip", "via"];

/// The beginning of the names of further such fields.
const X_FORWARDED: &str = "x-forwarded-";

/// How requests arrive, which decides what they may do without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// An address of `admin.listen`. A proxy on this machine sends the requests of strangers from
    /// the same address as a program of the operator does, and need not say so.
    Tcp,
    /// The Unix socket, which only programs with the permissions for its file can open.
    Socket,
}

/// Authorizes requests before they reach the routes.
#[derive(Clone)]
pub(crate) struct Authorizer {
    tokens: Arc<Tokens>,
    entrance: Entrance,
    loopback_needs_token: bool,
    pub(crate) audit: AuditLog,
}

/// The sender of a request.
pub(crate) struct Caller {
    /// The token's name, [`SOCKET`] or [`LOOPBACK`].
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
    pub(crate) fn new(
        tokens: Arc<Tokens>,
        config: &AdminConfig,
        entrance: Entrance,
        audit: AuditLog,
    ) -> Self {
        Self {
            tokens,
            entrance,
            loopback_needs_token: config.loopback_needs_token,
            audit,
        }
    }

    /// Identifies the sender of a request that needs the scope `needed`. Fails if it needs a token
    /// and has none that is known, or if a web page made a program send it to the socket.
    pub(crate) fn caller(
        &self,
        request: &Request,
        needed: Scope,
    ) -> Result<Caller, ProblemResponse> {
        if self.entrance == Entrance::Socket {
            check_not_foreign(request)?;
        }
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer_token);
            let known = token.and_then(|token| self.tokens.find(token));
            let known = known.ok_or_else(|| unauthorized("the token is not known to this node"))?;
            return Ok(Caller {
                name: known.name.to_string(),
                scope: known.scope,
            });
        }
        let (name, scope) = match self.entrance {
            Entrance::Socket => (SOCKET, Scope::Operate),
            Entrance::Tcp
                if needed == Scope::Metrics && !self.loopback_needs_token && is_direct(request) =>
            {
                (LOOPBACK, Scope::Metrics)
            }
            Entrance::Tcp => return Err(unauthorized("a token is needed")),
        };
        let name = name.to_owned();
        Ok(Caller { name, scope })
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
    let caller = authorizer.caller(&request, scope)?;
    if let Err(problem) = caller.check(scope) {
        // Logged, because somebody with a valid token tries what else it permits.
        let response = problem.into_response();
        let mut line = AuditLine::new(&authorizer.audit, REJECTED_READ, &request);
        line.by = caller.name;
        line.write(&response);
        return Ok(response);
    }
    request.extensions_mut().insert(CallerName(caller.name));
    Ok(next.run(request).await)
}

fn unauthorized(detail: &str) -> ProblemResponse {
    let detail = format!(
        "{detail}: send `Authorization: Bearer TOKEN`, or use the socket of admin.socket on the \
         node's machine"
    );
    ProblemResponse::new(ProblemType::NotAuthorized, detail)
}

/// The token of an `Authorization` field (RFC 6750, section 2.1).
fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

/// Rejects requests on the socket that a web page caused: a proxy or an editor may forward the
/// requests of a browser to a socket.
fn check_not_foreign(request: &Request) -> Result<(), ProblemResponse> {
    let detail = match request.headers().get(header::ORIGIN) {
        Some(origin) => format!("the header field `Origin` is {origin:?}"),
        None => match hosts(request).find(|host| !host.is_empty() && !names_this_machine(host)) {
            Some(host) => format!("the request is for the host {host:?}"),
            None => return Ok(()),
        },
    };
    let detail = format!(
        "{detail}: the socket answers only requests for `localhost`, and none of web pages"
    );
    Err(ProblemResponse::new(ProblemType::Foreign, detail))
}

/// Whether a program on this machine seems to have sent the request to this machine itself. A proxy
/// need not add any of the fields, so this permits no more than metrics. And a web page whose name
/// resolves to this machine (DNS rebinding) has its own name in `Host`.
fn is_direct(request: &Request) -> bool {
    let is_forwarded = |name: &str| FORWARDED.contains(&name) || name.starts_with(X_FORWARDED);
    let mut hosts = hosts(request).peekable();
    peer(request).is_some_and(|peer| peer.ip().to_canonical().is_loopback())
        && !(request.headers().keys()).any(|field| is_forwarded(field.as_str()))
        && hosts.peek().is_some()
        && hosts.all(|host| names_this_machine(&host))
}

/// Every host that the request names, with its port: in its target and in each `Host` (RFC 9110,
/// section 7.2).
fn hosts(request: &Request) -> impl Iterator<Item = String> {
    let target = request.uri().authority().map(Authority::as_str);
    let fields = request.headers().get_all(header::HOST).iter();
    let fields = fields.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    target.map(str::to_owned).into_iter().chain(fields)
}

/// Whether `host` is `localhost` or an address of loopback, with any port.
fn names_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    // A name before the host, as in `user@host`, is in no request of an honest client.
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
