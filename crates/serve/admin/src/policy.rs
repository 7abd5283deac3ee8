//! Who may publish, and what was deleted.

use axum::{Json, http::StatusCode, response::Response};
use quorate_api::{
    ChangePublishing, DeletedPacket, DeletionPage, KeyPage, KeysChange, NewPublishToken,
    POLICY_KEY_COUNT_MAX, POLICY_KEYS_SIZE_MAX, Policy, ProblemType, PublishKeysRequest,
    PublishModeRequest, PublishTokenRequest, PublishTokens, parse_publish_token_name,
};
use quorate_http::{ProblemResponse, uncached};
use quorate_packet::PublicKey;
use quorate_replica::PublishChange;

use crate::{
    authorize::CallerName,
    input::{JsonBody, PathParam, QueryParams, parse_key},
    operations::operations,
    page::{self, PageQuery},
    shared::Shared,
    token,
};

/// The prefix of every token for publishing, so that scanners for leaked secrets recognize it.
const TOKEN_PREFIX: &str = "quorate-publish-";

operations! {
    "policy";

    /// Who may publish
    "read" get POLICY {
        responses((status = 200, description = "Who may", body = Policy)),
    }
    async fn policy(shared) {
        Ok(summary(&shared))
    }

    /// Sets which keys may publish, of those that are not denied
    "operate" post POLICY_MODE sends ChangePublishing {
        operation_id = "set_publish_mode",
        request_body = PublishModeRequest,
        responses((status = 200, description = "Who may now", body = Policy)),
    }
    async fn set_mode(shared, caller: CallerName, JsonBody(request): JsonBody<PublishModeRequest>) {
        apply_change(&shared, &caller, PublishChange::SetMode(request.mode)).await
    }

    /// The keys that are allowed, in the order of their bytes
    "read" get ALLOWED {
        params(PageQuery),
        responses((status = 200, description = "A page", body = KeyPage)),
    }
    async fn allowed(shared, QueryParams(query): QueryParams<PageQuery>) {
        let (after, count) = query.parse()?;
        let state = shared.node.replica.publishing();
        Ok(key_page(state.allowed.range(page::after_key(after)), count))
    }

    /// The keys that are denied, in the order of their bytes
    "read" get DENIED {
        params(PageQuery),
        responses((status = 200, description = "A page", body = KeyPage)),
    }
    async fn denied(shared, QueryParams(query): QueryParams<PageQuery>) {
        let (after, count) = query.parse()?;
        let state = shared.node.replica.publishing();
        Ok(key_page(state.denied.range(page::after_key(after)), count))
    }

    /// Changes which keys are allowed or denied
    ///
    /// Either all keys are changed, or none.
    "operate" post POLICY_KEYS up to POLICY_KEYS_SIZE_MAX sends ChangePublishing {
        operation_id = "change_publish_keys",
        request_body = PublishKeysRequest,
        responses((status = 200, description = "Who may now", body = Policy)),
    }
    async fn change_keys(shared, caller: CallerName, JsonBody(request): JsonBody<PublishKeysRequest>) {
        let keys = parse_keys(&request)?;
        let change = match request.change {
            KeysChange::Allow => PublishChange::Allow(keys),
            KeysChange::Disallow => PublishChange::Disallow(keys),
            KeysChange::Deny => PublishChange::Deny(keys),
            KeysChange::Undeny => PublishChange::Undeny(keys),
        };
        apply_change(&shared, &caller, change).await
    }

    /// The tokens for publishing, by name
    "read" get PUBLISH_TOKENS {
        operation_id = "publish_tokens",
        responses((status = 200, description = "Their names", body = PublishTokens)),
    }
    async fn tokens(shared) {
        let state = shared.node.replica.publishing();
        let names = state.tokens.keys().cloned().collect();
        Ok(uncached(Json(PublishTokens { names })))
    }

    /// Creates a token for publishing
    ///
    /// Only this answer has the token. It permits publishing in the mode `tokens`.
    "operate" post PUBLISH_TOKENS sends ChangePublishing or TokenExists {
        operation_id = "add_publish_token",
        request_body = PublishTokenRequest,
        responses((status = 201, description = "The token", body = NewPublishToken)),
    }
    async fn add_token(
        shared,
        caller: CallerName,
        JsonBody(PublishTokenRequest { name }): JsonBody<PublishTokenRequest>,
    ) {
        check_name(&name)?;
        if shared.node.replica.publishing().tokens.contains_key(&name) {
            let detail = format!(
                "a token named `{name}` exists, perhaps from a request whose answer was lost: choose \
                 another name, or remove that token first"
            );
            return Err(ProblemResponse::new(ProblemType::TokenExists, detail));
        }
        let token = token::random(TOKEN_PREFIX).map_err(|error| {
            let detail = format!("the system has no randomness: {error}");
            ProblemResponse::new(ProblemType::Unavailable, detail)
        })?;
        let change = PublishChange::AddToken { name: name.clone(), hash: token::hash_of(&token) };
        shared.submit(&caller, ChangePublishing { change }).await?;
        let answer = Json(NewPublishToken { name, token });
        Ok(uncached((StatusCode::CREATED, answer)))
    }

    /// Revokes a token for publishing
    "operate" delete PUBLISH_TOKEN sends ChangePublishing or UnknownToken {
        operation_id = "remove_publish_token",
        responses((status = 200, description = "Who may publish now", body = Policy)),
    }
    async fn remove_token(shared, caller: CallerName, PathParam(name): PathParam) {
        check_name(&name)?;
        let was_known = shared.node.replica.publishing().tokens.contains_key(&name);
        // Removed in any case, because this node may not know a token yet that another node
        // created.
        let change = PublishChange::RemoveToken(name.clone());
        let answer = apply_change(&shared, &caller, change).await?;
        // An operator who misspells a leaked token must not believe that it is revoked.
        match was_known {
            true => Ok(answer),
            false => {
                let detail = format!("no token is named `{name}`: `quorate policy token list` lists all");
                Err(ProblemResponse::new(ProblemType::UnknownToken, detail))
            }
        }
    }

    /// The packets that were deleted and cannot be stored again, in the order of their keys' bytes
    "read" get DELETIONS {
        params(PageQuery),
        responses((status = 200, description = "A page", body = DeletionPage)),
    }
    async fn deletions(shared, QueryParams(query): QueryParams<PageQuery>) {
        let (after, count) = query.parse()?;
        let state = shared.node.replica.publishing();
        let deleted = state.deleted.range(page::after_key(after));
        let deletions = deleted.map(|(key, deletion)| DeletedPacket {
            key: key.to_string(),
            timestamp_us: deletion.timestamp.as_micros(),
            blocked_until_ms: deletion.blocked_until.map(|until| until.0),
        });
        let (deletions, next) = page::split_page(deletions, count, |deletion| deletion.key.clone());
        Ok(uncached(Json(DeletionPage { deletions, next })))
    }
}

