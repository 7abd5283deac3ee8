//! The replicated state other than packets.

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use crate::{
    Capacity, ClusterId, ClusterTime, CommandError, CookieSecret, Invite, Level, NodeRegistry,
    PublishState, Registration, TokenHash, Voucher, Vouchers, ZoneState,
    codec::{Codec, fields},
};

/// The size of the length field, in bytes.
const SIZE_SIZE: usize = 4;

/// The encoding of an empty [`ClusterTime`].
const NO_TIME: [u8; 8 + 8 + 4 + 8 + 1] = [0; _];

/// The replicated state other than packets: equal on all nodes that have applied the same entries. Cheap
/// to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterState {
    /// The feature level in use. A command above it is rejected by all nodes.
    pub level: Level,
    /// The capacity, if set; without one, everything is accepted.
    pub capacity: Option<Capacity>,
    /// The id of the cluster, after its founding.
    pub id: Option<ClusterId>,
    /// How many voters the cluster still waits for before it serves packets. `None` after they have joined
    /// once.
    pub forming: Option<u32>,
    pub node_registry: Arc<NodeRegistry>,
    /// The replicated zones and cookie secrets.
    pub zones: Arc<ZoneState>,
    /// The publish policy and the deletions.
    pub publishing: Arc<PublishState>,
    pub time: ClusterTime,
}

fields! {
    ClusterState { level, capacity, id, forming, node_registry, zones, publishing, time }
    NodeRegistry { registrations, invites, vouchers, removed }
    Registration { name, address, stays_learner, has_data, index }
    Invite { key, expires, stays_learner, uses, used_by }
    Vouchers { kept, dropped }
    Voucher { member, index, signer, r, s }
}

impl ClusterState {
    /// Encodes the size (u32) of the rest, and the fields.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::zeroed(SIZE_SIZE);
        self.put(&mut out);
        let size = u32::try_from(out.len() - SIZE_SIZE).expect("the replicated state is bounded");
        out[..SIZE_SIZE].copy_from_slice(&size.to_be_bytes());
        out.into()
    }

    /// The same with zeros for every secret, for digests and output.
    pub fn encode_public(&self) -> Vec<u8> {
        let mut public = self.clone();
        let secrets = &mut Arc::make_mut(&mut public.zones).cookie_secrets;
        for secret in [&mut secrets.current, &mut secrets.previous] {
            *secret = secret.map(|_| CookieSecret([0; _]));
        }
        let tokens = &mut Arc::make_mut(&mut public.publishing).tokens;
        tokens
            .values_mut()
            .for_each(|hash| *hash = TokenHash([0; _]));
        public.encode()
    }

    /// Decodes the output of [`encode`](Self::encode), and returns the bytes after it. Fields that a newer
    /// program added at the end are skipped. If an older one wrote no [`time`](Self::time), it is empty.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), CommandError> {
        let (mut size, behind) = bytes
            .split_at_checked(SIZE_SIZE)
            .ok_or(CommandError::Truncated)?;
        let size = usize::try_from(size.get_u32()).map_err(|_| CommandError::Truncated)?;
        let (own, rest) = behind
            .split_at_checked(size)
            .ok_or(CommandError::Truncated)?;
        let state = Self::take(&mut [own, &NO_TIME].concat().into())?;
        Ok((state, rest))
    }
}

#[cfg(test)]
#[path = "cluster_state_tests.rs"]
mod tests;
