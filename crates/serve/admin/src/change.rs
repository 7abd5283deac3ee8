//! Requests that change something: they are authorized and written to the audit log.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use quorate_api::{ProblemType, path};
use quorate_http::{ProblemResponse, read_body};
use tracing::Instrument;

use crate::{
    Scope,
    audit::{AuditLine, CHANGE},
    authorize::{self, Authorizer, CallerName},
    input::RequestBody,
    shared::Shared,
};

/// The longest body of most requests, in bytes: enough for a log filter with a hundred targets. The
/// audit log has so much of the longer ones.
const BODY_SIZE_MAX: usize = 4096;

impl Authorizer {
    /// Requires `scope` for these routes. If it is `operate`, each request is a line in the audit
    /// log with the beginning of its body. `size_max` is the largest body, in bytes, if not the
    /// default.
    pub(crate) fn route(
        &self,
        scope: &str,
        size_max: Option<usize>,
        routes: MethodRouter<Arc<Shared>>,
    ) -> MethodRouter<Arc<Shared>> {
        let scope = scope.parse();
        match scope.expect("operations declare valid scopes") {
            Scope::Operate => {
                let size_max = size_max.unwrap_or(BODY_SIZE_MAX);
                routes.route_layer(from_fn_with_state((self.clone(), size_max), with_audit))
            }
            scope => {
                routes.route_layer(from_fn_with_state((self.clone(), scope), authorize::admit))
            }
        }
    }
}

/// Requires the scope `operate`, and writes a line to the audit log in any case.
async fn with_audit(
    State((authorizer, size_max)): State<(Authorizer, usize)>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut line = AuditLine::new(&authorizer.audit, CHANGE, &request);
    if let Err(problem) = admit(&authorizer, size_max, &mut request, &mut line).await {
        let response = problem.into_response();
        line.write(&response);
        return response;
    }
    let change = async move {
        let response = next.run(request).await;
        line.write(&response);
        response
    };
    // Spawned, so that a client that disconnects interrupts neither the change nor its log line.
    match tokio::spawn(change.in_current_span()).await {
        Ok(response) => response,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Authorizes a change, and then reads its body. The bodies of unauthorized requests are not read.
async fn admit(
    authorizer: &Authorizer,
    size_max: usize,
    request: &mut Request,
    line: &mut AuditLine,
) -> Result<(), ProblemResponse> {
    let caller = authorizer.caller(request, Scope::Operate)?;
    line.by = caller.name.clone();
    caller.check(Scope::Operate)?;
    check_media_type(request.method(), request.headers())?;
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let body = read_body(body, size_max).await?;
    let shown_max = match request.uri().path() {
        // Packets say nothing to people, and an import has thousands of requests.
        path::IMPORT_PACKETS => 0,
        _ => BODY_SIZE_MAX,
    };
    let shown = &body[..body.len().min(shown_max)];
    line.request = String::from_utf8_lossy(shown).into_owned();
    request.extensions_mut().insert(RequestBody(body));
    request.extensions_mut().insert(CallerName(caller.name));
    Ok(())
}

/// Rejects what a web page could make a browser send to another site without a preflight. Those
/// requests can neither be JSON nor DELETE (Fetch standard, section 2.2.2).
fn check_media_type(method: &Method, headers: &HeaderMap) -> Result<(), ProblemResponse> {
    let value = headers.get(header::CONTENT_TYPE);
    let media_type = value.and_then(|value| value.to_str().ok()?.split(';').next());
    let is_json =
        media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json"));
    match is_json || method == Method::DELETE {
        true => Ok(()),
        false => Err(ProblemResponse::new(
            ProblemType::MediaType,
            "the request needs `Content-Type: application/json`, even without a body",
        )),
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
