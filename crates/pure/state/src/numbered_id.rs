//! Node ids for tests: real keys, derived from numbers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use ed25519_dalek::SigningKey;
use quorate_packet::PublicKey;

/// A seed and its key.
type WithRequestId = ([u8; 32], PublicKey);

/// A cache, because finding a key takes some milliseconds.
static KNOWN: Mutex<BTreeMap<u64, WithRequestId>> = Mutex::new(BTreeMap::new());

/// The seed and key for a number. Keys 0 to 255 are ordered like their numbers.
pub(crate) fn numbered(number: u64) -> WithRequestId {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(number).or_insert_with(|| find(number))
}

fn find(number: u64) -> WithRequestId {
    let tries = (0_u64..).map(|nonce| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&nonce.to_be_bytes());
        seed[24..].copy_from_slice(&number.to_be_bytes());
        let key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        (seed, PublicKey::from_bytes(key))
    });
    let is_in_order = |(_, key): &WithRequestId| u64::from(key.as_bytes()[0]) == number;
    let mut tries = tries.filter(|found| number > u8::MAX.into() || is_in_order(found));
    tries.next().expect("every first byte is found in the end")
}
