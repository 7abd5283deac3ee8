use super::*;

fn key_bytes(dir: &Path) -> Vec<u8> {
    fs::read(dir.join(KEY_FILE)).unwrap()
}

#[test]
fn an_identity_is_made_once() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b");
    let made = open_or_make(&dir).unwrap().public_key();
    let text = key_bytes(&dir);
    assert_eq!(open_or_make(&dir).unwrap().public_key(), made);
    assert_eq!(key_bytes(&dir), text);
    let other = open_or_make(&root.path().join("c")).unwrap().public_key();
    assert_ne!(other, made);
}

#[test]
fn a_broken_key_file_is_named_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(KEY_FILE), "broken").unwrap();
    let error = format!("{:#}", open_or_make(root.path()).err().unwrap());
    assert!(error.contains(KEY_FILE), "{error}");
    assert_eq!(key_bytes(root.path()), b"broken");
}

#[test]
fn an_address_that_cannot_be_dialled_is_refused() {
    assert_eq!(
        parse_address("NS1.example.org:7700").as_deref(),
        Ok("ns1.example.org:7700")
    );
    assert!(parse_address("ns1.example.org").is_err());
}

#[test]
fn an_identity_that_was_used_does_not_begin_anew() {
    let root = tempfile::tempdir().unwrap();
    let made = open_or_make(root.path()).unwrap().public_key();
    check_unused(root.path()).unwrap();
    mark_used(root.path(), "6f6e").unwrap();
    let error = check_unused(root.path()).unwrap_err().to_string();
    assert!(
        error.contains("6f6e") && error.contains("member replace"),
        "{error}"
    );

    let text = key_bytes(root.path());
    mark_used(root.path(), "6f6f").unwrap();
    assert_eq!(key_bytes(root.path()), text, "it is marked once");
    assert_eq!(open_or_make(root.path()).unwrap().public_key(), made);
    let mode = fs::metadata(root.path().join(KEY_FILE))
        .unwrap()
        .permissions();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode);
    assert_eq!(mode & 0o077, 0, "it is still a secret");
}
