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

/// What applies to all operations.
const INTRODUCTION: &str = "\
Any node answers for the complete cluster. A field that is missing in a request has its default. A
request with an unknown field is rejected. Answers may get more fields within this version.

Every error is a problem document (RFC 9457). Requests that change something need
`Content-Type: application/json`, with or without a body; DELETE does not.

Requests on the Unix socket of the node need no token. All others need one with a scope: `operate`
permits everything, `read` all requests that change nothing, and `metrics` only `/metrics`, which
programs on the node's own machine may read without a token unless the node is configured otherwise.
";

/// The base of the document, with the path of the document itself.
#[derive(OpenApi)]
#[openapi(
    info(title = "Quorate admin API", version = "1", description = INTRODUCTION),
    tags(
        (name = "node", description = "The node that receives the request"),
        (name = "members", description = "The members of the cluster"),
        (name = "packets", description = "The packets of the node that receives the request"),
        (name = "policy", description = "Who may publish in the cluster, and what was deleted"),
        (name = "zones", description = "Records that the cluster serves in addition to packets"),
    ),
    paths(document),
    components(schemas(ChangeReport, Problem)),
)]
struct Document;

/// The document of all operations, merged from those of each group.
pub(crate) fn full_document(
    operation_groups: impl IntoIterator<Item = openapi::OpenApi>,
) -> openapi::OpenApi {
    let mut full_document = Document::openapi();
    for operations in operation_groups {
        full_document.merge(operations);
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token from `quorate admin-token new`."))
        .build();
    let components = full_document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    full_document
}

/// This document
#[utoipa::path(
    get,
    path = path::OPENAPI,
    tag = "node",
    security((), ("token" = ["read"])),
    responses((status = 200, description = "The document", body = Object, content_type = "application/json")),
)]
pub(crate) async fn document(State(shared): State<Arc<Shared>>) -> Response {
    let content_type = (header::CONTENT_TYPE, "application/json");
    ([content_type], shared.document.clone()).into_response()
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
