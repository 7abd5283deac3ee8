//! Who the cluster is, and changes of it.

use axum::{Extension, Json, http::StatusCode, response::Response};
use quorate_api::{
    ChangeMember, ChangeReport, ChangeRequest, ChangeState, INVITE_USES_MAX, INVITE_VALID_SECS_MAX,
    INVITE_VALID_SECS_MIN, InviteRequest, Invited, ListMembers, MemberChange, Members, MoveRequest,
    RaiseLevelRequest, RaisedLevel, ReplaceRequest, TransferRequest, Transferred,
};
use quorate_http::{ProblemResponse, uncached};
use utoipa::IntoResponses;

use crate::{
    audit::Subject,
    gate::By,
    input::{Ask, Nothing, Params, Segment, check_range},
    operations::operations,
    shared::Shared,
};

/// What a change that is not refused is answered with, as the OpenAPI document tells it.
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

operations! {
    "members";

    /// All members, and the nodes that are about to be, as the leader sees them
    ///
    /// While no leader is known, as this node sees them.
    "read" get MEMBERS asks ListMembers {
        responses((status = 200, description = "The members", body = Members)),
    }
    async fn members(shared, by: By) {
        Ok(uncached(Json(shared.ask(&by, ListMembers {}).await?)))
    }

    /// Makes a token by which nodes can join
    "operate" post INVITES asks InviteRequest {
        request_body = InviteRequest,
        responses((status = 201, description = "The token", body = Invited)),
    }
    async fn invite(shared, by: By, Ask(request): Ask<InviteRequest>) {
        let valid = INVITE_VALID_SECS_MIN..=INVITE_VALID_SECS_MAX;
        check_range("valid_secs", request.valid_secs, valid)?;
        check_range("uses", request.uses, 1..=INVITE_USES_MAX)?;
        let answer = shared.ask(&by, request).await?;
        let subject = Extension(Subject(answer.invite.clone()));
        Ok(uncached((StatusCode::CREATED, subject, Json(answer))))
    }

    /// Makes a learner a voter
    ///
    /// Once it has caught up: until then the answer is 202, and the same request goes on with it.
    "operate" post PROMOTE asks ChangeMember {
        request_body = ChangeRequest,
        responses(ChangeAnswers),
    }
    async fn promote(shared, by: By, Segment(node): Segment, Ask(request): Ask<ChangeRequest>) {
        change(&shared, &by, node, MemberChange::Promote(request)).await
    }

    /// Makes a voter a learner, which it stays
    "operate" post DEMOTE asks ChangeMember {
        request_body = ChangeRequest,
        responses(ChangeAnswers),
    }
    async fn demote(shared, by: By, Segment(node): Segment, Ask(request): Ask<ChangeRequest>) {
        change(&shared, &by, node, MemberChange::Demote(request)).await
    }

    /// Removes a member
    ///
    /// It is cut off at once.
    "operate" delete MEMBER asks ChangeMember {
        params(("force" = Option<bool>, Query, description = "Whether to do it even if no live quorum is left")),
        responses(ChangeAnswers),
    }
    async fn remove(
        shared,
        by: By,
        Segment(node): Segment,
        Params(request): Params<ChangeRequest>,
        Ask(Nothing {}): Ask<Nothing>,
    ) {
        change(&shared, &by, node, MemberChange::Remove(request)).await
    }

    /// Puts another node in the place of a member, and removes that
    ///
    /// Once the other has caught up: until then the answer is 202, and the same request goes on with it.
    "operate" post REPLACE asks ChangeMember {
        request_body = ReplaceRequest,
        responses(ChangeAnswers),
    }
    async fn replace(shared, by: By, Segment(node): Segment, Ask(request): Ask<ReplaceRequest>) {
        change(&shared, &by, node, MemberChange::Replace(request)).await
    }

    /// Gives a member another address
    "operate" post MOVE asks ChangeMember {
        operation_id = "move",
        request_body = MoveRequest,
        responses(ChangeAnswers),
    }
    async fn relocate(shared, by: By, Segment(node): Segment, Ask(request): Ask<MoveRequest>) {
        change(&shared, &by, node, MemberChange::Move(request)).await
    }

    /// Hands leadership over
    "operate" post TRANSFER asks TransferRequest {
        request_body = TransferRequest,
        responses((status = 200, description = "Who leads now", body = Transferred)),
    }
    async fn transfer_leader(shared, by: By, Ask(request): Ask<TransferRequest>) {
        let answer = shared.ask(&by, request).await?;
        let subject = Extension(Subject(answer.leader.clone()));
        Ok(uncached((subject, Json(answer))))
    }

    /// Raises the feature level to the highest that all members support, whoever holds it
    ///
    /// Then no older version comes back.
    "operate" post RAISE_LEVEL asks RaiseLevelRequest {
        request_body = RaiseLevelRequest,
        responses((status = 200, description = "At which level the cluster is", body = RaisedLevel)),
    }
    async fn raise_level(shared, by: By, Ask(request): Ask<RaiseLevelRequest>) {
        let answer = shared.ask(&by, request).await?;
        let subject = Extension(Subject(answer.level.to_string()));
        Ok(uncached((subject, Json(answer))))
    }
}

async fn change(
    shared: &Shared,
    by: &By,
    node: String,
    change: MemberChange,
) -> Result<Response, ProblemResponse> {
    let report = shared.ask(by, change.of(node)).await?;
    let status = match report.state {
        ChangeState::Done => StatusCode::OK,
        ChangeState::CatchingUp => StatusCode::ACCEPTED,
    };
    let subject = Extension(Subject(report.node.clone()));
    Ok(uncached((status, subject, Json(report))))
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
