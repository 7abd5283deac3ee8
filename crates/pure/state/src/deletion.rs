//! Deletion of packets.

use std::sync::Arc;

use quorate_packet::{PublicKey, Timestamp};

use crate::{
    DELETION_COUNT_MAX, Deletion, Outcome, PublishRejection, PublishState, Rejection,
    StoredPackets, UnixMillis,
};

/// Deletes the packet of a key and records the deletion. A given block replaces the previous one; one that
/// has already ended lifts it.
pub(crate) fn delete_packet<R: StoredPackets>(
    packets: &mut R,
    publishing: &mut Arc<PublishState>,
    key: PublicKey,
    blocked_until: Option<UnixMillis>,
    now: UnixMillis,
) -> Outcome {
    let stored = packets.stored_packet(&key);
    let existed = stored.is_some();
    let stored = stored.map(|stored| stored.packet.timestamp());
    let known = publishing.deleted.get(&key).copied();
    let block = match blocked_until {
        Some(until) => (until > now).then_some(until),
        None => known.and_then(|known| known.blocked_until),
    };
    // Without a packet, only packets signed before the block are excluded.
    let at_block = block.map(|_| Timestamp::from_micros(now.0.saturating_mul(1000)));
    let known_timestamp = known.map(|known| known.timestamp);
    let Some(timestamp) = stored.max(known_timestamp).or(at_block) else {
        return Outcome::Deleted { existed };
    };
    let deletion = Deletion {
        timestamp,
        blocked_until: block,
    };
    if known != Some(deletion) {
        let publishing = Arc::make_mut(publishing);
        if known.is_none() && !make_room(publishing, now) {
            let rejection = PublishRejection::DeletionCount;
            return Outcome::Rejected(Rejection::Publishing(rejection));
        }
        publishing.deleted.insert(key, deletion);
    }
    packets.remove(&key);
    Outcome::Deleted { existed }
}

/// Forgets the deletion of the oldest packet if there are too many. Returns false if all of them block
/// their keys.
fn make_room(publishing: &mut PublishState, now: UnixMillis) -> bool {
    if publishing.deleted.len() < DELETION_COUNT_MAX {
        return true;
    }
    let blocks = |deletion: &Deletion| deletion.blocked_until.is_some_and(|until| now < until);
    let unblocked = publishing.deleted.iter().filter(|(_, it)| !blocks(it));
    let oldest = unblocked.min_by_key(|(key, it)| (it.timestamp, **key));
    match oldest.map(|(key, _)| *key) {
        Some(key) => publishing.deleted.remove(&key).is_some(),
        None => false,
    }
}
