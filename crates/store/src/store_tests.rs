use bytes::Bytes;
use quorate_packet::SignedPacket;
use quorate_state::{LogPosition, StoredPackets, UnixMillis};

use super::*;

const CACHE_SIZE: usize = 1024 * 1024;

fn open(path: &Path) -> Store {
    let metrics = Metrics::register(&quorate_metrics::Registry::new()).unwrap();
    let config = Config {
        path: path.to_owned(),
        cache_size: CACHE_SIZE,
    };
    Store::open(config, metrics).unwrap()
}

fn key(number: u32) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

fn stored(number: u32, received: u64, size: usize) -> StoredPacket {
    let payload = Bytes::from(vec![number as u8; size]);
    StoredPacket {
        received: UnixMillis(received),
        packet: SignedPacket::assume_verified(key(number), payload).unwrap(),
    }
}

/// Puts packets as entry `index` of the log would.
fn put(store: &Store, index: u64, packets: impl IntoIterator<Item = StoredPacket>) {
    let change = |table: &mut PacketsMut<'_>, meta: &mut Meta| {
        meta.applied = Some(LogPosition::new(1, index));
        meta.membership = Bytes::from_static(b"members");
        for stored in packets {
            let old = table.stored_packet(stored.packet.key())?;
            table.put(&stored, old.as_ref())?;
        }
        Ok(())
    };
    store.transact(change).unwrap();
}

fn expire(store: &Store, cutoff: u64, count_max: usize) -> usize {
    let cutoff = UnixMillis(cutoff);
    store
        .transact(|table, _| table.remove_received_before(cutoff, count_max))
        .unwrap()
        .1
}

/// What a crash at this moment would leave behind.
fn crash_image(store: &Store, dir: &Path) -> Store {
    let image = dir.join("image.redb");
    std::fs::copy(&store.config.path, &image).unwrap();
    open(&image)
}

#[test]
fn a_crash_falls_back_to_the_last_checkpoint_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("records.redb"));
    put(&store, 1, [stored(1, 10, 100)]);
    let checkpoint = store.checkpoint().unwrap();
    assert_eq!(checkpoint, store.meta().unwrap());
    put(&store, 2, [stored(1, 20, 200), stored(2, 20, 100)]);
    assert_eq!(
        store.stored_packet(&key(1)).unwrap(),
        Some(stored(1, 20, 200))
    );

    let image = crash_image(&store, dir.path());
    assert_eq!(image.meta().unwrap(), checkpoint);
    assert_eq!(
        image.stored_packet(&key(1)).unwrap(),
        Some(stored(1, 10, 100))
    );
    assert_eq!(image.stored_packet(&key(2)).unwrap(), None);
    assert_eq!(
        expire(&image, 100, 10),
        1,
        "the retention index fell back too"
    );
}

#[test]
fn a_failed_change_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("records.redb"));
    let result = store.transact(|table, meta| {
        meta.applied = Some(LogPosition::new(1, 1));
        table.put(&stored(1, 10, 100), None)?;
        Err::<(), _>(StoreError::Damaged("a test".into()))
    });
    assert!(result.is_err());
    assert_eq!(store.stored_packet(&key(1)).unwrap(), None);
    assert_eq!(store.meta().unwrap(), Meta::default());
}

#[test]
fn expiry_follows_the_time_of_the_last_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("records.redb"));
    put(
        &store,
        1,
        (0..4).map(|number| stored(number, 10 + u64::from(number), 100)),
    );
    put(&store, 2, [stored(0, 50, 100)]);
    assert_eq!(store.meta().unwrap().packet_count, 4);
    assert_eq!(store.oldest_received().unwrap(), Some(UnixMillis(11)));
    assert_eq!(expire(&store, 13, 1), 1, "no more than asked for");
    assert_eq!(
        store.stored_packet(&key(1)).unwrap(),
        None,
        "the oldest goes first"
    );
    assert_eq!(expire(&store, 13, 10), 1);
    assert_eq!(
        expire(&store, 13, 10),
        0,
        "what was received at the cutoff stays"
    );
    assert_eq!(store.meta().unwrap().packet_count, 2);
    assert_eq!(expire(&store, u64::MAX, 10), 2);
    assert_eq!(store.meta().unwrap().packet_count, 0);
}

