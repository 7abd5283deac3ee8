//! Checks whether a client may publish, before its packet is proposed.

use axum::http::{HeaderMap, header};
use quorate_packet::PublicKey;
use quorate_replica::{PublishState, TokenHash};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The scheme of `Authorization` that is accepted (RFC 6750).
const BEARER: &str = "bearer";

/// Why a client may not publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublisherError {
    /// The key may not publish, with or without a token.
    #[error("the operators of this cluster do not allow this key to publish")]
    Forbidden,
    /// There is no token.
    #[error(
        "publishing here needs a token from the operators: send it as `Authorization: Bearer TOKEN`"
    )]
    NoToken,
    /// The token is not known.
    #[error("the token is not known or was removed: ask the operators for a new one")]
    WrongToken,
}

/// Checks whether a client with this token may publish packets of `key`, by the policy that this
/// node knows. The policy is checked again when the log entry is applied, because it may have
/// changed.
pub(crate) fn check(
    publishing: &PublishState,
    key: &PublicKey,
    token: Option<TokenHash>,
) -> Result<(), PublisherError> {
    if publishing.forbids(key) {
        return Err(PublisherError::Forbidden);
    }
    if !publishing.needs_token(key) {
        return Ok(());
    }
    let token = token.ok_or(PublisherError::NoToken)?;
    match has_token(publishing, token) {
        true => Ok(()),
        false => Err(PublisherError::WrongToken),
    }
}

/// The hash of the token in the request, if it has one. Where a token is needed, it is checked
/// again when the log entry is applied.
pub(crate) fn token_hash(headers: &HeaderMap) -> Option<TokenHash> {
    let credentials = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = credentials.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case(BEARER);
    is_bearer.then(|| TokenHash(Sha256::digest(token.trim_matches(' ')).into()))
}

/// Compares all tokens, and each completely, so that the time it takes reveals nothing.
fn has_token(publishing: &PublishState, TokenHash(hash): TokenHash) -> bool {
    let tokens = publishing.tokens.values();
    let found = tokens.fold(Choice::from(0), |found, TokenHash(known)| {
        found | known.ct_eq(&hash)
    });
    found.into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use quorate_replica::PublishMode;

    use super::*;

    const KEY: PublicKey = PublicKey::from_bytes([1; 32]);

    fn check_with(
        publishing: &PublishState,
        authorization: Option<&str>,
    ) -> Result<(), PublisherError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            let value = HeaderValue::from_str(value).unwrap();
            headers.insert(header::AUTHORIZATION, value);
        }
        check(publishing, &KEY, token_hash(&headers))
    }

    fn state(mode: PublishMode) -> PublishState {
        let hash = |token: &str| TokenHash(Sha256::digest(token).into());
        PublishState {
            mode,
            tokens: ["one", "two"].map(|it| (it.to_owned(), hash(it))).into(),
            ..PublishState::default()
        }
    }

    #[test]
    fn lists_of_keys_apply_in_every_mode() {
        for mode in [
            PublishMode::Open,
            PublishMode::AllowList,
            PublishMode::Tokens,
        ] {
            let mut publishing = state(mode);
            publishing.allowed.insert(KEY);
            assert_eq!(check_with(&publishing, None), Ok(()), "{mode:?}");
            publishing.denied.insert(KEY);
            for token in [None, Some("Bearer one")] {
                let denied = check_with(&publishing, token);
                assert_eq!(denied, Err(PublisherError::Forbidden), "{mode:?}");
            }
        }
        assert_eq!(check_with(&state(PublishMode::Open), None), Ok(()));
        let listed = check_with(&state(PublishMode::AllowList), Some("Bearer one"));
        assert_eq!(listed, Err(PublisherError::Forbidden));
    }

    #[test]
    fn in_token_mode_only_a_known_token_may_publish() {
        let publishing = state(PublishMode::Tokens);
        for good in ["Bearer one", "bearer two", "BEARER  two "] {
            assert_eq!(check_with(&publishing, Some(good)), Ok(()), "{good}");
        }
        for none in [
            None,
            Some("one"),
            Some("Basic one"),
            Some("Bearer"),
            Some(""),
        ] {
            let result = check_with(&publishing, none);
            assert_eq!(result, Err(PublisherError::NoToken), "{none:?}");
        }
        for wrong in ["Bearer ", "Bearer three", "Bearer One", "Bearer one two"] {
            let result = check_with(&publishing, Some(wrong));
            assert_eq!(result, Err(PublisherError::WrongToken), "{wrong}");
        }
    }
}
