//! Requests that change something: let in, and written down.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use quorate_api::ProblemType;
use quorate_http::{ProblemResponse, read_body};
use tracing::Instrument;

use crate::{
    Scope,
    audit::{AuditLine, CHANGE},
    gate::{self, By, Gate},
    input::Received,
    shared::Shared,
};

/// The longest body of most requests, in bytes: a filter of the log with a hundred targets fits. Of longer
/// ones, so much is in the audit log.
const BODY_SIZE_MAX: usize = 4096;

impl Gate {
    /// `routes` for those whose token has this scope. Each request of those who may operate is a line in the
    /// audit log, which has the beginning of its body, of up to `size_max` bytes if that is given.
    pub(crate) fn route(
        &self,
        scope: &str,
        size_max: Option<usize>,
        routes: MethodRouter<Arc<Shared>>,
    ) -> MethodRouter<Arc<Shared>> {
        let scope = scope.parse();
        match scope.expect("operations declare scopes that there are") {
            Scope::Operate => {
                let size_max = size_max.unwrap_or(BODY_SIZE_MAX);
                routes.route_layer(from_fn_with_state((self.clone(), size_max), audited))
            }
            scope => routes.route_layer(from_fn_with_state((self.clone(), scope), gate::admit)),
        }
    }
}

/// Lets those in who may operate, and writes a line of the audit log for whoever asks.
async fn audited(
    State((gate, size_max)): State<(Gate, usize)>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut line = AuditLine::new(CHANGE, &request);
    if let Err(problem) = admit(&gate, size_max, &mut request, &mut line).await {
        let response = problem.into_response();
        line.write(&response);
        return response;
    }
    let change = async move {
        let response = next.run(request).await;
        line.write(&response);
        response
    };
    // A client that leaves before its answer interrupts no change, and leaves its line in the log.
    match tokio::spawn(change.in_current_span()).await {
        Ok(response) => response,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Nothing of the body is read of one who may not ask.
async fn admit(
    gate: &Gate,
    size_max: usize,
    request: &mut Request,
    line: &mut AuditLine,
) -> Result<(), ProblemResponse> {
    let caller = gate.caller(request)?;
    line.by = caller.name.clone();
    caller.check(Scope::Operate)?;
    check_media_type(request.method(), request.headers())?;
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let body = read_body(body, size_max).await?;
    let shown = &body[..body.len().min(BODY_SIZE_MAX)];
    line.request = String::from_utf8_lossy(shown).into_owned();
    request.extensions_mut().insert(Received(body));
    request.extensions_mut().insert(By(caller.name));
    Ok(())
}

/// A web page can make a browser send a request to another site without asking that site first, but
/// neither one of JSON nor DELETE (Fetch standard, section 2.2.2).
fn check_media_type(method: &Method, headers: &HeaderMap) -> Result<(), ProblemResponse> {
    let value = headers.get(header::CONTENT_TYPE);
    let media_type = value.and_then(|value| value.to_str().ok()?.split(';').next());
    let is_json =
        media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json"));
    match is_json || method == Method::DELETE {
        true => Ok(()),
        false => Err(ProblemResponse::new(
            ProblemType::MediaType,
            "send `Content-Type: application/json`, even without a body",
        )),
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
