//! How long a cache may keep a packet.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_replica::IndexedPacket;

/// A packet is fresh for at least this long after the cluster received it, so that a key that all
/// the world reads, with a TTL of 0, costs each cache in front of us one request in ten seconds.
const FRESHNESS_SECS_MIN: u32 = 10;

/// A packet is fresh for at most this long: the address of an endpoint may change any time, and no
/// cache in front of us can be told.
const FRESHNESS_SECS_MAX: u32 = 60 * 60;

/// How many seconds `packet` stays fresh from `now` on: the smallest TTL in the packet, within
/// 10 s and 1 h, less the age since the cluster last received the packet.
///
/// Zero says that a cache must ask again, which costs it a 304.
pub(crate) fn max_age_secs(indexed: &IndexedPacket, now: SystemTime) -> u64 {
    let ttl = indexed.compiled.ttl_secs_min().unwrap_or(0);
    let freshness = ttl.clamp(FRESHNESS_SECS_MIN, FRESHNESS_SECS_MAX);
    let received = Duration::from_millis(indexed.received.0);
    let age = now
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_sub(received);
    u64::from(freshness).saturating_sub(age.as_secs())
}
