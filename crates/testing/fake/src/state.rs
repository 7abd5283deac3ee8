//! The state of the replica, and the failures that tests set.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{
    ChangeKind, ChangedPacket, ClockState, Conditions, CookieSecrets, LogIndex, NodeClock, NodeId,
    NodeStatus, PublishState, PutError, PutOutcome, ReadError, Role, StateDigest, StoredPacket,
    Term, ZoneState,
};
use sha2::{Digest, Sha256};

use crate::received_now;

/// The node itself.
pub(crate) const OWN: NodeId = NodeId(PublicKey::from_bytes([1; 32]));

/// The error of reads and digests that a test makes fail.
pub const READ_ERROR: &str = "page 7 is damaged";

/// After this time the cluster must record the receipt of the same bytes again.
const RENEWAL_AGE: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) packets: BTreeMap<PublicKey, StoredPacket>,
    pub(crate) zone_state: Arc<ZoneState>,
    pub(crate) cookie_secrets: Option<CookieSecrets>,
    pub(crate) zones_served: u64,
    pub(crate) publishing: Arc<PublishState>,
    /// The live members that publish in the DHT: by default, this one.
    pub(crate) publishers: Vec<NodeId>,
    /// Becomes visible to reads after the next linearizable read.
    pub(crate) committed: Option<StoredPacket>,
    /// The entry of the last change. The status does not follow it: it stays as the test set it.
    pub(crate) change_index: LogIndex,
    /// The packet to store after this number of reads.
    pub(crate) stored_after_reads: Option<(usize, StoredPacket)>,
    /// The status that the node reports, except for the number of packets.
    pub(crate) status: NodeStatus,
    pub(crate) put_answer: Option<Result<PutOutcome, PutError>>,
    pub(crate) linearize_fails: bool,
    pub(crate) reads_fail: bool,
    pub(crate) panics_at: Option<PublicKey>,
    pub(crate) digest_count: usize,
    pub(crate) digest_count_max: usize,
}

impl Default for State {
    /// The state of a leader that is ready and stores nothing.
    fn default() -> Self {
        Self {
            packets: BTreeMap::new(),
            zone_state: Arc::default(),
            cookie_secrets: None,
            zones_served: 0,
            publishing: Arc::default(),
            publishers: vec![OWN],
            committed: None,
            change_index: LogIndex(41),
            stored_after_reads: None,
            status: NodeStatus {
                node: "a".into(),
                role: Role::Leader,
                term: Term(3),
                leader: Some("a".into()),
                last_log_index: LogIndex(42),
                committed_index: LogIndex(42),
                applied_index: LogIndex(41),
                checkpoint_index: LogIndex(40),
                purged_index: LogIndex(7),
                voters: vec!["a".into()],
                store_size: 4096,
                clock: NodeClock {
                    state: ClockState::Agreed,
                    offset_ms: Some(0),
                    log_ahead_ms: 0,
                },
                ..NodeStatus::default()
            },
            put_answer: None,
            linearize_fails: false,
            reads_fail: false,
            panics_at: None,
            digest_count: 0,
            digest_count_max: 0,
        }
    }
}

impl State {
    pub(crate) fn check_readable(&self) -> Result<(), ReadError> {
        match self.reads_fail {
            true => Err(ReadError::Failed(READ_ERROR.to_owned())),
            false => Ok(()),
        }
    }

    /// Counts a read. Returns the packet to store after it, if there is one.
    pub(crate) fn after_read(&mut self) -> Option<StoredPacket> {
        let (count, _) = self.stored_after_reads.as_mut()?;
        *count -= 1;
        match *count {
            0 => self.stored_after_reads.take().map(|(_, stored)| stored),
            _ => None,
        }
    }

    pub(crate) fn store(&mut self, stored: StoredPacket) -> Option<ChangedPacket> {
        let key = *stored.packet.key();
        let packet = stored.packet.clone();
        let old = self.packets.insert(key, stored);
        let has_changed = old.is_none_or(|old| old.packet != packet);
        has_changed.then(|| self.change(key, ChangeKind::Stored))
    }

    pub(crate) fn remove(&mut self, key: PublicKey) -> Option<ChangedPacket> {
        self.packets.remove(&key)?;
        Some(self.change(key, ChangeKind::Deleted))
    }

    /// Records a change with a log entry of its own.
    pub(crate) fn change(&mut self, key: PublicKey, kind: ChangeKind) -> ChangedPacket {
        self.change_index.0 += 1;
        ChangedPacket {
            index: self.change_index,
            key,
            kind,
        }
    }

    pub(crate) fn put(
        &mut self,
        packet: SignedPacket,
        conditions: &Conditions,
    ) -> Result<(PutOutcome, Option<ChangedPacket>), PutError> {
        if let Some(answer) = self.put_answer {
            return Ok((answer?, None));
        }
        let now = || Some(received_now(packet.clone()).received);
        let token = conditions.token();
        if let Some(rejection) = self.publishing.rejection(packet.key(), token, now) {
            return Ok((rejection, None));
        }
        let old = self.packets.get(packet.key());
        let stored = old.map(|old| &old.packet);
        if stored != Some(&packet) && !conditions.hold(stored) {
            return Ok((PutOutcome::ConditionFailed, None));
        }
        let outcome = match old.map(|old| packet.recency(&old.packet)) {
            Some(Ordering::Less) => return Ok((PutOutcome::Superseded, None)),
            Some(Ordering::Equal) => PutOutcome::Unchanged,
            Some(Ordering::Greater) | None => PutOutcome::Stored,
        };
        Ok((outcome, self.store(received_now(packet))))
    }

    /// The outcome of a PUT of an older packet, or of the same bytes less than a day after they were
    /// received, if it has no conditions.
    pub(crate) fn known_outcome(
        &self,
        packet: &SignedPacket,
        conditions: &Conditions,
    ) -> Option<PutOutcome> {
        let old = self.packets.get(packet.key())?;
        if self.put_answer.is_some() {
            return None;
        }
        let age = received_now(packet.clone()).received.since(old.received);
        match packet.recency(&old.packet) {
            Ordering::Less if conditions.hold(Some(&old.packet)) => Some(PutOutcome::Superseded),
            Ordering::Less => Some(PutOutcome::ConditionFailed),
            Ordering::Equal if conditions.always_hold() && age < RENEWAL_AGE => {
                Some(PutOutcome::Unchanged)
            }
            _ => None,
        }
    }

    pub(crate) fn digest(&self) -> Result<StateDigest, ReadError> {
        self.check_readable()?;
        let mut sha256 = Sha256::new();
        for (key, stored) in &self.packets {
            sha256.update(key.as_bytes());
            sha256.update(stored.received.0.to_be_bytes());
            sha256.update(stored.packet.payload());
        }
        Ok(StateDigest {
            applied_index: self.status.applied_index,
            packet_count: self.packets.len() as u64,
            sha256: HEXLOWER.encode(&sha256.finalize()),
        })
    }
}
