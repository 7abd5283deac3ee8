//! The members of the cluster, and changes of them.

use axum::{Extension, Json, http::StatusCode, response::Response};
use quorate_api::{
    ChangeMember, ChangeReport, ChangeRequest, ChangeState, CreatedInvite, INVITE_USES_MAX,
    INVITE_VALID_SECS_MAX, INVITE_VALID_SECS_MIN, InviteRequest, ListMembers, MemberChange,
    Members, MoveRequest, RaiseLevelRequest, RaisedLevel, RemoveRequest, ReplaceRequest,
    TransferRequest, TransferResult,
};
use quorate_http::{ProblemResponse, uncached};
use utoipa::IntoResponses;

use crate::{
    audit::AuditSubject,
    authorize::CallerName,
    input::{EmptyBody, JsonBody, PathParam, QueryParams, check_range},
    operations::operations,
    shared::Shared,
};

/// The answers to an accepted change, for the OpenAPI document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only the OpenAPI document uses it")]
enum ChangeAnswers {
    /// The change is done
    #[response(status = 200)]
    Done(ChangeReport),
    /// A node has to catch up first: send the request again
    #[response(status = 202)]
    CatchingUp(ChangeReport),
}

operations! {
    "members";

    /// All members and joining nodes, as the leader sees them
    ///
    /// If no leader is known, as this node sees them.
    "read" get MEMBERS sends ListMembers {
        responses((status = 200, description = "The members", body = Members)),
    }
    async fn members(shared, caller: CallerName) {
        Ok(uncached(Json(shared.submit(&caller, ListMembers {}).await?)))
    }

    /// Creates a token with which nodes can join
    "operate" post INVITES sends InviteRequest {
        request_body = InviteRequest,
        responses((status = 201, description = "The token", body = CreatedInvite)),
    }
    async fn invite(shared, caller: CallerName, JsonBody(request): JsonBody<InviteRequest>) {
        let valid = INVITE_VALID_SECS_MIN..=INVITE_VALID_SECS_MAX;
        check_range("valid_secs", request.valid_secs, valid)?;
        check_range("uses", request.uses, 1..=INVITE_USES_MAX)?;
        let answer = shared.submit(&caller, request).await?;
        let subject = Extension(AuditSubject(answer.invite.clone()));
        Ok(uncached((StatusCode::CREATED, subject, Json(answer))))
    }

    /// Makes a learner a voter
    ///
    /// Once it has caught up. Until then the answer is 202, and the same request sent again
    /// continues the change.
    "operate" post PROMOTE sends ChangeMember {
        request_body = ChangeRequest,
        responses(ChangeAnswers),
    }
    async fn promote(shared, caller: CallerName, PathParam(node): PathParam, JsonBody(request): JsonBody<ChangeRequest>) {
        change(&shared, &caller, node, MemberChange::Promote(request)).await
    }

    /// Makes a voter a learner permanently
    "operate" post DEMOTE sends ChangeMember {
        request_body = ChangeRequest,
        responses(ChangeAnswers),
    }
    async fn demote(shared, caller: CallerName, PathParam(node): PathParam, JsonBody(request): JsonBody<ChangeRequest>) {
        change(&shared, &caller, node, MemberChange::Demote(request)).await
    }

    /// Removes a member
    ///
    /// It is disconnected immediately, and the cluster key is replaced.
    "operate" delete MEMBER sends ChangeMember {
        params(
            ("force" = Option<bool>, Query, description = "Whether to do it even if fewer than a majority of the voters would be live"),
            ("compromised" = Option<bool>, Query, description = "Whether others may know what is on its machine: then the certificate, its key and the account key are replaced"),
        ),
        responses(ChangeAnswers),
    }
    async fn remove(
        shared,
        caller: CallerName,
        PathParam(node): PathParam,
        QueryParams(request): QueryParams<RemoveRequest>,
        JsonBody(EmptyBody {}): JsonBody<EmptyBody>,
    ) {
        change(&shared, &caller, node, MemberChange::Remove(request)).await
    }

    /// Replaces a member by another node
    ///
    /// Once the other has caught up. Until then the answer is 202, and the same request sent again
    /// continues the change.
    "operate" post REPLACE sends ChangeMember {
        request_body = ReplaceRequest,
        responses(ChangeAnswers),
    }
    async fn replace(shared, caller: CallerName, PathParam(node): PathParam, JsonBody(request): JsonBody<ReplaceRequest>) {
        change(&shared, &caller, node, MemberChange::Replace(request)).await
    }

    /// Gives a member another address
    "operate" post MOVE sends ChangeMember {
        operation_id = "move",
        request_body = MoveRequest,
        responses(ChangeAnswers),
    }
    async fn relocate(shared, caller: CallerName, PathParam(node): PathParam, JsonBody(request): JsonBody<MoveRequest>) {
        change(&shared, &caller, node, MemberChange::Move(request)).await
    }

    /// Transfers leadership
    "operate" post TRANSFER sends TransferRequest {
        request_body = TransferRequest,
        responses((status = 200, description = "The new leader", body = TransferResult)),
    }
    async fn transfer_leader(shared, caller: CallerName, JsonBody(request): JsonBody<TransferRequest>) {
        let answer = shared.submit(&caller, request).await?;
        let subject = Extension(AuditSubject(answer.leader.clone()));
        Ok(uncached((subject, Json(answer))))
    }

    /// Raises the feature level to the highest one that all members support, even if members hold
    /// it
    ///
    /// After that, older versions cannot run in the cluster any more.
    "operate" post RAISE_LEVEL sends RaiseLevelRequest {
        request_body = RaiseLevelRequest,
        responses((status = 200, description = "The feature level of the cluster", body = RaisedLevel)),
    }
    async fn raise_level(shared, caller: CallerName, JsonBody(request): JsonBody<RaiseLevelRequest>) {
        let answer = shared.submit(&caller, request).await?;
        let subject = Extension(AuditSubject(answer.level.to_string()));
        Ok(uncached((subject, Json(answer))))
    }
}

async fn change(
    shared: &Shared,
    caller: &CallerName,
    node: String,
    change: MemberChange,
) -> Result<Response, ProblemResponse> {
    let report = shared.submit(caller, change.of(node)).await?;
    let status = match report.state {
        ChangeState::Done => StatusCode::OK,
        ChangeState::CatchingUp => StatusCode::ACCEPTED,
    };
    let subject = Extension(AuditSubject(report.node.clone()));
    Ok(uncached((status, subject, Json(report))))
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