/// Makes the change, and answers with the new policy.
async fn apply_change(
    shared: &Shared,
    caller: &CallerName,
    change: PublishChange,
) -> Result<Response, ProblemResponse> {
    shared.submit(caller, ChangePublishing { change }).await?;
    Ok(summary(shared))
}

fn summary(shared: &Shared) -> Response {
    let state = shared.node.replica.publishing();
    uncached(Json(Policy {
        mode: state.mode,
        allowed_count: state.allowed.len(),
        denied_count: state.denied.len(),
        token_count: state.tokens.len(),
        deletion_count: state.deleted.len(),
    }))
}

fn key_page<'a>(keys: impl Iterator<Item = &'a PublicKey>, count: usize) -> Response {
    let keys = keys.map(ToString::to_string);
    let (keys, next) = page::split_page(keys, count, String::clone);
    uncached(Json(KeyPage { keys, next }))
}

fn parse_keys(request: &PublishKeysRequest) -> Result<Vec<PublicKey>, ProblemResponse> {
    let count = request.keys.len();
    if !(1..=POLICY_KEY_COUNT_MAX).contains(&count) {
        let detail =
            format!("the request has {count} keys, but must have 1 to {POLICY_KEY_COUNT_MAX}");
        return Err(ProblemResponse::new(ProblemType::BadRequest, detail));
    }
    request.keys.iter().map(|key| parse_key(key)).collect()
}

fn check_name(name: &str) -> Result<String, ProblemResponse> {
    parse_publish_token_name(name)
        .map_err(|detail| ProblemResponse::new(ProblemType::BadRequest, detail))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
