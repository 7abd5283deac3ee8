//! The token that lets one node join, as an operator carries it.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use quorate_state::{ClusterId, InviteId};
use serde::{Deserialize, Serialize};

use crate::NodeId;

/// How a token begins: what it is, and the version of what follows.
const PREFIX: &str = "quorate-join-1.";

/// More than a token ever has, in characters: some dozens of members.
const LEN_MAX: usize = 16 * 1024;

/// What a node needs to join a cluster that has never heard of it. Whoever has it can join once, until
/// it expires: it is a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The cluster.
    pub cluster: ClusterId,
    /// The invite that it is of.
    pub invite: InviteId,
    /// The secret of its key pair (RFC 8032, section 5.1.5).
    pub seed: [u8; 32],
    /// Members, and where they are.
    pub members: Vec<(NodeId, String)>,
}

impl JoinToken {
    /// What the cluster keeps of its key pair.
    pub fn public_key(&self) -> [u8; 32] {
        SigningKey::from_bytes(&self.seed)
            .verifying_key()
            .to_bytes()
    }
}

/// The whole token, secret and all.
impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = postcard::to_stdvec(self).expect("plain structs always serialise into memory");
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }
}

/// Without its secret.
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

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// It begins with something else.
    #[error("a token begins with {PREFIX}: take the one that `quorate member add` printed")]
    Prefix,
    /// What follows is not what a node wrote.
    #[error("the token is damaged: copy all of what `quorate member add` printed")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;

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
    fn its_secret_is_not_shown_by_accident() {
        assert!(!format!("{:?}", token()).contains("3, 3"));
    }
}
