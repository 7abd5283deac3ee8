use bytes::Bytes;
use quorate_replica::ChangeKind;
use quorate_state::{
    Capacity, ClusterState, Command, Outcome, PutBatch, PutOutcome, StoredPackets,
};

use super::*;
use crate::fixture::*;

/// A copy of the store as a crash would leave it now.
fn crash_image(store: &Store) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let image = config(dir.path());
    std::fs::copy(&store.shared.config.path, &image.path).unwrap();
    let store = open(&image);
    (dir, store)
}

#[test]
fn a_crash_restores_the_complete_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&config(dir.path()));
    put(&store, 1, [stored(1, 10, 100)]);
    let at_checkpoint = checkpoint(&store);
    assert_eq!(at_checkpoint, store.meta());
    put(&store, 2, [stored(1, 20, 200), stored(2, 20, 100)]);
    assert_eq!(store.stored_packet(&key(1)), Some(stored(1, 20, 200)));

    let (_dir, image) = crash_image(&store);
    assert_eq!(image.meta(), at_checkpoint);
    assert_eq!(image.stored_packet(&key(1)), Some(stored(1, 10, 100)));
    assert_eq!(image.stored_packet(&key(2)), None);
    assert_eq!(
        expire(&image, 100, 10),
        1,
        "the order by age is restored too"
    );
}

#[test]
fn packets_expire_by_the_time_they_were_last_received() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&config(dir.path()));
    put(&store, 1, (0..4).map(|n| stored(n, 10 + u64::from(n), 100)));
    put(&store, 2, [stored(0, 50, 100)]);
    assert_eq!(store.meta().packets.usage.count, 4);
    assert_eq!(store.oldest_received(), Some(UnixMillis(11)));
    assert_eq!(expire(&store, 13, 1), 1, "at most count_max");
    assert_eq!(store.stored_packet(&key(1)), None, "the oldest is first");
    assert_eq!(expire(&store, 13, 10), 1);
    assert_eq!(
        expire(&store, 13, 10),
        0,
        "a packet received at the cutoff stays"
    );
    assert_eq!(store.meta().packets.usage.count, 2);
    assert_eq!(expire(&store, u64::MAX, 10), 2);
    assert_eq!(
        store.meta(),
        Meta {
            packets: crate::PacketsSummary::default(),
            ..store.meta()
        }
    );
}

/// The size of a packet as the capacity counts it, from the size of its payload.
fn size_of_packet(payload: u64) -> u64 {
    32 + 8 + payload
}

const CAPACITY: Capacity = Capacity {
    count_max: 7,
    size_max: 1 << 40,
};

#[test]
fn sizes_are_updated_and_survive_a_crash_together_with_the_cluster_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&config(dir.path()));
    put(&store, 1, [stored(1, 10, 100), stored(2, 20, 300)]);
    let both = size_of_packet(100) + size_of_packet(300);
    assert_eq!(store.meta().packets.usage.size, both);
    put(&store, 2, [stored(1, 30, 500)]);
    let grown = size_of_packet(500) + size_of_packet(300);
    assert_eq!(store.meta().packets.usage.size, grown);
    let cluster = found_cluster(&store, CAPACITY);
    let at_checkpoint = checkpoint(&store);
    assert_eq!(at_checkpoint.cluster, cluster);

    let other = Capacity {
        count_max: 1,
        ..CAPACITY
    };
    found_cluster(&store, other);
    assert_eq!(expire(&store, 21, 10), 1);
    assert_eq!(store.meta().packets.usage.size, size_of_packet(500));
    let (_dir, image) = crash_image(&store);
    assert_eq!(image.meta(), at_checkpoint);
    assert_eq!(image.meta().packets.usage.size, grown);
    assert_eq!(image.meta().cluster.capacity, Some(CAPACITY));
}

#[test]
fn an_evicted_packet_is_also_removed_from_the_checkpoint() {
    const DAY: u64 = 24 * 3600 * 1000;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&config(dir.path()));
    found_cluster(&store, CAPACITY);
    put(&store, 1, (0..7).map(|n| stored(n, u64::from(n), 100)));
    checkpoint(&store);
    let new = stored(9, 3 * DAY, 100);
    let batch = Command::PutBatch(PutBatch {
        now: new.received,
        timestamp_max: UnixMillis(u64::MAX),
        conditions: Default::default(),
        packets: vec![new.packet.clone()],
    });
    let put = Outcome::Put {
        outcomes: vec![PutOutcome::Stored],
        evicted_count: 1,
    };
    assert_eq!(apply(&store, &batch), put);
    assert_eq!(store.stored_packet(&key(0)), None);
    assert_eq!(store.stored_packet(&key(9)), Some(new));
    assert_eq!(store.meta().packets.usage.count, 7);
    checkpoint(&store);
    let (_dir, image) = crash_image(&store);
    assert_eq!(packets(&image), packets(&store));
    assert_eq!(image.meta(), store.meta());
}

