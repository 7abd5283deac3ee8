use std::fs;

use super::*;

fn key_text(dir: &Path) -> Vec<u8> {
    fs::read(dir.join(KEY_FILE)).unwrap()
}

#[test]
fn an_identity_is_made_once() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b");
    let made = open_or_make(&dir).unwrap().public_key();
    let text = key_text(&dir);
    assert_eq!(open_or_make(&dir).unwrap().public_key(), made);
    assert_eq!(key_text(&dir), text);
    let other = open_or_make(&root.path().join("c")).unwrap().public_key();
    assert_ne!(other, made);
}

#[test]
fn a_broken_key_file_is_named_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(KEY_FILE), "broken").unwrap();
    let error = format!("{:#}", open_or_make(root.path()).err().unwrap());
    assert!(error.contains(KEY_FILE), "{error}");
    assert_eq!(key_text(root.path()), b"broken");
}

#[test]
fn an_address_that_cannot_be_dialled_is_refused() {
    assert_eq!(
        parse_address("NS1.example.org:7700").as_deref(),
        Ok("ns1.example.org:7700")
    );
    assert!(parse_address("ns1.example.org").is_err());
}
