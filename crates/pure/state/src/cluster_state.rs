//! The replicated state other than packets.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};

use crate::{
    Capacity, ClusterId, ClusterTime, CommandError, Invite, LastBackup, Level, NodeRegistry,
    PublishState, Registration, STEP_MIN, SecretState, TokenHash, UnixMillis, Voucher, Vouchers,
    ZoneState,
    codec::{Codec, fields},
};

/// The size of the length field, in bytes.
const SIZE_SIZE: usize = 4;

/// Longer than the encoding of all absent fields that older programs did not write: an empty
/// [`ClusterTime`] and [`SecretState`], and a zero for each `None`.
const ABSENT: [u8; 96] = [0; _];

/// How long a cluster that was restored or recovered removes no packet for its age: operators need the time
/// to bring clients back that publish to the addresses of the old cluster.
pub const RESTORED_GRACE: Duration = Duration::from_secs(24 * 3600);

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
    pub zones: Arc<ZoneState>,
    /// The publish policy and the deletions.
    pub publishing: Arc<PublishState>,
    pub time: ClusterTime,
    /// How long a packet is kept after it was last received, in seconds, if the cluster has agreed on it.
    pub retention_secs: Option<u64>,
    /// The results of scheduled backups.
    pub last_backup: LastBackup,
    /// The last stamp in the packets that this cluster started with, if it was restored from a backup or
    /// recovered from another cluster.
    pub restored: Option<UnixMillis>,
    pub secrets: Arc<SecretState>,
}

fields! {
    ClusterState { level, capacity, id, forming, node_registry, zones, publishing, time, retention_secs, last_backup, restored, secrets }
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

    /// The same with zeros for every secret that is not sealed, for digests and output.
    pub fn encode_public(&self) -> Vec<u8> {
        let mut public = self.clone();
        let tokens = &mut Arc::make_mut(&mut public.publishing).tokens;
        tokens
            .values_mut()
            .for_each(|hash| *hash = TokenHash([0; _]));
        public.encode()
    }

    /// The state without what belongs to one cluster and its nodes: the id, awaited voters, registrations,
    /// invites, vouchers and backups, and the sealed secrets. Publish tokens stay: only their hashes are
    /// replicated, and nobody can publish with a hash.
    pub fn without_secrets(&self) -> Self {
        let mut state = self.clone();
        state.id = None;
        state.forming = None;
        state.node_registry = Arc::default();
        state.last_backup = LastBackup::default();
        state.secrets = Arc::default();
        state
    }

    /// Whether the cluster was restored or recovered less than [`RESTORED_GRACE`] before `stamp`.
    ///
    /// The time from the last entry of the old cluster to the first of this one is a step, which makes
    /// nothing older, unless it is shorter than [`STEP_MIN`].
    pub fn is_newly_restored(&self, stamp: UnixMillis) -> bool {
        let cutoff = self.time.cutoff(stamp, RESTORED_GRACE + STEP_MIN);
        self.restored.is_some_and(|restored| cutoff <= restored)
    }

    /// Decodes the output of [`encode`](Self::encode), and returns the bytes after it. Fields that a newer
    /// program added at the end are skipped. Those that an older one did not write are empty.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), CommandError> {
        let (mut size, behind) = bytes
            .split_at_checked(SIZE_SIZE)
            .ok_or(CommandError::Truncated)?;
        let size = usize::try_from(size.get_u32()).map_err(|_| CommandError::Truncated)?;
        let (own, rest) = behind
            .split_at_checked(size)
            .ok_or(CommandError::Truncated)?;
        let state = Self::take(&mut [own, &ABSENT].concat().into())?;
        Ok((state, rest))
    }
}

#[cfg(test)]
#[path = "cluster_state_tests.rs"]
mod tests;
