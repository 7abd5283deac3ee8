use proptest::prelude::*;

use super::*;
use crate::{chunk::CHUNK_HEADER_SIZE, fixture::*};

fn read(bytes: &[u8]) -> Result<Vec<StoredPacket>, BackupError> {
    BackupReader::open(bytes)?.collect()
}

#[test]
fn what_was_written_is_read_and_has_nothing_of_the_old_cluster() {
    for count in [0, 1, 400] {
        let packets = packets(count);
        let bytes = backup_of(&packets);
        let reader = BackupReader::open(&bytes[..]).unwrap();
        assert_eq!(reader.header, header(packets.len() as u64));
        assert_eq!(reader.state, state().without_secrets());
        assert_eq!(reader.state.id, None);
        assert_eq!(read(&bytes).unwrap(), packets);
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_rejected() {
    let bytes = backup_of(&packets(300));
    for size in 0..bytes.len() {
        assert!(
            read(&bytes[..size]).is_err(),
            "{size} of {} bytes",
            bytes.len()
        );
    }
}

#[test]
fn other_files_and_versions_are_named() {
    assert!(matches!(read(b""), Err(BackupError::Magic)));
    assert!(matches!(
        read(b"PK\x03\x04 a zip file"),
        Err(BackupError::Magic)
    ));
    let mut newer = backup_of(&[]);
    newer[7] = b'2';
    let error = read(&newer).unwrap_err().to_string();
    assert!(error.contains("'2'") && error.contains("newer"), "{error}");
}

#[test]
fn a_chunk_cannot_claim_more_memory_than_a_chunk_may_have() {
    let bytes = backup_of(&[]);
    for at in [MAGIC.len() + 9, MAGIC.len() + 13] {
        let mut forged = bytes.clone();
        forged[at..at + 4].fill(0xff);
        let error = read(&forged).unwrap_err().to_string();
        assert!(error.contains("chunk 0 at byte 8"), "{error}");
    }
    assert!(bytes.len() > CHUNK_HEADER_SIZE);
}

#[test]
fn chunks_in_another_order_are_rejected() {
    let bytes = backup_of(&packets(400));
    let starts: Vec<_> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, it)| *it == crate::chunk::MARKER)
        .map(|(at, _)| at)
        .collect();
    assert!(starts.len() > 4);
    let (a, b, c) = (starts[2], starts[3], starts[4]);
    let swapped = [&bytes[..a], &bytes[b..c], &bytes[a..b], &bytes[c..]].concat();
    assert!(read(&swapped).is_err());
    let left_out = [&bytes[..a], &bytes[b..]].concat();
    assert!(read(&left_out).is_err());
    assert!(read(&[&bytes[..], b"x"].concat()).is_err());
}

proptest! {
    #[test]
    fn any_changed_byte_is_noticed(at in any::<prop::sample::Index>(), with in 1_u8..) {
        let mut bytes = backup_of(&packets(40));
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        prop_assert!(read(&bytes).is_err(), "byte {at}");
    }

    #[test]
    fn any_bytes_after_the_magic_are_rejected(bytes: Vec<u8>) {
        prop_assert!(read(&[&MAGIC[..], &bytes].concat()).is_err());
    }
}
