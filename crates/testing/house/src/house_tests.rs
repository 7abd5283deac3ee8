use std::fs;

use tempfile::TempDir;

use crate::{LINE_COUNT_MAX, breaches, documents::missing_files};

/// Returns the broken rules in crates with these files.
fn check(files: &[(&str, &str)]) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let mut dir = path.parent().unwrap();
        while !dir.ends_with("src") {
            dir = dir.parent().unwrap();
        }
        fs::write(dir.with_file_name("Cargo.toml"), "").unwrap();
    }
    let found = breaches(dir.path()).unwrap();
    let prefix = format!("{}/", dir.path().display());
    found
        .iter()
        .map(|breach| breach.replace(&prefix, ""))
        .collect()
}

const LIB: (&str, &str) = (
    "pure/a/src/lib.rs",
    "mod b;\nmod c;\npub use b::B;\npub use c::C;\n",
);

#[test]
fn files_that_use_each_other_are_a_circle() {
    let found = check(&[
        LIB,
        ("pure/a/src/b.rs", "use crate::c::C;\npub struct B(C);\n"),
        (
            "pure/a/src/c.rs",
            "pub struct C;\nfn f() { crate::b::f() }\n",
        ),
    ]);
    assert_eq!(
        found,
        ["circle of files: pure/a/src/b.rs -> pure/a/src/c.rs -> pure/a/src/b.rs"]
    );
}

#[test]
fn a_name_that_is_handed_on_leads_to_where_it_is_defined() {
    let found = check(&[
        LIB,
        (
            "pure/a/src/b.rs",
            "use crate::{C as Other};\npub struct B(Other);\n",
        ),
        (
            "pure/a/src/c.rs",
            "pub struct C;\nmod d;\nmacro_rules! m { () => { super::B } }\n",
        ),
        ("pure/a/src/c/d.rs", "use super::C;\nstruct D(C);\n"),
    ]);
    assert_eq!(
        found,
        ["circle of files: pure/a/src/b.rs -> pure/a/src/c.rs -> pure/a/src/b.rs"]
    );
}

#[test]
fn uses_in_tests_close_no_circle() {
    let found = check(&[
        LIB,
        ("pure/a/src/b.rs", "use crate::C;\npub struct B(C);\n"),
        (
            "pure/a/src/c.rs",
            "pub struct C;\n#[cfg(test)]\nmod tests { use crate::B; struct T(B); }\n",
        ),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn no_public_type_has_the_name_of_another_but_in_testing_crates() {
    let other = "pub enum B {}\npub(crate) struct C;\n";
    let files = [
        ("pure/a/src/lib.rs", "pub struct B;\npub struct C;\n"),
        ("serve/b/src/lib.rs", other),
        ("testing/c/src/lib.rs", other),
    ];
    let found = check(&files);
    assert_eq!(
        found,
        ["public type `B` in pure/a/src/lib.rs and serve/b/src/lib.rs"]
    );
}

#[test]
fn a_file_of_too_many_lines_is_named_comments_and_tests_aside() {
    let comments = "// why\n\n".repeat(LINE_COUNT_MAX);
    let tests = format!(
        "#[cfg(test)]\nmod tests {{\n{}}}\n",
        "    fn f() {}\n".repeat(LINE_COUNT_MAX)
    );
    let code = "const A: u8 = 0;\n".repeat(LINE_COUNT_MAX);
    let file = "pure/a/src/lib.rs";
    assert_eq!(
        check(&[(file, &format!("{comments}{code}{tests}"))]),
        [""; 0]
    );
    let found = check(&[(file, &format!("{code}const B: u8 = 0;\n"))]);
    assert_eq!(
        found,
        ["pure/a/src/lib.rs: 401 lines of code; split it by subject"]
    );
}

#[test]
fn a_missing_file_that_a_document_names_is_reported() {
    let dir = TempDir::new().unwrap();
    let document = dir.path().join("A.md");
    fs::write(
        &document,
        "See `raft/src/b.rs`, `raft/src/c.rs` and `b.rs`.",
    )
    .unwrap();
    let files = ["crates/cluster/raft/src/b.rs".to_owned()];
    let missing = missing_files(dir.path(), &files).unwrap();
    let expected = format!(
        "{} names `raft/src/c.rs`, which is not there",
        document.display()
    );
    assert_eq!(missing, [expected]);
}