#[test]
fn a_stored_payload_does_not_keep_its_batch_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&config(dir.path()));
    let batch = Bytes::from(vec![7; 100_000]);
    let packet = quorate_packet::SignedPacket::assume_verified(key(1), batch.slice(5..105));
    let packet = packet.unwrap();
    let received = UnixMillis(1);
    put(&store, 1, [StoredPacket { received, packet }]);
    assert_eq!(packets(&store).len(), 1);
    assert!(batch.is_unique(), "the store has no reference to the batch");
}

fn send(from: &Store, to: &Store) -> Result<(), StoreError> {
    let snapshot = from.snapshot()?;
    let mut receiver = Store::receiver(&to.shared.config)?;
    let mut chunks = snapshot.chunks()?;
    while let Some(chunk) = chunks.next_chunk()? {
        receiver.push(&chunk)?;
    }
    let sent = snapshot.meta();
    let meta = Meta {
        applied: sent.applied,
        membership: sent.membership.clone(),
        ..Meta::default()
    };
    to.install(receiver.complete()?, meta)
}

#[test]
fn a_snapshot_installs_an_equal_store() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [from, to] = dirs.each_ref().map(|dir| open(&config(dir.path())));
    put(
        &from,
        7,
        (0..3000).map(|n| stored(n, u64::from(n % 7), 1000)),
    );
    found_cluster(&from, CAPACITY);
    checkpoint(&from);
    put(&from, 8, [stored(0, 8, 100)]);
    put(&to, 1, [stored(9999, 1, 100)]);
    checkpoint(&to);
    put(&to, 2, [stored(9998, 1, 100)]);

    let old_snapshot = to.snapshot().unwrap();
    assert_eq!(to.meta().cluster, ClusterState::default());
    send(&from, &to).unwrap();
    let digest = |store: &Store| store.snapshot().unwrap().digest().unwrap();
    assert_eq!(digest(&from), digest(&to));
    assert_eq!(*from.snapshot().unwrap().meta(), to.meta());
    assert_eq!(to.stored_packet(&key(9999)), None);
    assert_eq!(
        to.stored_packet(&key(0)),
        Some(stored(0, 0, 1000)),
        "as of the checkpoint"
    );
    assert_eq!(old_snapshot.meta().packets.usage.count, 1);
    assert!(old_snapshot.digest().is_ok(), "it is still readable");

    let (_dir, image) = crash_image(&to);
    assert_eq!(image.meta(), to.meta(), "the installation is durable");
    put(&to, 8, [stored(0, 8, 100)]);
    assert_eq!(packets(&from), packets(&to));
    assert_eq!(expire(&to, 3, 10_000), expire(&from, 3, 10_000));
    assert_eq!(checkpoint(&from), checkpoint(&to));
    assert_eq!(digest(&from), digest(&to));
}

#[test]
fn a_damaged_file_is_replaced_by_a_received_snapshot() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [from, to] = dirs.each_ref().map(|dir| config(dir.path()));
    let from = open(&from);
    put(&from, 7, [stored(1, 1, 100)]);
    let cluster = found_cluster(&from, CAPACITY);
    let meta = checkpoint(&from);
    std::fs::write(&to.path, b"not a database").unwrap();
    assert!(matches!(try_open(&to), Err(StoreError::Damaged(_))));

    let mut receiver = Store::receiver(&to).unwrap();
    let mut chunks = from.snapshot().unwrap().chunks().unwrap();
    while let Some(chunk) = chunks.next_chunk().unwrap() {
        receiver.push(&chunk).unwrap();
    }
    let received = receiver.complete().unwrap();
    assert_eq!(*received.cluster(), cluster);
    let without = Meta {
        cluster: ClusterState::default(),
        ..meta.clone()
    };
    let store = Store::create_from(to.clone(), received, without, metrics()).unwrap();
    assert_eq!(packets(&store), packets(&from));
    drop(store);
    assert_eq!(open(&to).meta(), meta);
}

#[test]
fn the_digest_covers_keys_payloads_and_received_times() {
    let digest = |stored: StoredPacket| {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&config(dir.path()));
        put(&store, 1, [stored]);
        let hash = checkpoint(&store).packets.hash;
        (store.snapshot().unwrap().digest().unwrap(), hash)
    };
    let first = digest(stored(1, 10, 100));
    assert_eq!(first, digest(stored(1, 10, 100)));
    for other in [stored(2, 10, 100), stored(1, 11, 100), stored(1, 10, 101)] {
        let (digest, hash) = digest(other);
        assert_ne!(digest, first.0);
        assert_ne!(hash, first.1);
    }
}

#[test]
fn the_digest_covers_the_cluster_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&config(dir.path()));
    put(&store, 1, [stored(1, 10, 100)]);
    let digest = || {
        checkpoint(&store);
        store.snapshot().unwrap().digest().unwrap()
    };
    let first = digest();
    found_cluster(&store, CAPACITY);
    assert_ne!(digest(), first);
}

