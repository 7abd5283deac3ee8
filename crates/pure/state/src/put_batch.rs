//! Stores the packets of a batch.

use std::{cmp::Ordering, sync::Arc};

use quorate_packet::SignedPacket;

use crate::{
    Capacity, ClusterState, Conditions, EVICTION_AGE_MIN, EVICTION_COUNT_MAX, Outcome,
    PublishState, PutBatch, PutOutcome, StoredPacket, StoredPackets, UnixMillis,
};

/// `imported` has the times of receipt of imported packets, and is `None` if publishers sent them.
pub(crate) fn put_batch<R: StoredPackets>(
    packets: &mut R,
    cluster: &mut ClusterState,
    batch: PutBatch,
    imported: Option<&[Option<UnixMillis>]>,
) -> Outcome {
    let stamp = cluster.time.advance(batch.now);
    let evictable = match cluster.is_newly_restored(stamp) {
        true => UnixMillis(0),
        false => cluster.time.cutoff(stamp, EVICTION_AGE_MIN),
    };
    let mut put = Put {
        packets,
        capacity: cluster.capacity,
        publishing: &mut cluster.publishing,
        now: batch.now,
        stamp,
        evictable,
        is_import: imported.is_some(),
        timestamp_max: batch.timestamp_max,
        evicted_count: 0,
    };
    let conditions = &batch.conditions;
    let packets = batch.packets.into_iter().enumerate();
    let outcomes = packets.map(|(place, packet)| {
        let received = imported.and_then(|received| *received.get(place)?);
        put.put(packet, conditions.of(place), received)
    });
    Outcome::Put {
        outcomes: outcomes.collect(),
        evicted_count: put.evicted_count,
    }
}

struct Put<'a, R> {
    packets: &'a mut R,
    capacity: Option<Capacity>,
    publishing: &'a mut Arc<PublishState>,
    now: UnixMillis,
    stamp: UnixMillis,
    /// Packets received before this stamp may be evicted.
    evictable: UnixMillis,
    timestamp_max: UnixMillis,
    /// An operator sends the packets, and needs no publish token.
    is_import: bool,
    evicted_count: u64,
}

impl<R: StoredPackets> Put<'_, R> {
    /// Checks the publish policy first (RFC 9110, section 13.2.1), then the condition, which the stored packet
    /// itself meets, then the timestamps.
    fn put(
        &mut self,
        packet: SignedPacket,
        conditions: Option<&Conditions>,
        received: Option<UnixMillis>,
    ) -> PutOutcome {
        if packet.timestamp().as_micros() / 1000 > self.timestamp_max.0 {
            return PutOutcome::TooFarAhead;
        }
        let token = conditions.and_then(Conditions::token);
        let now = || Some(self.now);
        let publishing = &self.publishing;
        let rejection = match self.is_import {
            true => publishing.rejection_with_token(packet.key(), now),
            false => publishing.rejection(packet.key(), token, now),
        };
        if let Some(rejection) = rejection {
            return rejection;
        }
        let old = self.packets.stored_packet(packet.key());
        let stored = old.as_ref().map(|old| &old.packet);
        let holds = |conditions: &Conditions| stored == Some(&packet) || conditions.hold(stored);
        if !conditions.is_none_or(holds) {
            return PutOutcome::ConditionFailed;
        }
        if self.publishing.has_deleted(&packet) {
            return PutOutcome::Superseded;
        }
        // The same time ago. Stamps may be ahead of time, see `ClusterTime`.
        let received = received.map(|at| self.stamp.saturating_sub(self.now.since(at)));
        let received = received.unwrap_or(self.stamp);
        let (packet, outcome) = match &old {
            None => match self.make_room(received) {
                true => (packet, PutOutcome::Stored),
                false => return PutOutcome::Full,
            },
            Some(old) => match packet.recency(&old.packet) {
                Ordering::Greater => (packet, PutOutcome::Stored),
                Ordering::Equal => (old.packet.clone(), PutOutcome::Unchanged),
                Ordering::Less => return PutOutcome::Superseded,
            },
        };
        let received = match &old {
            Some(old) => received.max(old.received),
            None => received,
        };
        self.packets.put(&StoredPacket { received, packet });
        outcome
    }

    /// Evicts the packets received longest ago, and before `received`, until there is space. Returns false if
    /// there is none; evicted packets stay removed.
    fn make_room(&mut self, received: UnixMillis) -> bool {
        let Some(capacity) = self.capacity else {
            return true;
        };
        for _ in 0..EVICTION_COUNT_MAX {
            if !capacity.is_reached(self.packets.usage()) {
                return true;
            }
            match self.packets.oldest() {
                Some((at, key)) if at < self.evictable && at < received => {
                    self.packets.remove(&key);
                    self.evicted_count += 1;
                }
                _ => return false,
            }
        }
        !capacity.is_reached(self.packets.usage())
    }
}
