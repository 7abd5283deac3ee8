//! Node ids.

use std::{fmt, str::FromStr};

use quorate_packet::{KeyError, PublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of a node *is* its public key.
///
/// A wiped disk loses the identity with the data, so a voter that has forgotten its votes cannot
/// vote under its old name (`docs/decisions/0001-node-identity.md`).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub PublicKey);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeId {
    type Err = KeyError;

    fn from_str(s: &str) -> Result<Self, KeyError> {
        s.parse().map(Self)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(|bytes| Self(PublicKey::from_bytes(bytes)))
    }
}

#[cfg(feature = "numbered-ids")]
impl From<u64> for NodeId {
    fn from(number: u64) -> Self {
        Self(crate::numbered_id::numbered(number).1)
    }
}

#[cfg(feature = "numbered-ids")]
impl NodeId {
    /// The secret seed of the node of this number.
    pub fn numbered_seed(number: u64) -> [u8; 32] {
        crate::numbered_id::numbered(number).0
    }
}
