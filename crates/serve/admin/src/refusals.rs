//! Which problems the operations can have, as the OpenAPI document tells them.

use std::collections::BTreeMap;

use quorate_api::{PROBLEM_CONTENT_TYPE, ProblemType};
use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder},
};

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
    /// Of pages of what is always known.
    ListProblems: BadRequest;
    /// Of changes.
    ChangesProblems: BadRequest, ChangesLost;
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
    /// Of a zone.
    ZoneProblems: BadRequest, UnknownZone;
    /// Of a change of a zone.
    ZoneChangeProblems: BadRequest, TooLong, MediaType, UnknownZone, RefusedZone, UnsupportedLevel,
        NoLeader, Unavailable;
    /// Of a deletion.
    DeletionProblems: BadRequest, UnsupportedLevel, RefusedPolicy, NoLeader, Unavailable;
    /// Of a change of who may publish.
    PolicyChangeProblems: BadRequest, TooLong, MediaType, UnsupportedLevel, RefusedPolicy, NoLeader,
        Unavailable;
    /// Of a new token for publishing.
    NewTokenProblems: BadRequest, TooLong, MediaType, TokenExists, UnsupportedLevel, RefusedPolicy,
        NoLeader, Unavailable;
    /// Of the end of such a token.
    TokenProblems: BadRequest, UnknownToken, UnsupportedLevel, NoLeader, Unavailable;
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
