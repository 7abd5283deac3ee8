//! Who the cluster is, and changes of it.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, extract::State, http::StatusCode, response::Response};
use quorate_api as api;
use quorate_api::{
    ChangeReport, ChangeRequest, ChangeState, INVITE_VALID_SECS_MAX, INVITE_VALID_SECS_MIN,
    InviteRequest, Members, MoveRequest, ProblemType, ReplaceRequest, TransferRequest, Transferred,
    path,
};
use quorate_http::uncached;
use quorate_replica::{Change, Changed, Member, MemberRole, MemberState};
use utoipa::{IntoParams, IntoResponses};

use crate::{
    audit::Subject,
    input::{Ask, Nothing, Params, Segment},
    problem::ProblemResponse,
    refusals::{ChangeProblems, ClusterProblems, InviteProblems},
    shared::Shared,
};

/// The node in a path, as the OpenAPI document tells it.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is read by those who read the document")]
struct NodePath {
    /// Key, unique prefix of it, or name
    node: String,
}

/// What a change that is not refused is answered with, likewise.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is read by those who read the document")]
enum ChangeAnswers {
    /// It is done
    #[response(status = 200)]
    Done(ChangeReport),
    /// A node has to catch up first: ask again
    #[response(status = 202)]
    CatchingUp(ChangeReport),
}

/// All members, and the nodes that are about to be, as the leader sees them
///
/// While no leader is known, as this node sees them.
#[utoipa::path(
    get,
    path = path::MEMBERS,
    tag = "members",
    security((), ("token" = ["read"])),
    responses((status = 200, description = "The members", body = Members), ClusterProblems),
)]
pub(crate) async fn members(
    State(shared): State<Arc<Shared>>,
) -> Result<Response, ProblemResponse> {
    let members = shared.node.operator.members().await?;
    Ok(uncached(Json(Members {
        cluster: members.cluster.map(|id| id.to_string()),
        leader: members.leader.map(|leader| leader.to_string()),
        members: members.members.into_iter().map(member).collect(),
    })))
}

/// Makes a token by which one node can join, once
#[utoipa::path(
    post,
    path = path::INVITES,
    tag = "members",
    security((), ("token" = ["operate"])),
    request_body = InviteRequest,
    responses((status = 201, description = "The token", body = api::Invited), InviteProblems),
)]
pub(crate) async fn invite(
    State(shared): State<Arc<Shared>>,
    Ask(request): Ask<InviteRequest>,
) -> Result<Response, ProblemResponse> {
    if !(INVITE_VALID_SECS_MIN..=INVITE_VALID_SECS_MAX).contains(&request.valid_secs) {
        let said = format!(
            "`valid_secs` is {}, and may be from {INVITE_VALID_SECS_MIN} to {INVITE_VALID_SECS_MAX}",
            request.valid_secs
        );
        return Err(ProblemResponse::new(ProblemType::BadRequest, said));
    }
    let valid = Duration::from_secs(request.valid_secs);
    let invited = shared.node.operator.invite(request.learner, valid).await?;
    let answer = api::Invited {
        token: invited.token,
        invite: invited.invite.to_string(),
        expires_ms: invited.expires.0,
    };
    let subject = Extension(Subject(answer.invite.clone()));
    Ok(uncached((StatusCode::CREATED, subject, Json(answer))))
}

/// Makes a learner a voter
///
/// Once it has caught up: until then the answer is 202, and the same request goes on with it.
#[utoipa::path(
    post,
    path = path::PROMOTE,
    tag = "members",
    security((), ("token" = ["operate"])),
    params(NodePath),
    request_body = ChangeRequest,
    responses(ChangeAnswers, ChangeProblems),
)]
pub(crate) async fn promote(
    State(shared): State<Arc<Shared>>,
    Segment(node): Segment,
    Ask(request): Ask<ChangeRequest>,
) -> Result<Response, ProblemResponse> {
    change(&shared, Change::Promote(node), request.force).await
}

