//! What a node shows to its peers.

use quorate_tls::Identity;
use serde::{Deserialize, Serialize};

/// The name of a cluster: 32 bytes that two clusters do not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterId(pub [u8; 32]);

/// What a node shows to its peers.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Who it is.
    pub identity: Identity,
    /// Where it belongs. Nodes of other clusters are turned away, though their key be admitted.
    pub cluster: ClusterId,
}
