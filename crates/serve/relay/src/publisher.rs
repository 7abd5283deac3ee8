//! Who may publish, as far as it is judged before a packet is proposed.

use axum::http::{HeaderMap, header};
use quorate_packet::PublicKey;
use quorate_replica::{PublishState, TokenHash};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The scheme of `Authorization` that is asked for (RFC 6750).
const BEARER: &str = "bearer";

/// Why a client may not publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublisherError {
    /// The key may not, whoever asks.
    #[error("this key may not publish here, as the operators of this cluster have set")]
    Forbidden,
    /// There is no token.
    #[error(
        "who publishes here needs a token of the operators: send it as `Authorization: Bearer`"
    )]
    NoToken,
    /// The token is none of the operators'.
    #[error("the token is none that may publish here: ask the operators for another one")]
    WrongToken,
}

/// Whether who makes this request may publish packets of `key`, as far as this node knows. The log
/// judges once more: all this may have changed.
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

/// The hash of the token that comes with the request, if one does: the log judges by it where a token
/// is needed.
pub(crate) fn token_hash(headers: &HeaderMap) -> Option<TokenHash> {
    let credentials = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = credentials.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case(BEARER);
    is_bearer.then(|| TokenHash(Sha256::digest(token.trim_matches(' ')).into()))
}

/// Every token is compared, and each to its end: how long it takes tells nothing.
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

    fn judged(
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
    fn lists_hold_in_whatever_mode() {
        for mode in [
            PublishMode::Open,
            PublishMode::AllowList,
            PublishMode::Tokens,
        ] {
            let mut publishing = state(mode);
            publishing.allowed.insert(KEY);
            assert_eq!(judged(&publishing, None), Ok(()), "{mode:?}");
            publishing.denied.insert(KEY);
            for token in [None, Some("Bearer one")] {
                let denied = judged(&publishing, token);
                assert_eq!(denied, Err(PublisherError::Forbidden), "{mode:?}");
            }
        }
        assert_eq!(judged(&state(PublishMode::Open), None), Ok(()));
        let listed = judged(&state(PublishMode::AllowList), Some("Bearer one"));
        assert_eq!(listed, Err(PublisherError::Forbidden));
    }

    #[test]
    fn only_a_token_that_is_known_lets_others_publish() {
        let publishing = state(PublishMode::Tokens);
        for good in ["Bearer one", "bearer two", "BEARER  two "] {
            assert_eq!(judged(&publishing, Some(good)), Ok(()), "{good}");
        }
        for none in [
            None,
            Some("one"),
            Some("Basic one"),
            Some("Bearer"),
            Some(""),
        ] {
            let refused = judged(&publishing, none);
            assert_eq!(refused, Err(PublisherError::NoToken), "{none:?}");
        }
        for wrong in ["Bearer ", "Bearer three", "Bearer One", "Bearer one two"] {
            let refused = judged(&publishing, Some(wrong));
            assert_eq!(refused, Err(PublisherError::WrongToken), "{wrong}");
        }
    }
}
