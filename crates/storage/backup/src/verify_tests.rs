use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::{BackupReader, fixture::*};

fn verified(bytes: &[u8]) -> (Report, Vec<StoredPacket>) {
    let mut valid = Vec::new();
    let report = verify(Cursor::new(bytes), |_, _, packets| {
        valid.extend(packets);
        Ok(())
    });
    (report.unwrap(), valid)
}

/// Where the chunks start.
fn chunks(bytes: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(MARKER.len()).enumerate();
    windows
        .filter(|(_, it)| *it == MARKER)
        .map(|(at, _)| at)
        .collect()
}

#[test]
fn an_undamaged_backup_is_valid() {
    let packets = packets(400);
    let (report, valid) = verified(&backup_of(&packets));
    assert!(report.is_valid(), "{:?}", report.damage);
    assert_eq!(report.header, Some(header(packets.len() as u64)));
    assert_eq!(valid, packets);
}

#[test]
fn a_damaged_chunk_is_named_and_the_others_are_verified() {
    let packets = packets(500);
    let bytes = backup_of(&packets);
    let starts = chunks(&bytes);
    assert!(starts.len() > 5, "{}", starts.len());
    for damaged in 2..starts.len() - 1 {
        let mut bytes = bytes.clone();
        bytes[starts[damaged] + 60] ^= 1;
        let (report, valid) = verified(&bytes);
        assert_eq!(report.damage_count, 1, "{:?}", report.damage);
        let damage = &report.damage[0];
        assert_eq!(
            (damage.chunk, damage.offset),
            (damaged as u32, starts[damaged] as u64)
        );
        assert!(valid.len() < packets.len() && valid.len() > packets.len() / 3);
        assert!(valid.iter().all(|stored| packets.contains(stored)));
    }
}

#[test]
fn a_packet_with_a_wrong_signature_is_named_by_its_key() {
    let mut packets = packets(100);
    let mut payload = packets[50].packet.payload().to_vec();
    payload[3] ^= 1;
    let key = *packets[50].packet.key();
    packets[50].packet = SignedPacket::assume_verified(key, payload.into()).unwrap();
    let (report, valid) = verified(&backup_of(&packets));
    assert_eq!(report.damage[0].key, Some(key));
    assert!(report.damage[0].to_string().contains(&key.to_string()));
    assert_eq!(
        (report.valid_count, report.damage_count, valid.len()),
        (99, 1, 99)
    );
}

#[test]
fn a_missing_end_or_chunk_and_bytes_after_the_end_are_damage() {
    let bytes = backup_of(&packets(500));
    let starts = chunks(&bytes);
    let last = *starts.last().unwrap();
    let left_out = [&bytes[..starts[3]], &bytes[starts[4]..]].concat();
    for damaged in [
        &bytes[..last],
        &bytes[..last + 5],
        &left_out,
        &[&bytes[..], b"x"].concat(),
    ] {
        assert!(!verified(damaged).0.is_valid());
    }
}

#[test]
fn what_is_salvaged_is_a_valid_backup_of_the_rest() {
    let all = packets(500);
    let bytes = backup_of(&all);
    let starts = chunks(&bytes);
    for damaged in [0, 1, 3, starts.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[starts[damaged] + 60] ^= 1;
        let mut out = Vec::new();
        let report = salvage(Cursor::new(&bytes), &mut out, |_| {}).unwrap();
        assert_eq!(report.damage_count, 1);
        let (again, valid) = verified(&out);
        assert!(again.is_valid(), "{:?}", again.damage);
        assert_eq!(valid.len() as u64, report.valid_count);
        let reader = BackupReader::open(&out[..]).unwrap();
        assert_eq!(reader.header.packet_count, report.valid_count);
        let expected = match damaged {
            1 => ClusterState::default(),
            _ => state().without_secrets(),
        };
        assert_eq!(reader.state, expected);
    }
}

#[test]
fn what_a_restore_would_refuse_is_damage() {
    let end = |parts: &[(ChunkKind, u32, &[u8])]| {
        let mut bytes = MAGIC.to_vec();
        for (kind, number, content) in parts {
            crate::chunk::write_chunk(&mut bytes, *kind, *number, content).unwrap();
        }
        verified(&bytes).0
    };
    let of_nothing = [&[0; 8][..], &Sha256::digest(b"")].concat();
    let report = end(&[(ChunkKind::End, 0, &of_nothing)]);
    assert!(
        report.damage[0].reason.contains("wrong place"),
        "{report:?}"
    );
    let (a, mut unordered) = (packets(300), packets(300));
    unordered.swap(10, 20);
    assert!(verified(&backup_of(&a)).0.is_valid());
    let report = verified(&backup_of(&unordered)).0;
    assert!(
        report.damage[0].reason.contains("out of order"),
        "{report:?}"
    );
}

/// Counts the bytes that are read.
struct Counted<'a>(Cursor<&'a [u8]>, u64);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.0.read(buffer)?;
        self.1 += size as u64;
        Ok(size)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// Each marker begins a header of a chunk of 8 MiB that the file does not have.
#[test]
fn a_file_of_false_chunks_is_read_a_few_times_only() {
    let mut header = MARKER.to_vec();
    header.extend([3, 0, 0, 0, 2, 0, 0x80, 0, 0, 0, 0x80, 0, 0]);
    let bytes = [&MAGIC[..], &header.repeat(200_000)].concat();
    let mut counted = Counted(Cursor::new(&bytes), 0);
    let report = verify(&mut counted, |_, _, _| Ok(())).unwrap();
    assert!(!report.is_valid());
    // Without a bound, each of 200,000 headers reads all that is after it.
    let read_max = 2 * (SEARCHED_SIZE_FACTOR * bytes.len() as u64 + CONTENT_SIZE_MAX as u64);
    assert!(counted.1 < read_max, "{} of at most {read_max}", counted.1);
}

proptest! {
    #[test]
    fn any_changed_byte_is_found(at in any::<prop::sample::Index>(), with in 1_u8..) {
        let mut bytes = backup_of(&packets(40));
        let at = at.index(bytes.len() - MAGIC.len()) + MAGIC.len();
        bytes[at] ^= with;
        prop_assert!(!verified(&bytes).0.is_valid(), "byte {at}");
    }

    #[test]
    fn any_bytes_can_be_verified(bytes: Vec<u8>) {
        let marked = [&MAGIC[..], &bytes, &MARKER, &bytes].concat();
        prop_assert!(!verified(&marked).0.is_valid());
    }
}
