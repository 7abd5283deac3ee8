//! Files that somebody gives to an operator as a backup.

use std::io::Cursor;

use quorate_backup::{BackupReader, salvage, verify};
use sha2::{Digest, Sha256};

/// The beginning of a backup, and of each chunk.
const MAGIC: &[u8] = b"qbackup1";
const MARKER: &[u8] = b"QbCk";

/// The bytes are a file, or if the first one is 0 the contents of chunks: for each a kind, a size, and the
/// content. These get right hashes, which random changes never have.
///
/// Nothing may panic. A file that can be read to its end has only packets with wrong signatures as damage, and
/// what is salvaged from any file is valid.
pub fn backup(data: &[u8]) {
    let file = match data.split_first() {
        Some((0, contents)) => file_of(contents),
        _ => data.to_vec(),
    };
    let is_readable = BackupReader::open(&file[..])
        .is_ok_and(|reader| reader.into_iter().all(|stored| stored.is_ok()));
    let report = verify(Cursor::new(&file), |_, _, _| Ok(()));
    if is_readable {
        let report = report.as_ref().expect("it can be read");
        let is_signature = |damage: &quorate_backup::BackupDamage| damage.key.is_some();
        assert!(
            report.damage.iter().all(is_signature),
            "{:?}",
            report.damage
        );
    }
    let mut out = Vec::new();
    if salvage(Cursor::new(&file), &mut out, |_| {}).is_ok() {
        let salvaged = verify(Cursor::new(&out), |_, _, _| Ok(())).expect("it is a backup");
        assert!(salvaged.is_valid(), "{:?}", salvaged.damage);
    }
}

/// A file of these chunks, whose hashes are right. Its end is added.
fn file_of(mut contents: &[u8]) -> Vec<u8> {
    let (mut file, mut hashes, mut number) = (MAGIC.to_vec(), Sha256::new(), 0);
    while let Some(([kind, high, low], rest)) = contents.split_first_chunk() {
        let size = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (content, rest) = rest.split_at(size);
        add(&mut file, &mut hashes, kind % 4 + 1, number, content);
        (contents, number) = (rest, number + 1);
    }
    let end = [&[0; 8][..], &hashes.clone().finalize()].concat();
    add(&mut file, &mut hashes, 4, number, &end);
    file
}

fn add(file: &mut Vec<u8>, hashes: &mut Sha256, kind: u8, number: u32, content: &[u8]) {
    let data = zstd::bulk::compress(content, 1).expect("it fits");
    let sizes = [number, content.len() as u32, data.len() as u32];
    let fields = [&[kind][..], &sizes.map(u32::to_be_bytes).concat()].concat();
    let hash = Sha256::new_with_prefix(&fields)
        .chain_update(&data)
        .finalize();
    hashes.update(hash);
    file.extend([MARKER, &fields, &hash, &data].concat());
}
