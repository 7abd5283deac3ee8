//! Join tokens.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use quorate_state::{ClusterId, InviteId};
use serde::{Deserialize, Serialize};

use crate::NodeId;

/// The prefix of a token: its kind and version.
const PREFIX: &str = "quorate-join-1.";

/// The maximum length, in characters: a token with the most members and the longest addresses has 6.5
/// thousand.
const LEN_MAX: usize = 16 * 1024;

/// The most members in a token. Any of them can register a node, and the token must be short enough to
/// paste.
const MEMBER_COUNT_MAX: usize = 16;

/// Everything that an unknown node needs to join a cluster. It is secret: until it expires, any node with it
/// can join, up to the uses of its invite.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    pub cluster: ClusterId,
    /// Its invite.
    pub invite: InviteId,
    /// The secret of its key pair (RFC 8032, section 5.1.5).
    pub seed: [u8; 32],
    /// Members and their addresses.
    pub members: Vec<(NodeId, String)>,
}

impl JoinToken {
    /// A token of the invite with this secret and as many of the first `members` as allowed.
    pub fn new(
        cluster: ClusterId,
        invite: InviteId,
        seed: [u8; 32],
        members: impl IntoIterator<Item = (NodeId, String)>,
    ) -> Self {
        Self {
            cluster,
            invite,
            seed,
            members: members.into_iter().take(MEMBER_COUNT_MAX).collect(),
        }
    }

    /// The public key of this secret, which the cluster stores.
    pub fn public_key_of(seed: &[u8; 32]) -> [u8; 32] {
        SigningKey::from_bytes(seed).verifying_key().to_bytes()
    }
}

/// The complete token, including the secret.
impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = postcard::to_stdvec(self).expect("plain structs always serialise into memory");
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("cluster", &self.cluster)
            .field("invite", &self.invite)
            .finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let encoded = text.trim().strip_prefix(PREFIX);
        let encoded = encoded.ok_or(JoinTokenError::Prefix)?;
        if encoded.len() > LEN_MAX {
            return Err(JoinTokenError::Damaged);
        }
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes());
        let bytes = bytes.map_err(|_| JoinTokenError::Damaged)?;
        match postcard::take_from_bytes(&bytes) {
            Ok((token, [])) => Ok(token),
            _ => Err(JoinTokenError::Damaged),
        }
    }
}

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// It has another prefix.
    #[error("a token starts with {PREFIX}: use the one that `quorate member add` printed")]
    Prefix,
    /// The rest cannot be decoded.
    #[error("the token is damaged: copy all of what `quorate member add` printed")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;
    use quorate_state::ADDRESS_SIZE_MAX;

    use super::*;

    fn token() -> JoinToken {
        let member = NodeId(PublicKey::from_bytes([4; 32]));
        JoinToken {
            cluster: ClusterId([1; 32]),
            invite: InviteId([2; 16]),
            seed: [3; 32],
            members: vec![(member, "node1.example.org:7700".to_owned())],
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_printed() {
        let text = token().to_string();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
    }

    #[test]
    fn half_a_token_is_none() {
        let text = token().to_string();
        for len in PREFIX.len()..text.len() {
            assert_eq!(
                text[..len].parse::<JoinToken>(),
                Err(JoinTokenError::Damaged)
            );
        }
        for other in ["", "quorate-join-2.AAAA", "36hua9cfga3q"] {
            assert_eq!(other.parse::<JoinToken>(), Err(JoinTokenError::Prefix));
        }
    }

    #[test]
    fn a_token_of_a_large_cluster_is_read_too() {
        let member = NodeId(PublicKey::from_bytes([4; 32]));
        let members = (0..1000).map(|_| (member, "a".repeat(ADDRESS_SIZE_MAX)));
        let token = JoinToken::new(token().cluster, token().invite, token().seed, members);
        let text = token.to_string();
        assert!(text.len() < LEN_MAX / 2, "{} characters", text.len());
        assert_eq!(token.members.len(), MEMBER_COUNT_MAX);
        assert_eq!(text.parse(), Ok(token));
    }

    #[test]
    fn no_text_makes_parsing_panic() {
        // A small generator with a fixed seed: the same texts in each run.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let whole = postcard::to_stdvec(&token()).unwrap();
        for round in 0..20_000 {
            let bytes: Vec<u8> = match round % 2 {
                0 => (0..byte()).map(|_| byte()).collect(),
                _ => {
                    let mut changed = whole.clone();
                    let place = usize::from(byte()) % changed.len();
                    changed[place] = byte();
                    changed
                }
            };
            let _ = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)).parse::<JoinToken>();
            let _ = String::from_utf8_lossy(&bytes).parse::<JoinToken>();
        }
        let endless = format!("{PREFIX}{}", "A".repeat(LEN_MAX + 1));
        assert_eq!(endless.parse::<JoinToken>(), Err(JoinTokenError::Damaged));
    }

    #[test]
    fn its_secret_is_not_shown_by_accident() {
        assert!(!format!("{:?}", token()).contains("3, 3"));
    }
}
