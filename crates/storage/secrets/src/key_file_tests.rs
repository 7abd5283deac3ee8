use std::{fs, os::unix::fs::PermissionsExt};

use quorate_disk::LinuxDisk;
use tempfile::TempDir;

use super::*;

fn key(byte: u8) -> ClusterKey {
    ClusterKey::from_bytes([byte; _])
}

fn open(dir: &TempDir) -> Result<KeyFile, KeyFileError> {
    KeyFile::open(Arc::new(LinuxDisk), dir.path())
}

/// The first byte of each key in the file.
fn kept(dir: &TempDir) -> Vec<u8> {
    let file = open(dir).unwrap();
    let keys = file.keys();
    keys.iter().map(|key| key.as_bytes()[0]).collect()
}

#[test]
fn keys_stay_and_only_their_owner_can_read_them() {
    let dir = TempDir::new().unwrap();
    let mut file = open(&dir).unwrap();
    for byte in [1, 2, 1] {
        file.add_pending(key(byte)).unwrap();
    }
    file.add_used(key(3)).unwrap();
    assert_eq!(kept(&dir), [1, 2, 3]);
    assert_eq!(open(&dir).unwrap().keys, file.keys);
    let mode = fs::metadata(dir.path().join(CLUSTER_KEY_FILE)).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn used_keys_go_once_nothing_needs_them_and_pending_ones_stay() {
    let dir = TempDir::new().unwrap();
    let mut file = open(&dir).unwrap();
    for byte in 1..=4 {
        file.add_pending(key(byte)).unwrap();
    }
    file.keep_needed(&[key(1).id(), key(2).id()]).unwrap();
    assert_eq!(kept(&dir), [1, 2, 3, 4]);
    file.keep_needed(&[key(2).id()]).unwrap();
    assert_eq!(kept(&dir), [2, 3, 4]);
    file.keep_needed(&[key(4).id()]).unwrap();
    assert_eq!(kept(&dir), [3, 4], "what was acknowledged stays");
}

/// A node that was away gets the next key before the one in use.
#[test]
fn a_key_in_use_that_comes_late_drops_no_pending_one() {
    let dir = TempDir::new().unwrap();
    let mut file = open(&dir).unwrap();
    file.add_pending(key(2)).unwrap();
    file.add_used(key(1)).unwrap();
    file.keep_needed(&[key(1).id()]).unwrap();
    assert_eq!(kept(&dir), [2, 1]);
}

#[test]
fn pending_keys_are_bounded_and_used_ones_stay() {
    let dir = TempDir::new().unwrap();
    let mut file = open(&dir).unwrap();
    file.add_used(key(1)).unwrap();
    for byte in 2..=20 {
        file.add_pending(key(byte)).unwrap();
    }
    assert_eq!(kept(&dir), [1, 13, 14, 15, 16, 17, 18, 19, 20]);
}

#[test]
fn a_file_that_others_can_read_or_that_is_damaged_is_rejected() {
    let dir = TempDir::new().unwrap();
    open(&dir).unwrap().add_pending(key(1)).unwrap();
    let path = dir.path().join(CLUSTER_KEY_FILE);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o604)).unwrap();
    assert!(matches!(open(&dir), Err(KeyFileError::Exposed(_, _))));
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    for text in [
        "0101",
        "zz",
        &"01".repeat(33),
        &("01".repeat(32) + " usd"),
        "\u{fffd}",
    ] {
        fs::write(&path, text).unwrap();
        let error = open(&dir).unwrap_err();
        assert!(matches!(error, KeyFileError::Damaged(_)), "{text}: {error}");
    }
}
