use std::{fs, os::unix::fs::PermissionsExt};

use quorate_disk::LinuxDisk;

use super::*;

#[test]
fn a_saved_identity_is_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.key");
    let identity = Identity::generate().unwrap();
    identity.save(&LinuxDisk, &path).unwrap();
    let loaded = Identity::load(&LinuxDisk, &path).unwrap();
    assert_eq!(loaded.public_key(), identity.public_key());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(&identity.public_key().to_string()));
}

#[test]
fn the_key_of_a_seed_is_that_of_rfc_8032() {
    // Section 7.1, test 1.
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let identity = parse(&format!("# a comment\n\n  {}  \n", seed.to_uppercase())).unwrap();
    assert_eq!(
        HEXLOWER_PERMISSIVE.encode(identity.public_key().as_bytes()),
        public
    );
}

#[test]
fn two_identities_differ() {
    let one = Identity::generate().unwrap();
    let other = Identity::generate().unwrap();
    assert_ne!(one.public_key(), other.public_key());
}

#[test]
fn an_identity_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.key");
    let first = Identity::generate().unwrap();
    first.save(&LinuxDisk, &path).unwrap();
    let error = Identity::generate()
        .unwrap()
        .save(&LinuxDisk, &path)
        .unwrap_err();
    assert!(matches!(&error, IdentityError::Exists(p) if *p == path));
    let loaded = Identity::load(&LinuxDisk, &path).unwrap();
    assert_eq!(loaded.public_key(), first.public_key());
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no temporary file stays"
    );
}

#[test]
fn the_error_of_a_damaged_file_names_file_and_cause() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.key");
    Identity::generate()
        .unwrap()
        .save(&LinuxDisk, &path)
        .unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let key = whole.lines().last().unwrap();
    for (text, reason) in [
        (String::new(), "no key"),
        ("# only a comment\n".to_owned(), "no key"),
        (key[..62].to_owned(), "64 hexadecimal digits"),
        (format!("{key}00"), "64 hexadecimal digits"),
        (format!("{}xy", &key[..62]), "not hexadecimal"),
        (format!("{key}\n{key}\n"), "more than one line"),
    ] {
        fs::write(&path, text).unwrap();
        let error = Identity::load(&LinuxDisk, &path).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    fs::write(&path, [0xff; 70]).unwrap();
    assert!(matches!(
        Identity::load(&LinuxDisk, &path),
        Err(IdentityError::Read { .. })
    ));
}

#[test]
fn a_missing_file_and_a_missing_directory_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent").join("node.key");
    let error = Identity::load(&LinuxDisk, &path).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    let error = Identity::generate()
        .unwrap()
        .save(&LinuxDisk, &path)
        .unwrap_err();
    assert!(matches!(&error, IdentityError::Write { path: p, .. } if *p == path));
}

#[test]
fn the_file_is_private_and_rejected_when_open_to_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.key");
    Identity::generate()
        .unwrap()
        .save(&LinuxDisk, &path)
        .unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o660);
    Identity::load(&LinuxDisk, &path).unwrap();
    for mode in [0o604, 0o644, 0o602] {
        set_mode(mode);
        let error = Identity::load(&LinuxDisk, &path).unwrap_err();
        assert!(matches!(error, IdentityError::Exposed { mode: m, .. } if m == mode));
    }
}

#[test]
fn the_secret_is_not_shown() {
    let identity = Identity::generate().unwrap();
    let shown = format!("{identity:?}");
    assert!(!shown.contains(&HEXLOWER_PERMISSIVE.encode(identity.seed())));
    assert!(shown.contains(&identity.public_key().to_string()));
}
