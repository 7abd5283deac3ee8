//! The API as an OpenAPI document.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use quorate_api::{ChangeReport, Problem, path};
use utoipa::{
    OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::shared::Shared;

/// What holds of all operations.
const INTRODUCTION: &str = "\
Any node answers for the whole cluster. A request without a field has the field's default; one with
a field that is not known is refused. Answers may get more fields within this version.

Every refusal is a problem document (RFC 9457). Requests that change something need
`Content-Type: application/json`, with or without a body; DELETE does not.

From the node's own machine no token is needed, unless the node is told otherwise. From elsewhere it
is, with a scope: `operate` is good for everything, `read` for all that changes nothing, `metrics`
for `/metrics`.
";

/// What holds of all operations, and this one.
#[derive(OpenApi)]
#[openapi(
    info(title = "Quorate admin API", version = "1", description = INTRODUCTION),
    tags(
        (name = "node", description = "The node that is asked"),
        (name = "members", description = "Who the cluster is"),
        (name = "packets", description = "What the node that is asked holds"),
        (name = "policy", description = "Who may publish in the cluster, and what was deleted"),
        (name = "zones", description = "Records that the cluster serves beside packets"),
    ),
    paths(document),
    components(schemas(ChangeReport, Problem)),
)]
struct Document;

/// The document of all operations, put together of those of each tag.
pub(crate) fn whole(families: impl IntoIterator<Item = openapi::OpenApi>) -> openapi::OpenApi {
    let mut whole = Document::openapi();
    for operations in families {
        whole.merge(operations);
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token that `quorate admin-token new` made."))
        .build();
    let components = whole.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    whole
}

/// This document
#[utoipa::path(
    get,
    path = path::OPENAPI,
    tag = "node",
    security(()),
    responses((status = 200, description = "The document", body = Object, content_type = "application/json")),
)]
pub(crate) async fn document(State(shared): State<Arc<Shared>>) -> Response {
    let content_type = (header::CONTENT_TYPE, "application/json");
    ([content_type], shared.document.clone()).into_response()
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
