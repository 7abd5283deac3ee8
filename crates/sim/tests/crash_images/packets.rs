//! The packets that a store should hold.

use std::{collections::BTreeMap, convert::Infallible};

use bytes::Bytes;
use fastrand::Rng;
use quorate_packet::{PAYLOAD_SIZE_MAX, PAYLOAD_SIZE_MIN, PublicKey, SignedPacket};
use quorate_state::{Command, PutBatch, StoredPacket, StoredPackets, UnixMillis, apply};

/// Few, so that packets replace each other.
const KEY_COUNT: u8 = 24;

/// How much later each command is than the one before, in milliseconds.
const COMMAND_INTERVAL_MS: u64 = 1000;

/// Packets of a command at most.
const BATCH_COUNT_MAX: usize = 6;

/// Packets by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Packets(pub(crate) BTreeMap<PublicKey, StoredPacket>);

impl Packets {
    pub(crate) fn apply(&mut self, entry: Bytes) {
        let Ok(_outcome) = apply(self, entry);
    }
}

impl StoredPackets for Packets {
    type Error = Infallible;

    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, Infallible> {
        Ok(self.0.get(key).cloned())
    }

    fn put(&mut self, stored: &StoredPacket) -> Result<(), Infallible> {
        self.0.insert(*stored.packet.key(), stored.clone());
        Ok(())
    }

    fn remove_received_before(
        &mut self,
        cutoff: UnixMillis,
        count_max: usize,
    ) -> Result<usize, Infallible> {
        let by_age = self.0.iter().map(|(key, stored)| (stored.received, *key));
        let mut old: Vec<_> = by_age.filter(|(received, _)| *received < cutoff).collect();
        old.sort_unstable();
        old.truncate(count_max);
        for (_, key) in &old {
            self.0.remove(key);
        }
        Ok(old.len())
    }
}

/// All keys there are.
pub(crate) fn keys() -> impl Iterator<Item = PublicKey> {
    (0..KEY_COUNT).map(|key| PublicKey::from_bytes([key; 32]))
}

/// The command of an entry.
pub(crate) fn command(index: u64, rng: &mut Rng) -> Bytes {
    let now = UnixMillis(index * COMMAND_INTERVAL_MS);
    let command = match rng.u32(..8) {
        0 => Command::Expire {
            cutoff: UnixMillis(now.0.saturating_sub(20 * COMMAND_INTERVAL_MS)),
            count_max: rng.u32(..4),
        },
        _ => Command::PutBatch(PutBatch {
            now,
            packets: (0..rng.usize(1..=BATCH_COUNT_MAX))
                .map(|_| packet(now, rng))
                .collect(),
        }),
    };
    command.encode()
}

/// A packet that nobody has signed.
fn packet(now: UnixMillis, rng: &mut Rng) -> SignedPacket {
    let size = rng.usize(PAYLOAD_SIZE_MIN..=PAYLOAD_SIZE_MAX);
    let mut payload: Vec<_> = (0..size).map(|_| rng.u8(..)).collect();
    // Behind the signature stands the timestamp, in microseconds.
    payload[PAYLOAD_SIZE_MIN - 8..PAYLOAD_SIZE_MIN].copy_from_slice(&(now.0 * 1000).to_be_bytes());
    let key = PublicKey::from_bytes([rng.u8(..KEY_COUNT); 32]);
    SignedPacket::assume_verified(key, payload.into()).unwrap()
}