#[test]
fn a_damaged_snapshot_is_rejected_and_leaves_the_store_unchanged() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [from, to] = dirs.each_ref().map(|dir| open(&config(dir.path())));
    put(&from, 7, (0..3000).map(|number| stored(number, 1, 1000)));
    checkpoint(&from);
    put(&to, 1, [stored(9999, 1, 100)]);
    let snapshot = from.snapshot().unwrap();
    let mut source = snapshot.chunks().unwrap();
    let chunks: Vec<_> = std::iter::from_fn(|| source.next_chunk().unwrap()).collect();
    assert!(chunks.len() > 3, "enough chunks to change their order");

    let receive = |chunks: &[Bytes]| {
        let mut receiver = Store::receiver(&to.shared.config)?;
        chunks.iter().try_for_each(|chunk| receiver.push(chunk))?;
        receiver.complete()
    };
    let (packets_end, cluster_end) = (chunks[1].len() - 1, chunks[0].len() - 1);
    for (chunk, at) in [(1, 0), (1, 1), (1, 500), (1, packets_end), (0, cluster_end)] {
        for bit in [1, 2, 0x40] {
            let mut damaged = chunks.clone();
            let mut bytes = damaged[chunk].to_vec();
            bytes[at] ^= bit;
            damaged[chunk] = bytes.into();
            assert!(receive(&damaged).is_err(), "byte {at} of chunk {chunk}");
        }
    }
    for at in 0..chunks[0].len() {
        let mut damaged = chunks.clone();
        let mut bytes = damaged[0].to_vec();
        bytes[at] ^= 1 << (at % 8);
        damaged[0] = bytes.into();
        assert!(receive(&damaged).is_err(), "byte {at} of the first chunk");
    }
    assert!(receive(&chunks[1..]).is_err(), "without the first chunk");
    let swapped = [&chunks[1..2], &chunks[0..1], &chunks[2..]].concat();
    assert!(receive(&swapped).is_err(), "out of order");
    assert!(
        receive(&chunks[..chunks.len() - 1]).is_err(),
        "without the last chunk"
    );
    assert!(
        receive(&[&chunks[..], &chunks[..1]].concat()).is_err(),
        "a chunk after the last one"
    );
    assert!(receive(&[Bytes::new()]).is_err(), "an empty chunk");
    assert_eq!(to.stored_packet(&key(9999)), Some(stored(9999, 1, 100)));
    assert!(receive(&chunks).is_ok());
}

#[test]
fn a_file_of_another_format_is_rejected() {
    use crate::schema::{META, checksum};

    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let database = redb::Database::create(&config.path).unwrap();
    let txn = database.begin_write().unwrap();
    let mut table = txn.open_table(META).unwrap();
    // The start of the row before there was a magic.
    let old_row = [4; 60];
    let row = [&old_row[..], &checksum(&old_row)].concat();
    table.insert("format", row.as_slice()).unwrap();
    drop(table);
    txn.commit().unwrap();
    drop(database);
    let error = try_open(&config).err().unwrap();
    assert!(
        matches!(
            error,
            StoreError::Format {
                found: [4, 4, 4, 4],
                supported: [b'Q', b's', b't', 1],
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("empty data directory"),
        "{error}"
    );
}

#[test]
fn only_one_process_can_open_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let store = open(&config);
    let error = try_open(&config).err().unwrap();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(store);
    open(&config);
}

#[test]
fn files_of_interrupted_operations_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let left = ["new", "rebuild", "incoming"].map(|name| config.path.with_extension(name));
    for path in &left {
        std::fs::write(path, b"incomplete").unwrap();
    }
    std::fs::write(&config.path, b"").unwrap();
    let store = open(&config);
    assert_eq!(store.meta(), Meta::default());
    assert!(left.iter().all(|path| !path.exists()));
}

#[test]
fn long_operations_can_move_between_threads() {
    fn expect_send<T: Send + 'static>() {}
    expect_send::<Store>();
    expect_send::<Checkpoint>();
    expect_send::<Snapshot>();
    expect_send::<crate::SnapshotChunks>();
    expect_send::<SnapshotReceiver>();
    expect_send::<ReceivedSnapshot>();
    expect_send::<StoreScrub>();
}

/// Also removed packets, but not those received again with the same bytes.
#[test]
fn a_transaction_reports_the_changed_packets() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&config(dir.path()));
    let changed = |change: &dyn Fn(&mut PacketsMut<'_>)| {
        let (_, changed) = store.transact(|packets, _| {
            change(packets);
            packets.take_changed()
        });
        changed
    };
    let put = |packets: &mut PacketsMut<'_>, stored: &StoredPacket| {
        packets.put(stored);
    };
    let remove = |packets: &mut PacketsMut<'_>, number| {
        packets.remove(&key(number));
    };
    let first = changed(&|packets| {
        put(packets, &stored(1, 10, 100));
        put(packets, &stored(2, 10, 100));
        remove(packets, 3);
    });
    let is_stored = [1, 2].map(|number| (key(number), ChangeKind::Stored));
    assert_eq!(first, is_stored);
    assert_eq!(changed(&|packets| put(packets, &stored(1, 20, 100))), []);
    let second = changed(&|packets| {
        put(packets, &stored(1, 20, 101));
        remove(packets, 2);
    });
    let kinds = [(key(1), ChangeKind::Stored), (key(2), ChangeKind::Deleted)];
    assert_eq!(second, kinds);
}
