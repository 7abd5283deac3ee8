//! Storing the packets of a batch.

use std::cmp::Ordering;

use quorate_packet::SignedPacket;

use crate::{
    Capacity, EVICTION_AGE_MIN, EVICTION_COUNT_MAX, Outcome, PutBatch, PutOutcome, StoredPacket,
    StoredPackets, UnixMillis,
};

pub(crate) fn put_batch<R: StoredPackets>(
    packets: &mut R,
    capacity: Option<Capacity>,
    batch: PutBatch,
) -> Result<Outcome, R::Error> {
    let mut put = Put {
        packets,
        capacity,
        now: batch.now,
        latest_timestamp: batch.latest_timestamp(),
        evicted_count: 0,
    };
    let outcomes = batch.packets.into_iter().map(|packet| put.put(packet));
    Ok(Outcome::Put {
        outcomes: outcomes.collect::<Result<_, _>>()?,
        evicted_count: put.evicted_count,
    })
}

struct Put<'a, R> {
    packets: &'a mut R,
    capacity: Option<Capacity>,
    now: UnixMillis,
    latest_timestamp: UnixMillis,
    evicted_count: u64,
}

impl<R: StoredPackets> Put<'_, R> {
    fn put(&mut self, packet: SignedPacket) -> Result<PutOutcome, R::Error> {
        if packet.timestamp().as_micros() / 1000 > self.latest_timestamp.0 {
            return Ok(PutOutcome::TooFarAhead);
        }
        let old = self.packets.stored_packet(packet.key())?;
        let (packet, outcome) = match &old {
            None => match self.make_room()? {
                true => (packet, PutOutcome::Stored),
                false => return Ok(PutOutcome::Full),
            },
            Some(old) => match packet.recency(&old.packet) {
                Ordering::Greater => (packet, PutOutcome::Stored),
                Ordering::Equal => (old.packet.clone(), PutOutcome::Unchanged),
                Ordering::Less => return Ok(PutOutcome::Superseded),
            },
        };
        // A time that is behind an earlier one must not make a packet look older.
        let received = old
            .as_ref()
            .map_or(self.now, |old| self.now.max(old.received));
        self.packets.put(&StoredPacket { received, packet })?;
        Ok(outcome)
    }

    /// Removes what was received longest ago until there is room. False if there is none: what went
    /// by then stays away.
    fn make_room(&mut self) -> Result<bool, R::Error> {
        let Some(capacity) = self.capacity else {
            return Ok(true);
        };
        for _ in 0..EVICTION_COUNT_MAX {
            if !capacity.is_reached(self.packets.usage()?) {
                return Ok(true);
            }
            match self.packets.oldest()? {
                Some((received, key)) if self.now.since(received) > EVICTION_AGE_MIN => {
                    self.packets.remove(&key)?;
                    self.evicted_count += 1;
                }
                _ => return Ok(false),
            }
        }
        Ok(!capacity.is_reached(self.packets.usage()?))
    }
}