fn send(from: &Store, to: &Store) -> Result<(), StoreError> {
    let snapshot = from.snapshot()?;
    let mut receiver = to.receive()?;
    let mut chunks = snapshot.chunks()?;
    while let Some(chunk) = chunks.next_chunk()? {
        receiver.push(&chunk)?;
    }
    to.install(
        receiver.complete()?,
        Meta {
            packet_count: 0,
            ..snapshot.meta().clone()
        },
    )
}

#[test]
fn a_snapshot_makes_an_equal_store() {
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| open(&dir.path().join(name)));
    put(
        &from,
        7,
        (0..3000).map(|number| stored(number, u64::from(number % 7), 1000)),
    );
    put(&to, 1, [stored(9999, 1, 100)]);

    let held = to.snapshot().unwrap();
    send(&from, &to).unwrap();
    let digest = |store: &Store| store.snapshot().unwrap().digest().unwrap();
    assert_eq!(digest(&from), digest(&to));
    assert_eq!(from.meta().unwrap(), to.meta().unwrap());
    assert_eq!(to.stored_packet(&key(9999)).unwrap(), None);
    assert_eq!(held.meta().packet_count, 1, "a reader keeps what it reads");
    assert_eq!(expire(&to, 3, 10_000), expire(&from, 3, 10_000));
    assert_eq!(digest(&from), digest(&to));

    drop(held);
    let image = crash_image(&to, dir.path());
    assert_eq!(
        image.meta().unwrap().packet_count,
        3000,
        "installing is durable"
    );
}

#[test]
fn the_digest_sees_every_byte_and_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let digest = |name: &str, stored: StoredPacket| {
        let store = open(&dir.path().join(name));
        put(&store, 1, [stored]);
        store.snapshot().unwrap().digest().unwrap()
    };
    let first = digest("first", stored(1, 10, 100));
    assert_eq!(first, digest("same", stored(1, 10, 100)));
    assert_ne!(first, digest("key", stored(2, 10, 100)));
    assert_ne!(first, digest("received", stored(1, 11, 100)));
    assert_ne!(first, digest("size", stored(1, 10, 101)));
}

#[test]
fn a_damaged_snapshot_is_refused_and_leaves_the_store_alone() {
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| open(&dir.path().join(name)));
    put(&from, 7, (0..3000).map(|number| stored(number, 1, 1000)));
    put(&to, 1, [stored(9999, 1, 100)]);
    let snapshot = from.snapshot().unwrap();
    let mut source = snapshot.chunks().unwrap();
    let chunks: Vec<_> = std::iter::from_fn(|| source.next_chunk().unwrap()).collect();
    assert!(chunks.len() > 3, "several chunks make the order matter");

    let receive = |chunks: &[Bytes]| {
        let mut receiver = to.receive()?;
        chunks.iter().try_for_each(|chunk| receiver.push(chunk))?;
        receiver.complete()
    };
    for at in [0, 1, 500, chunks[1].len() - 1] {
        let mut damaged = chunks.clone();
        let mut bytes = damaged[1].to_vec();
        bytes[at] ^= 0x40;
        damaged[1] = bytes.into();
        assert!(receive(&damaged).is_err(), "byte {at}");
    }
    let swapped = [&chunks[1..2], &chunks[0..1], &chunks[2..]].concat();
    assert!(receive(&swapped).is_err(), "out of order");
    assert!(
        receive(&chunks[..chunks.len() - 1]).is_err(),
        "without its end"
    );
    assert!(
        receive(&[&chunks[..], &chunks[..1]].concat()).is_err(),
        "behind its end"
    );
    assert!(receive(&[Bytes::new()]).is_err(), "an empty chunk");
    assert_eq!(
        to.stored_packet(&key(9999)).unwrap(),
        Some(stored(9999, 1, 100))
    );
    assert!(receive(&chunks).is_ok());
}

#[test]
fn a_file_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.redb");
    {
        let database = Database::create(&path).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(META)
            .unwrap()
            .insert(META_FORMAT, [9].as_slice())
            .unwrap();
        txn.commit().unwrap();
    }
    let error = open_database(&path, CACHE_SIZE).err().unwrap();
    assert!(
        matches!(error, StoreError::Format { found: 9, .. }),
        "{error}"
    );
    std::fs::write(&path, b"no database at all").unwrap();
    let error = open_database(&path, CACHE_SIZE).err().unwrap();
    assert!(error.to_string().contains("records.redb"), "{error}");
}
