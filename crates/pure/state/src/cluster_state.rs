//! What the cluster has agreed on beside its packets.

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use crate::{
    Capacity, ClusterId, ClusterTime, CommandError, CookieSecret, Invite, Level, NodeRegistry,
    PublishState, Registration, TokenHash, Voucher, Vouchers, ZoneState,
    coding::{Coding, fields},
};

/// The size of what precedes it, in bytes: how long it is.
const SIZE_SIZE: usize = 4;

/// A [`ClusterTime`] before any was told, encoded.
const NO_TIME: [u8; 8 + 8 + 4 + 8 + 1] = [0; _];

/// What the cluster has agreed on beside its packets: equal on all nodes that have applied the same
/// entries. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterState {
    /// The feature level in use. A command above it is rejected by all nodes.
    pub level: Level,
    /// The capacity, if one is set: without, everything is taken.
    pub capacity: Option<Capacity>,
    /// Which cluster it is, once it is founded.
    pub id: Option<ClusterId>,
    /// How many voters it waits for before it serves packets. Never again once they were there.
    pub forming: Option<u32>,
    pub node_registry: Arc<NodeRegistry>,
    /// What DNS serves beside packets.
    pub zones: Arc<ZoneState>,
    /// Who may publish, and what was deleted.
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
    /// The size (u32) of what follows, and its fields.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::zeroed(SIZE_SIZE);
        self.put(&mut out);
        let size = u32::try_from(out.len() - SIZE_SIZE).expect("all that is agreed on has bounds");
        out[..SIZE_SIZE].copy_from_slice(&size.to_be_bytes());
        out.into()
    }

    /// The same with zeros for every secret, to be digested and shown.
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

    /// Reads what [`encode`](Self::encode) wrote, and returns what follows it. What a newer program has
    /// added at the end is skipped: the level says that it is there. Where an older one wrote no
    /// [`time`](Self::time), none was told.
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
