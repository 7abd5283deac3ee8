//! Measures a store with many packets of the usual size: memory, and the time of a start, a put and
//! a read. Puts and reads are measured in CPU time of one thread, so the load of the machine does
//! not matter.
//!
//! `cargo run --release -p quorate-store --example footprint -- 1000000`

#![allow(clippy::print_stdout)]

use std::{error::Error, fs, hint::black_box, path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use quorate_disk::LinuxDisk;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_state::{StoredPacket, StoredPackets, UnixMillis};
use quorate_store::{CheckpointScope, IoSpeed, Store, StoreConfig, StoreMetrics};

/// How many reads of random keys are timed.
const READ_COUNT: u64 = 2_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().unwrap_or_default().parse()?;
    let dir = tempfile::tempdir()?;
    match arguments.next() {
        None => {
            fill(&config(dir.path()), count)?;
            let program = std::env::current_exe()?;
            let mut second = std::process::Command::new(program);
            let status = second.arg(count.to_string()).arg(dir.path()).status()?;
            return status
                .success()
                .then_some(())
                .ok_or("the second process failed".into());
        }
        Some(dir) => start(&config(Path::new(&dir)), count)?,
    }
    Ok(())
}

fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        disk: Arc::new(LinuxDisk),
        path: dir.join("packets.redb"),
        cache_size: 16 * 1024 * 1024,
    }
}

fn open(config: &StoreConfig) -> Result<Store, Box<dyn Error>> {
    let metrics = StoreMetrics::register(&quorate_metrics::Registry::new())?;
    Ok(Store::open(config.clone(), metrics)?)
}

fn fill(config: &StoreConfig, count: u64) -> Result<(), Box<dyn Error>> {
    let store = open(config)?;
    let mut in_transactions = 0.0;
    for first in (0..count).step_by(256) {
        let batch: Vec<_> = (first..count.min(first + 256)).map(packet).collect();
        let started = cpu_time_secs()?;
        store.transact(|packets, _| {
            for stored in &batch {
                packets.put(stored);
            }
        });
        in_transactions += cpu_time_secs()? - started;
        if first % 65_536 == 0 {
            store
                .begin_checkpoint(CheckpointScope::Changes)
                .commit(IoSpeed::Fast)?;
        }
    }
    store
        .begin_checkpoint(CheckpointScope::Changes)
        .commit(IoSpeed::Fast)?;
    println!(
        "filled: {} MB, {:.2} µs per put",
        resident_size()? / 1_000_000,
        in_transactions * 1e6 / count as f64
    );
    Ok(())
}

fn start(config: &StoreConfig, count: u64) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let store = open(config)?;
    println!(
        "started: {} MB, {:.2} s",
        resident_size()? / 1_000_000,
        started.elapsed().as_secs_f64()
    );
    println!("  CPU time of this thread: {:.2} s", cpu_time_secs()?);
    let index = store.index();
    for key_count in [1_000, 10_000, 100_000, count] {
        let numbers = (0..READ_COUNT).map(|number| mixed(number) % key_count.min(count));
        let keys: Vec<_> = numbers.map(key).collect();
        for _warm in [false, true] {
            let started = cpu_time_secs()?;
            for key in &keys {
                let indexed = index.packet(key).ok_or("the packet is missing")?;
                let dns = indexed.compiled.packet().dns();
                black_box((
                    indexed.compiled.ttl_secs_min(),
                    dns[20],
                    dns[dns.len() - 20],
                    dns[90],
                ));
            }
            let taken = cpu_time_secs()? - started;
            println!(
                "read of {key_count} keys: {:.0} ns",
                taken * 1e9 / READ_COUNT as f64
            );
        }
    }
    let started = cpu_time_secs()?;
    black_box(store.packets_after(Some(&key(1)), 1000));
    let taken = cpu_time_secs()? - started;
    println!("listed: {:.1} ms per page", taken * 1e3);
    Ok(())
}

/// The CPU time of this thread, in seconds.
fn cpu_time_secs() -> Result<f64, Box<dyn Error>> {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = schedstat.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e9)
}

/// A packet as iroh publishes it: two TXT records, about 250 bytes in total.
fn packet(number: u64) -> StoredPacket {
    let key = key(number);
    let z32 = key.to_string();
    let mut payload = vec![1; 64];
    payload.extend_from_slice(&(1_700_000_000_000_000 + number).to_be_bytes());
    payload.extend_from_slice(&[0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    payload.extend_from_slice(b"\x05_iroh\x34");
    payload.extend_from_slice(z32.as_bytes());
    payload.push(0);
    record(&mut payload, b"relay=https://euw1-1.relay.iroh.network./");
    payload.extend_from_slice(&[0xc0, 12]);
    record(&mut payload, b"addr=203.0.113.117:51820 192.0.2.17:51820");
    let packet = SignedPacket::assume_verified(key, Bytes::from(payload));
    StoredPacket {
        received: UnixMillis(1_700_000_000_000 + number),
        packet: packet.expect("a packet has a possible size"),
    }
}

/// Appends type TXT, class IN, a TTL of 30 s, and one string.
fn record(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&[0, 16, 0, 1, 0, 0, 0, 30, 0, text.len() as u8 + 1]);
    out.push(text.len() as u8);
    out.extend_from_slice(text);
}

fn key(number: u64) -> PublicKey {
    let mut bytes = [0; 32];
    for (part, word) in bytes.chunks_exact_mut(8).zip(1..) {
        part.copy_from_slice(&mixed(number * 4 + word).to_be_bytes());
    }
    PublicKey::from_bytes(bytes)
}

/// A pseudo-random number (SplitMix64).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The memory of this process, in bytes.
fn resident_size() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u64 = line
        .unwrap_or_default()
        .trim_end_matches("kB")
        .trim()
        .parse()?;
    Ok(kibibytes * 1024)
}