/// Makes a voter a learner, which it stays
#[utoipa::path(
    post,
    path = path::DEMOTE,
    tag = "members",
    security((), ("token" = ["operate"])),
    params(NodePath),
    request_body = ChangeRequest,
    responses(ChangeAnswers, ChangeProblems),
)]
pub(crate) async fn demote(
    State(shared): State<Arc<Shared>>,
    Segment(node): Segment,
    Ask(request): Ask<ChangeRequest>,
) -> Result<Response, ProblemResponse> {
    change(&shared, Change::Demote(node), request.force).await
}

/// Removes a member
///
/// It is cut off at once.
#[utoipa::path(
    delete,
    path = path::MEMBER,
    tag = "members",
    security((), ("token" = ["operate"])),
    params(
        NodePath,
        ("force" = Option<bool>, Query, description = "Whether to do it even if no live quorum is left"),
    ),
    responses(ChangeAnswers, ChangeProblems),
)]
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Segment(node): Segment,
    Params(request): Params<ChangeRequest>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Result<Response, ProblemResponse> {
    change(&shared, Change::Remove(node), request.force).await
}

/// Puts another node in the place of a member, and removes that
///
/// Once the other has caught up: until then the answer is 202, and the same request goes on with it.
#[utoipa::path(
    post,
    path = path::REPLACE,
    tag = "members",
    security((), ("token" = ["operate"])),
    params(NodePath),
    request_body = ReplaceRequest,
    responses(ChangeAnswers, ChangeProblems),
)]
pub(crate) async fn replace(
    State(shared): State<Arc<Shared>>,
    Segment(old): Segment,
    Ask(request): Ask<ReplaceRequest>,
) -> Result<Response, ProblemResponse> {
    let new = request.with;
    change(&shared, Change::Replace { old, new }, request.force).await
}

/// Gives a member another address
#[utoipa::path(
    post,
    operation_id = "move",
    path = path::MOVE,
    tag = "members",
    security((), ("token" = ["operate"])),
    params(NodePath),
    request_body = MoveRequest,
    responses(ChangeAnswers, ChangeProblems),
)]
pub(crate) async fn relocate(
    State(shared): State<Arc<Shared>>,
    Segment(node): Segment,
    Ask(MoveRequest { address }): Ask<MoveRequest>,
) -> Result<Response, ProblemResponse> {
    change(&shared, Change::Move { node, address }, false).await
}

/// Hands leadership over
#[utoipa::path(
    post,
    path = path::TRANSFER,
    tag = "members",
    security((), ("token" = ["operate"])),
    request_body = TransferRequest,
    responses((status = 200, description = "Who leads now", body = Transferred), ChangeProblems),
)]
pub(crate) async fn transfer_leader(
    State(shared): State<Arc<Shared>>,
    Ask(TransferRequest { to }): Ask<TransferRequest>,
) -> Result<Response, ProblemResponse> {
    let leader = shared.node.operator.transfer_leader(to).await?.to_string();
    let subject = Extension(Subject(leader.clone()));
    Ok(uncached((subject, Json(Transferred { leader }))))
}

async fn change(shared: &Shared, change: Change, force: bool) -> Result<Response, ProblemResponse> {
    let changed = shared.node.operator.change(change, force).await?;
    Ok(report(changed))
}

fn report(changed: Changed) -> Response {
    let (state, status) = match changed.lag {
        None => (ChangeState::Done, StatusCode::OK),
        Some(_) => (ChangeState::CatchingUp, StatusCode::ACCEPTED),
    };
    let subject = Extension(Subject(changed.node.to_string()));
    let report = ChangeReport {
        state,
        node: changed.node.to_string(),
        lag: changed.lag,
        warnings: changed.warnings,
    };
    uncached((status, subject, Json(report)))
}

fn member(member: Member) -> api::Member {
    api::Member {
        node: member.node.to_string(),
        name: member.name,
        role: match member.role {
            MemberRole::Voter => api::MemberRole::Voter,
            MemberRole::Learner => api::MemberRole::Learner,
        },
        address: member.address,
        state: match member.state {
            MemberState::Leader => api::MemberState::Leader,
            MemberState::Live => api::MemberState::Live,
            MemberState::CatchingUp => api::MemberState::CatchingUp,
            MemberState::Silent => api::MemberState::Silent,
            MemberState::Pending => api::MemberState::Pending,
        },
        lag: member.lag,
        last_heard_ms: member.silent_ms,
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
