//! The round in which every stored packet is published once.
//!
//! A round takes `dht.republish_interval_secs`, the same one on all nodes by their clocks, and goes
//! through the keys in their order: the time of a key follows from its first bytes alone. So a node
//! that starts needs no history, and when members change, a key is published at its usual time by the
//! node whose turn it is then. Whoever takes over the keys of a node that is gone publishes those of the
//! last minutes again, because that node may not have. While no leader is known, the round waits.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use quorate_packet::PublicKey;
use quorate_replica::{NodeId, Operator, Publishers};
use tokio::{task::spawn_blocking, time::sleep};
use twox_hash::XxHash3_64;

use crate::{publisher::Publisher, values};

/// How often the round continues.
const STEP: Duration = Duration::from_secs(1);

/// How far back a node publishes the keys that it takes over: longer than a leader needs to notice that a
/// node is gone, and than keys usually wait for their publication there.
const TAKE_OVER_MS: u64 = 600_000;

/// How many keys are read at once.
const PAGE_SIZE: usize = 256;

/// The part of a node in the rounds. All times are in milliseconds since 1970.
pub(crate) struct Round {
    replica: Arc<dyn Operator>,
    publisher: Arc<Publisher>,
    interval_ms: u64,
    /// Until when keys were queued.
    until_ms: u64,
    /// Who published then: at first, nobody.
    publishers: Vec<NodeId>,
}

impl Round {
    pub(crate) fn new(
        replica: Arc<dyn Operator>,
        publisher: Arc<Publisher>,
        interval: Duration,
    ) -> Self {
        Self {
            replica,
            publisher,
            interval_ms: u64::try_from(interval.as_millis())
                .unwrap_or(u64::MAX)
                .max(1),
            until_ms: values::now().0,
            publishers: Vec::new(),
        }
    }

    /// Queues the packets of this node's turns. Never returns.
    pub(crate) async fn run(mut self) {
        loop {
            // After a jump of the clock it reads all keys.
            let stepped = spawn_blocking(move || {
                self.step(values::now().0);
                self.publisher.report_delay();
                self
            });
            let Ok(round) = stepped.await else {
                tracing::error!("packets are no longer published in the DHT: restart the node");
                return;
            };
            self = round;
            sleep(STEP).await;
        }
    }

    fn step(&mut self, now_ms: u64) {
        let Publishers { own, live } = self.replica.publishers();
        if live.is_empty() {
            return;
        }
        if live != self.publishers {
            let before = std::mem::take(&mut self.publishers);
            let from_ms = self.until_ms.saturating_sub(TAKE_OVER_MS);
            self.queue(from_ms, self.until_ms, |key| {
                turn(&live, key) == Some(own) && turn(&before, key) != Some(own)
            });
            self.publishers = live;
        }
        // A clock that was set back has been there already.
        if self.until_ms < now_ms {
            let live = &self.publishers;
            self.queue(self.until_ms, now_ms, |key| turn(live, key) == Some(own));
        }
        self.until_ms = now_ms;
    }

    /// Queues those of the keys between two times that are chosen.
    fn queue(&self, from_ms: u64, to_ms: u64, is_chosen: impl Fn(&PublicKey) -> bool) {
        for places in places(from_ms, to_ms, self.interval_ms) {
            let mut after = before(*places.start());
            loop {
                let Ok(page) = self.replica.packets_after(after, PAGE_SIZE) else {
                    return;
                };
                let keys = page.iter().map(|stored| *stored.packet.key());
                let due = keys.take_while(|key| place_of(key) <= *places.end());
                let due: Vec<_> = due.collect();
                after = due.last().copied();
                for key in due.iter().filter(|key| is_chosen(key)) {
                    self.publisher.publish_in_turn(key);
                }
                if due.len() < PAGE_SIZE {
                    break;
                }
            }
        }
    }
}

/// How far the round is at a time, as the first eight bytes of a key.
fn place(ms: u64, interval_ms: u64) -> u64 {
    let passed = u128::from(ms % interval_ms);
    let place = passed * u128::from(u64::MAX) / u128::from(interval_ms);
    u64::try_from(place).unwrap_or(u64::MAX)
}

/// The places of the round after one time up to another; two ranges if a new round has begun meanwhile.
fn places(from_ms: u64, to_ms: u64, interval_ms: u64) -> Vec<RangeInclusive<u64>> {
    if to_ms - from_ms >= interval_ms {
        return vec![0..=u64::MAX];
    }
    let (from, to) = (place(from_ms, interval_ms), place(to_ms, interval_ms));
    let after = from.checked_add(1);
    match from <= to {
        true => after.map(|after| after..=to).into_iter().collect(),
        false => after
            .map(|after| after..=u64::MAX)
            .into_iter()
            .chain([0..=to])
            .collect(),
    }
}

fn place_of(key: &PublicKey) -> u64 {
    let (first, _) = key
        .as_bytes()
        .split_first_chunk()
        .expect("a key has 32 bytes");
    u64::from_be_bytes(*first)
}

/// The last possible key before a place; `None` if there is none.
fn before(place: u64) -> Option<PublicKey> {
    let mut bytes = [0xff; 32];
    bytes[..8].copy_from_slice(&place.checked_sub(1)?.to_be_bytes());
    Some(PublicKey::from_bytes(bytes))
}

/// The node that publishes a key: by rendezvous hashing (Thaler and Ravishankar, 1998), so that a change
/// of members moves only the keys of those that changed.
fn turn(live: &[NodeId], key: &PublicKey) -> Option<NodeId> {
    let weight = |node: &&NodeId| {
        let bytes = [node.0.as_bytes().as_slice(), key.as_bytes()].concat();
        (XxHash3_64::oneshot(&bytes), **node)
    };
    live.iter().max_by_key(weight).copied()
}

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
