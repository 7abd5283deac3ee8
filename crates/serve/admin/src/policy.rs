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
    gate::By,
    input::{Ask, Params, Segment, parse_key},
    operations::operations,
    page::{self, PageQuery},
    shared::Shared,
    token,
};

/// What every token for publishing begins with, so that scanners for leaked secrets know it.
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

    /// Sets who may publish, of those who are not denied
    "operate" post POLICY_MODE asks ChangePublishing {
        operation_id = "set_publish_mode",
        request_body = PublishModeRequest,
        responses((status = 200, description = "Who may now", body = Policy)),
    }
    async fn set_mode(shared, by: By, Ask(request): Ask<PublishModeRequest>) {
        make(&shared, &by, PublishChange::SetMode(request.mode)).await
    }

    /// The keys that are allowed, in the order of their bytes
    "read" get ALLOWED {
        params(PageQuery),
        responses((status = 200, description = "A page", body = KeyPage)),
    }
    async fn allowed(shared, Params(query): Params<PageQuery>) {
        let (after, count) = query.parse()?;
        let state = shared.node.replica.publishing();
        Ok(key_page(state.allowed.range(page::behind(after)), count))
    }

    /// The keys that are denied, in the order of their bytes
    "read" get DENIED {
        params(PageQuery),
        responses((status = 200, description = "A page", body = KeyPage)),
    }
    async fn denied(shared, Params(query): Params<PageQuery>) {
        let (after, count) = query.parse()?;
        let state = shared.node.replica.publishing();
        Ok(key_page(state.denied.range(page::behind(after)), count))
    }

    /// Changes which keys are allowed or denied
    ///
    /// All of them at once, or none.
    "operate" post POLICY_KEYS up to POLICY_KEYS_SIZE_MAX asks ChangePublishing {
        operation_id = "change_publish_keys",
        request_body = PublishKeysRequest,
        responses((status = 200, description = "Who may now", body = Policy)),
    }
    async fn change_keys(shared, by: By, Ask(request): Ask<PublishKeysRequest>) {
        let keys = parse_keys(&request)?;
        let change = match request.change {
            KeysChange::Allow => PublishChange::Allow(keys),
            KeysChange::Disallow => PublishChange::Disallow(keys),
            KeysChange::Deny => PublishChange::Deny(keys),
            KeysChange::Undeny => PublishChange::Undeny(keys),
        };
        make(&shared, &by, change).await
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

    /// Makes a token for publishing
    ///
    /// The answer is the only place where it is told. It opens a relay in the mode `tokens`.
    "operate" post PUBLISH_TOKENS asks ChangePublishing or TokenExists {
        operation_id = "add_publish_token",
        request_body = PublishTokenRequest,
        responses((status = 201, description = "The token", body = NewPublishToken)),
    }
    async fn add_token(
        shared,
        by: By,
        Ask(PublishTokenRequest { name }): Ask<PublishTokenRequest>,
    ) {
        check_name(&name)?;
        if shared.node.replica.publishing().tokens.contains_key(&name) {
            let said = format!(
                "a token is called {name} already, perhaps by a request whose answer got lost: choose \
                 another name, or remove that one first"
            );
            return Err(ProblemResponse::new(ProblemType::TokenExists, said));
        }
        let token = token::random(TOKEN_PREFIX).map_err(|error| {
            let said = format!("the system gives no randomness: {error}");
            ProblemResponse::new(ProblemType::Unavailable, said)
        })?;
        let change = PublishChange::AddToken { name: name.clone(), hash: token::hash_of(&token) };
        shared.ask(&by, ChangePublishing { change }).await?;
        let answer = Json(NewPublishToken { name, token });
        Ok(uncached((StatusCode::CREATED, answer)))
    }

    /// Has a token for publishing be good for nothing any more
    "operate" delete PUBLISH_TOKEN asks ChangePublishing or UnknownToken {
        operation_id = "remove_publish_token",
        responses((status = 200, description = "Who may publish now", body = Policy)),
    }
    async fn remove_token(shared, by: By, Segment(name): Segment) {
        check_name(&name)?;
        let was_known = shared.node.replica.publishing().tokens.contains_key(&name);
        // This node may not know yet of one that another node has made.
        let change = PublishChange::RemoveToken(name.clone());
        let answer = make(&shared, &by, change).await?;
        // Whoever misspells a token that has leaked must not believe that it is gone.
        match was_known {
            true => Ok(answer),
            false => {
                let said = format!("no token is called {name}: `quorate policy token list` names all");
                Err(ProblemResponse::new(ProblemType::UnknownToken, said))
            }
        }
    }

    /// The packets that were deleted and may not come back, in the order of their keys' bytes
    "read" get DELETIONS {
        params(PageQuery),
        responses((status = 200, description = "A page", body = DeletionPage)),
    }
    async fn deletions(shared, Params(query): Params<PageQuery>) {
        let (after, count) = query.parse()?;
        let state = shared.node.replica.publishing();
        let deleted = state.deleted.range(page::behind(after));
        let deletions = deleted.map(|(key, deletion)| DeletedPacket {
            key: key.to_string(),
            timestamp_us: deletion.timestamp.as_micros(),
            blocked_until_ms: deletion.blocked_until.map(|until| until.0),
        });
        let (deletions, next) = page::cut(deletions, count, |deletion| deletion.key.clone());
        Ok(uncached(Json(DeletionPage { deletions, next })))
    }
}

/// Has the cluster make the change, and says who may publish then.
async fn make(
    shared: &Shared,
    by: &By,
    change: PublishChange,
) -> Result<Response, ProblemResponse> {
    shared.ask(by, ChangePublishing { change }).await?;
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
    let (keys, next) = page::cut(keys, count, String::clone);
    uncached(Json(KeyPage { keys, next }))
}

fn parse_keys(request: &PublishKeysRequest) -> Result<Vec<PublicKey>, ProblemResponse> {
    let count = request.keys.len();
    if !(1..=POLICY_KEY_COUNT_MAX).contains(&count) {
        let said =
            format!("these are {count} keys, and may be 1 to {POLICY_KEY_COUNT_MAX} at once");
        return Err(ProblemResponse::new(ProblemType::BadRequest, said));
    }
    request.keys.iter().map(|key| parse_key(key)).collect()
}

fn check_name(name: &str) -> Result<String, ProblemResponse> {
    parse_publish_token_name(name).map_err(|said| {
        let said = format!("{name:?} names no token: {said}");
        ProblemResponse::new(ProblemType::BadRequest, said)
    })
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
