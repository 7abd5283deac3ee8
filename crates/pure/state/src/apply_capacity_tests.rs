//! What a full cluster takes, and what gives way to it.

use super::*;

/// Just too young to give way to what comes at 0 days and this.
const YOUNG: u64 = EVICTION_AGE_MIN.as_millis() as u64;

pub(super) const UNBOUNDED: u64 = u64::MAX;

pub(super) fn capacity(count_max: u64, size_max: u64) -> Capacity {
    Capacity {
        count_max,
        size_max,
    }
}

#[test]
fn a_full_cluster_takes_known_keys_and_no_others() {
    use PutOutcome::*;
    let held = [(0, packet(1, 1, b"")), (0, packet(2, 1, b""))];
    let size: u64 = 2 * (32 + 8 + PAYLOAD_SIZE_MIN as u64);
    for full in [capacity(2, UNBOUNDED), capacity(UNBOUNDED, size)] {
        let mut replica = Replica::holding(full, &held);
        let known = packet(1, 2, &[7; 500]);
        let batch = [
            packet(3, 1, b""),
            known.clone(),
            known,
            packet(2, 0, b""),
            packet(3, 9, b""),
        ];
        assert_eq!(
            replica.put_and_evict(YOUNG, &batch),
            (vec![Full, Stored, Unchanged, Superseded, Full], 0)
        );
        assert_eq!(replica.keys(), [1, 2]);
    }
    let mut room = Replica::holding(capacity(3, size + 1), &held);
    assert_eq!(
        room.put(YOUNG, &[packet(3, 1, b""), packet(4, 1, b"")]),
        [Stored, Full]
    );
}

#[test]
fn a_packet_gives_way_once_it_is_older_than_two_days() {
    use PutOutcome::*;
    let mut replica = Replica::holding(capacity(1, UNBOUNDED), &[(5, packet(1, 1, b""))]);
    let new = [packet(2, 1, b"")];
    assert_eq!(replica.put_and_evict(5 + YOUNG, &new), (vec![Full], 0));
    assert_eq!(replica.put_and_evict(0, &new), (vec![Full], 0));
    assert_eq!(
        replica.put_and_evict(5 + YOUNG + 1, &new),
        (vec![Stored], 1)
    );
    assert_eq!(replica.keys(), [2]);
}

#[test]
fn the_packet_received_longest_ago_is_evicted_first_and_then_the_smallest_key() {
    let held = [(0, 9), (1, 7), (1, 3), (2, 1)];
    let held = held.map(|(received, key)| (received, packet(key, 1, b"")));
    let mut replica = Replica::holding(capacity(4, UNBOUNDED), &held);
    for (new, left) in [
        (20, [1, 3, 7, 20]),
        (21, [1, 7, 20, 21]),
        (22, [1, 20, 21, 22]),
        (23, [20, 21, 22, 23]),
    ] {
        let (outcomes, evicted_count) = replica.put_and_evict(YOUNG + 9, &[packet(new, 1, b"")]);
        assert_eq!((outcomes, evicted_count), (vec![PutOutcome::Stored], 1));
        assert_eq!(replica.keys(), left);
    }
    let refused = replica.put(YOUNG + 9, &[packet(24, 1, b"")]);
    assert_eq!(refused, [PutOutcome::Full], "the others are young");
}

#[test]
fn a_capacity_that_is_shrunk_takes_place_bit_by_bit() {
    let held: Vec<_> = (0..40).map(|key| (0, packet(key, 1, b""))).collect();
    let mut replica = Replica::holding(capacity(4, UNBOUNDED), &held);
    assert_eq!(replica.map.0.len(), 40, "by itself it removes nothing");
    let new = [packet(100, 1, b"")];
    let evictions = u64::from(EVICTION_COUNT_MAX);
    let full = (vec![PutOutcome::Full], evictions);
    assert_eq!(replica.put_and_evict(YOUNG + 1, &new), full);
    assert_eq!(replica.put_and_evict(YOUNG + 1, &new), full);
    let stored = (vec![PutOutcome::Stored], 40 - 2 * evictions - 3);
    assert_eq!(replica.put_and_evict(YOUNG + 1, &new), stored);
    assert_eq!(replica.keys(), [37, 38, 39, 100]);
}
