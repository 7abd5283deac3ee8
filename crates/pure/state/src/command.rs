//! What is proposed to the cluster.

use std::time::Duration;

use quorate_packet::PublicKey;

use crate::{
    Capacity, ClusterId, CookieSecret, Invite, InviteId, Join, Level, LogIndex, PublishChange,
    PutBatch, Registration, UnixMillis, Voucher, ZoneChange,
};

/// The most packets that one `Expire` removes, so that a mass expiry does not stall writes.
pub const EXPIRE_COUNT_MAX: u32 = 1024;

/// How far a packet's timestamp may lie ahead of the cluster's time.
///
/// A packet of the year 2500 would win against every later one for ever. Ten minutes forgive a
/// signer's clock that is set by hand. A constant and no setting: nodes that differed in it would
/// come to different packets.
pub const TIMESTAMP_AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// What is proposed to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    PutBatch(PutBatch),
    /// Remove up to `count_max` packets that were received before `cutoff`.
    Expire {
        /// The moment before which a packet is too old.
        cutoff: UnixMillis,
        /// The most packets to remove.
        count_max: u32,
    },
    /// Use commands up to this level from here on. To be proposed once all members support it: one
    /// that does not stops here. A level that is in use already changes nothing.
    RaiseLevel(Level),
    /// Found the cluster. One that has an id stays as it is.
    Found(Found),
    /// Let whoever proves to have the secret of an invite join.
    Invite {
        id: InviteId,
        /// Who may use it, until when.
        invite: Invite,
        /// The cluster's time when the leader proposed it.
        now: UnixMillis,
    },
    /// Register a node that has an invite, and close that.
    Join(Join),
    /// Know this of a node from now on, whatever was known of it before.
    Register {
        node: PublicKey,
        /// What is known of it.
        registration: Registration,
    },
    /// Know nothing of a node any more.
    Deregister(PublicKey),
    /// As many voters have come as the cluster was founded for.
    Form,
    /// Keep the proof that a node is registered.
    Vouch(Voucher),
    /// Drop the vouchers of registrations up to this entry: every member has applied it for good.
    DropVouchers(LogIndex),
    /// Change the replicated records of a zone.
    ChangeZone(ZoneChange),
    /// Make DNS cookies with another secret, if one is due.
    RotateCookies {
        secret: CookieSecret,
        /// The cluster's time when the leader proposed it.
        now: UnixMillis,
    },
    ChangePublishing(PublishChange),
    /// Delete the packet of a key, and keep it and those before it away.
    DeletePacket {
        key: PublicKey,
        /// Until when it may not publish at all. `None` leaves that as it is, and a moment that has
        /// passed lifts it.
        blocked_until: Option<UnixMillis>,
        /// The cluster's time when the leader proposed it.
        now: UnixMillis,
    },
    /// What time it is.
    Tick {
        now: UnixMillis,
    },
    /// A majority has agreed on this time for long, and the log is ahead of it: undo what steps have
    /// brought that about.
    SetBack {
        now: UnixMillis,
    },
}

/// What a cluster begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: ClusterId,
    /// How many voters there shall be before it serves packets.
    pub voters: u32,
    /// By what the first others join.
    pub invite: Option<FoundingInvite>,
    /// Store no more than this. What is beyond it already goes as packets of unknown keys come, and not
    /// before.
    pub capacity: Capacity,
}

/// An invite that was made before its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundingInvite {
    pub id: InviteId,
    pub invite: Invite,
}
