//! Commands.

use std::time::Duration;

use quorate_packet::PublicKey;

use crate::{
    BackupRecord, Capacity, ClusterId, Import, Invite, InviteId, Join, Level, LogIndex,
    PublishChange, PutBatch, Registration, Renewal, SecretKind, SettingsChange, StoreSecret,
    SwitchKey, UnixMillis, Voucher, ZoneChange,
};

/// The most packets that one `Expire` removes, so that a mass expiry does not stall writes.
pub const EXPIRE_COUNT_MAX: u32 = 1024;

/// How far a packet's timestamp may be ahead of the cluster time.
///
/// A packet from the year 2500 would win against every later one. Ten minutes tolerate a clock that was set
/// by hand. A constant, not a setting: nodes with different values would store different packets.
pub const TIMESTAMP_AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// A command in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    PutBatch(PutBatch),
    /// Remove up to `count_max` packets that were received before `cutoff`.
    Expire {
        /// Packets received before this time are too old.
        cutoff: UnixMillis,
        /// The most packets to remove.
        count_max: u32,
    },
    /// Use commands up to this level from now on. Proposed when all members support it: a node that does
    /// not stops here. A level that is already in use changes nothing.
    RaiseLevel(Level),
    /// Found the cluster. A cluster with an id is not changed.
    Found(Found),
    /// Let nodes join that prove to have the secret of an invite.
    Invite {
        id: InviteId,
        /// The invite.
        invite: Invite,
        /// The cluster time of the proposal.
        now: UnixMillis,
    },
    /// Register a node that has an invite, and count its use.
    Join(Join),
    /// Replace the registration of a node.
    Register {
        node: PublicKey,
        /// The new registration.
        registration: Registration,
    },
    /// Remove the registration of a node.
    Deregister(PublicKey),
    /// The cluster has the voters that it was founded for.
    FinishFounding,
    /// Store a voucher.
    Vouch(Voucher),
    /// Drop the vouchers of registrations up to this entry: every member has it in its checkpoint.
    DropVouchers(LogIndex),
    /// Change the replicated records of a zone.
    ChangeZone(ZoneChange),
    ChangePublishing(PublishChange),
    /// Delete the packet of a key; it and earlier ones cannot be stored again.
    DeletePacket {
        key: PublicKey,
        /// Until when the key is blocked. `None` changes nothing, and a time in the past lifts the block.
        blocked_until: Option<UnixMillis>,
        /// The cluster time of the proposal.
        now: UnixMillis,
    },
    /// Record the time.
    Tick {
        now: UnixMillis,
    },
    /// A majority has agreed on this time for long, and the log is ahead of it: undo the steps that caused
    /// it.
    SetBack {
        now: UnixMillis,
    },
    /// Change settings on which the cluster has agreed.
    ChangeSettings(SettingsChange),
    Import(Import),
    /// Record the result of a scheduled backup.
    RecordBackup(BackupRecord),
    /// Demand a new cluster key.
    DemandKey,
    SwitchKey(SwitchKey),
    StoreSecret(StoreSecret),
    /// Drop the secrets of these kinds that an earlier key has sealed: no node has that key any more.
    DropSecrets(Vec<SecretKind>),
    /// Remove the registration of a node whose machine others may know, and demand new secrets.
    DeregisterCompromised(PublicKey),
    /// Demand new secrets of these kinds, and another cluster key if others may know the old ones.
    DemandSecrets {
        kinds: Vec<SecretKind>,
        renewal: Renewal,
    },
}

impl Command {
    /// The time of its proposal, if it has one.
    pub fn time(&self) -> Option<UnixMillis> {
        match self {
            Self::PutBatch(PutBatch { now, .. })
            | Self::Import(Import {
                batch: PutBatch { now, .. },
                ..
            })
            | Self::Invite { now, .. }
            | Self::Join(Join { now, .. })
            | Self::DeletePacket { now, .. }
            | Self::Tick { now }
            | Self::SetBack { now }
            | Self::RecordBackup(BackupRecord { at: now, .. }) => Some(*now),
            Self::Expire { .. }
            | Self::RaiseLevel(_)
            | Self::Found(_)
            | Self::Register { .. }
            | Self::Deregister(_)
            | Self::DeregisterCompromised(_)
            | Self::FinishFounding
            | Self::Vouch(_)
            | Self::DropVouchers(_)
            | Self::ChangeZone(_)
            | Self::ChangePublishing(_)
            | Self::ChangeSettings(_)
            | Self::DemandKey
            | Self::SwitchKey(_)
            | Self::StoreSecret(_)
            | Self::DropSecrets(_)
            | Self::DemandSecrets { .. } => None,
        }
    }
}

/// The initial state of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: ClusterId,
    /// How many voters the cluster needs before it serves packets.
    pub voters: u32,
    /// The invite of the first other nodes.
    pub invite: Option<FoundingInvite>,
    /// The capacity. If more is stored, packets are evicted when packets of unknown keys come, not before.
    pub capacity: Capacity,
}

/// An invite that was created before its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundingInvite {
    pub id: InviteId,
    pub invite: Invite,
}
