//! The cluster key, which seals the replicated secrets.

use quorate_state::SecretKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// The cluster key. POST replaces it.
    pub const CLUSTER_KEY: &str = "/v1/cluster-key";
}

/// Asks to replace the cluster key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RotateKeyRequest {
    /// Whether secrets that no node can open any more are dropped.
    pub discard_lost: bool,
}

/// A new cluster key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotatedKey {
    /// Its id, which does not reveal it.
    pub key: String,
    /// The secrets that the leader cannot open: no node that answers has their key.
    #[schema(value_type = Vec<String>)]
    pub lost: Vec<SecretKind>,
    /// Whether these were dropped.
    pub discarded: bool,
}
