//! Runs the targets on their seeds, which include inputs that once failed, and on changed seeds.

use std::{fs, path::Path};

use proptest::prelude::*;
use quorate_fuzz::{TARGETS, Target};

/// The seeds of the fuzzers, one directory for each target.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/fuzz/seeds");

/// How often each target runs. Together they take a few seconds.
const CASE_COUNT: u32 = 1_000;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(Path::new(SEEDS).join(target)).expect("each target has seeds");
    let mut files: Vec<_> = files
        .map(|file| file.expect("the directory is readable").path())
        .collect();
    files.sort();
    let seeds: Vec<_> = files
        .iter()
        .map(|file| fs::read(file).expect("the file is readable"))
        .collect();
    assert!(!seeds.is_empty());
    seeds
}

/// A seed with some changed bytes, and its end cut off or repeated.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 0..8);
    let seed = (0..seeds.len()).prop_map(move |at| seeds[at].clone());
    (seed, changes, any::<prop::sample::Index>(), 0..4).prop_map(
        |(mut bytes, changes, end, change_of_end)| {
            if bytes.is_empty() {
                return bytes;
            }
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let end = end.index(bytes.len());
            match change_of_end {
                0 => bytes.truncate(end),
                1 => bytes.extend_from_within(end..),
                _ => {}
            }
            bytes
        },
    )
}

fn run(name: &str) {
    let (_, target): &(&str, Target) = TARGETS
        .iter()
        .find(|(n, _)| *n == name)
        .expect("the target exists");
    let seeds = seeds(name);
    seeds.iter().for_each(|seed| target(seed));
    let config = ProptestConfig {
        cases: CASE_COUNT,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let bytes = prop_oneof![
        7 => changed(seeds),
        1 => proptest::collection::vec(any::<u8>(), 0..600),
    ];
    proptest!(config, |(bytes in bytes)| target(&bytes));
}

#[test]
fn datagrams_pass_the_checks() {
    run("datagram");
}

#[test]
fn queries_pass_the_checks() {
    run("query");
}

#[test]
fn packets_pass_the_checks() {
    run("packet");
}

#[test]
fn answers_pass_the_checks() {
    run("answer");
}

#[test]
fn doh_requests_pass_the_checks() {
    run("doh");
}
