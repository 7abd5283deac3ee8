//! Databases that the real programs wrote: iroh-dns-server 1.4.1, stopped and killed, and pkarr-relay 2.1.0.

use std::{fs, path::PathBuf};

use quorate_packet::{PublicKey, SignedPacket};
use tempfile::TempDir;

use super::*;

/// Unpacks a fixture as this file in a new directory.
fn unpacked(fixture: &str, name: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let packed = fs::read(fixtures.join(fixture)).unwrap();
    let file = dir.path().join(name);
    fs::write(&file, zstd::decode_all(&packed[..]).unwrap()).unwrap();
    (dir, file)
}

/// The texts of three valid packets, which were seen in November 2026.
fn texts(packets: ForeignPackets) -> Vec<String> {
    assert_eq!(packets.count, 3);
    let texts = packets.packets.map(|packet| {
        let packet = packet.unwrap();
        let seen = packet.seen_ms.unwrap();
        assert!(
            (1_793_000_000_000..1_798_000_000_000).contains(&seen),
            "{seen}"
        );
        let key = PublicKey::from_bytes(packet.key);
        let valid = SignedPacket::parse(key, packet.payload.into()).unwrap();
        let text = String::from_utf8_lossy(valid.dns()).into_owned();
        let at = text.find("relay=").unwrap();
        text[at..].to_owned()
    });
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    texts
}

#[test]
fn the_database_of_iroh_dns_server_is_read_and_not_changed() {
    for fixture in ["iroh-dns-server.db.zst", "iroh-dns-server-killed.db.zst"] {
        let (dir, file) = unpacked(fixture, "signed-packets-1.db");
        let before = fs::read(&file).unwrap();
        let expected = [1, 2, 3].map(|n| format!("relay=https://r{n}.example"));
        assert_eq!(texts(iroh_dns_server(&file).unwrap()), expected);
        assert_eq!(fs::read(&file).unwrap(), before);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }
}

#[test]
fn the_database_of_pkarr_relay_is_read_and_not_changed() {
    let (dir, file) = unpacked("pkarr-relay.mdb.zst", "data.mdb");
    let before = fs::read(&file).unwrap();
    let expected = [1, 2, 3].map(|n| format!("relay=https://p{n}.example"));
    assert_eq!(texts(pkarr_relay(dir.path()).unwrap()), expected);
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn a_database_in_use_is_named() {
    let (_dir, file) = unpacked("iroh-dns-server.db.zst", "signed-packets-1.db");
    let _open = redb::Database::open(&file).unwrap();
    let error = iroh_dns_server(&file).err().unwrap().to_string();
    assert!(error.contains("stop the server"), "{error}");
}

/// Reads all of it, if it can be opened.
fn read_all(opened: Result<ForeignPackets, ForeignError>) {
    if let Ok(ForeignPackets { packets, .. }) = opened {
        // A damaged tree could lead in a circle.
        let count = packets.take(1000).count();
        assert!(count < 1000, "it does not end");
    }
}

#[test]
fn damaged_databases_are_errors() {
    let (dir, file) = unpacked("iroh-dns-server.db.zst", "signed-packets-1.db");
    let intact = fs::read(&file).unwrap();
    for place in 0..120 {
        let mut bytes = intact.clone();
        let at = place * bytes.len() / 120;
        let end = bytes.len().min(at + 64);
        bytes[at..end].fill(0xa5);
        fs::write(&file, bytes).unwrap();
        read_all(iroh_dns_server(&file));
    }
    drop(dir);
    let (dir, file) = unpacked("pkarr-relay.mdb.zst", "data.mdb");
    let intact = fs::read(&file).unwrap();
    for pages in 0..intact.len() / 4096 {
        fs::write(&file, &intact[..pages * 4096]).unwrap();
        let cut = pkarr_relay(dir.path());
        assert!(cut.is_err(), "{pages} pages");
    }
}

#[test]
fn other_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data.mdb");
    fs::write(&file, [7; 40_000]).unwrap();
    for error in [
        iroh_dns_server(&file).err().unwrap(),
        pkarr_relay(dir.path()).err().unwrap(),
    ] {
        let text = error.to_string();
        assert!(text.contains("is not a database of "), "{text}");
    }
    let missing = dir.path().join("none");
    assert!(iroh_dns_server(&missing).is_err());
    assert!(matches!(
        pkarr_relay(&missing).err().unwrap(),
        ForeignError::Io { .. }
    ));
}
