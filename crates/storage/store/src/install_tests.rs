//! Measures how long reads wait for an installation. It depends on the machine, so it is not part
//! of the usual tests: `cargo test --release -p quorate-store -- --ignored --nocapture
//! installation`.

#![allow(clippy::print_stdout)]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use quorate_packet::PublicKey;

use crate::{Meta, Store, fixture::*};

const PACKET_COUNT: u32 = 1_000_000;

/// A usual size: an address or two.
const PAYLOAD_SIZE: usize = 300;

/// The longest that a read may wait for an installation.
const WAIT_MAX: Duration = Duration::from_millis(10);

/// Reads keys from all maps in turn until `is_done`. Returns the times of slow reads.
fn read_until(store: &Store, is_done: &AtomicBool) -> Vec<Duration> {
    let mut longest = Vec::new();
    let mut number = 0_u32;
    while !is_done.load(Ordering::Acquire) {
        let mut key = [0; 32];
        key[0] = number as u8;
        key[..4].rotate_left(number as usize % 4);
        number = number.wrapping_add(1);
        let started = Instant::now();
        std::hint::black_box(store.stored_packet(&PublicKey::from_bytes(key)));
        let waited = started.elapsed();
        if waited > Duration::from_millis(1) {
            longest.push(waited);
        }
    }
    longest.sort_unstable();
    longest
}

#[test]
#[ignore = "a measurement that takes a minute"]
fn reads_continue_during_an_installation_of_a_million_packets() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [from, to] = dirs.each_ref().map(|dir| open(&config(dir.path())));
    for store in [&from, &to] {
        // Keys that are spread over all maps.
        let numbers = (0..PACKET_COUNT).map(|number| number.wrapping_mul(2_654_435_761));
        put(
            store,
            7,
            numbers.map(|number| stored(number, 1, PAYLOAD_SIZE)),
        );
        checkpoint(store);
    }
    let snapshot = from.snapshot().unwrap();
    let started = Instant::now();
    let mut receiver = Store::receiver(to.config()).unwrap();
    let mut chunks = snapshot.chunks().unwrap();
    let (mut count, mut size) = (0, 0);
    while let Some(chunk) = chunks.next_chunk().unwrap() {
        receiver.push(&chunk).unwrap();
        (count, size) = (count + 1, size + chunk.len());
    }
    println!(
        "{count} chunks, {size} bytes received in {:?}",
        started.elapsed()
    );
    let started = Instant::now();
    let received = receiver.complete().unwrap();
    println!("completed in {:?}", started.elapsed());

    let is_done = AtomicBool::new(false);
    let longest = thread::scope(|scope| {
        let reads = scope.spawn(|| read_until(&to, &is_done));
        let meta = Meta {
            applied: snapshot.meta().applied,
            ..Meta::default()
        };
        let started = Instant::now();
        to.install(received, meta).unwrap();
        println!("installed in {:?}", started.elapsed());
        is_done.store(true, Ordering::Release);
        reads.join().unwrap()
    });
    println!("reads that took more than 1 ms: {longest:?}");
    assert!(longest.last().is_none_or(|longest| *longest <= WAIT_MAX));
}
