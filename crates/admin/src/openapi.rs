//! The API as an OpenAPI document.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use quorate_admin_api::{PROBLEM_CONTENT_TYPE, Problem, ProblemType, path};
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, ResponseBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{members, node, packets, router::Shared, runtime};

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

/// All of it.
#[derive(OpenApi)]
#[openapi(
    info(title = "Quorate admin API", version = "1", description = INTRODUCTION),
    tags(
        (name = "node", description = "The node that is asked"),
        (name = "members", description = "Who the cluster is"),
        (name = "packets", description = "What the node that is asked holds"),
    ),
    paths(
        node::metrics,
        node::status,
        node::digest,
        members::members,
        members::invite,
        members::promote,
        members::demote,
        members::remove,
        members::replace,
        members::relocate,
        members::transfer_leader,
        packets::packets,
        packets::packet,
        runtime::reload,
        runtime::log_filter,
        runtime::set_log_filter,
        document,
    ),
    components(schemas(Problem)),
    modifiers(&Tokens),
)]
pub(crate) struct Document;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token that `quorate admin-token new` made."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
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

/// Declares which problems an operation can have, those of its gate included.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($problem_type:ident),+;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
                responses(&[
                    ProblemType::NotAuthorized,
                    ProblemType::Scope,
                    $(ProblemType::$problem_type,)+
                ])
            }
        }
    )*};
}

problems! {
    /// Of what is always known.
    ReadProblems: Scope;
    /// Of what has to be read first.
    DigestProblems: Unavailable;
    /// Of pages.
    PageProblems: BadRequest, Unavailable;
    /// Of a packet.
    PacketProblems: BadRequest, UnknownPacket, Unavailable;
    /// Of what the leader is asked for.
    ClusterProblems: UnsupportedLevel, NoLeader, Unavailable;
    /// Of a request with a body.
    RequestProblems: BadRequest, TooLong, MediaType;
    /// Of a reload.
    ReloadProblems: BadRequest, TooLong, MediaType, RefusedReload;
    /// Of an invite.
    InviteProblems: BadRequest, TooLong, MediaType, InviteCount, UnsupportedLevel, NoLeader,
        Unavailable;
    /// Of a change of the members.
    ChangeProblems: BadRequest, BadAddress, TooLong, MediaType, UnknownNode, AmbiguousNode,
        NoLiveQuorum, Busy, UnsupportedLevel, NotCaughtUp, UnfitNode, LastVoter, NoLeader,
        Unavailable;
}

/// A response for each status, with the types of its problems.
fn responses(problem_types: &[ProblemType]) -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
    let mut described = BTreeMap::<String, Vec<String>>::new();
    for problem_type in problem_types {
        let line = format!("`{problem_type}`: {}", problem_type.title());
        let lines = described.entry(problem_type.status().to_string());
        let lines = lines.or_default();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let described = described.into_iter();
    let response = |(status, lines): (String, Vec<String>)| {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description(lines.join("; "))
            .content(PROBLEM_CONTENT_TYPE, content)
            .build();
        (status, response.into())
    };
    described.map(response).collect()
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
