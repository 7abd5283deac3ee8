//! Measures what queries notice of changes of zones.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hickory_proto::rr::RecordType;
use quorate_fake::FakeReplica;
use quorate_http::listener::ListenerMetrics;
use quorate_metrics::Registry;
use quorate_replica::{Reader, RecordSet, ReplicatedZone, WireName, ZoneState};
use quorate_zone::{
    Origin,
    file::{parse, parse_name, record_sets},
};

use crate::{DnsConfig, DnsMetrics, Responder, SharedLimits, fixture::*};

/// How many times the zones change in each case.
const CHANGE_COUNT: usize = 20;

fn sets(zone: &WireName, kind: &str, count: usize) -> BTreeMap<(WireName, u16), RecordSet> {
    let mut lines = String::new();
    for number in 0..count {
        writeln!(lines, "{kind}{number} A 192.0.2.1").unwrap();
    }
    let parsed = parse(&lines, zone, 60).unwrap().into_iter();
    record_sets(parsed.map(|(_, set)| set))
}

/// An origin with this many configured sets.
fn origin_of(name: &str, count: usize) -> Origin {
    let mut origin = origin(name);
    let added = sets(&origin.name, "host-with-a-name-", count);
    origin.sets.extend(added);
    origin
}

/// A state in which these zones have this many replicated sets.
fn state(zones: &[WireName], count: usize, serial: u32) -> ZoneState {
    let zones = zones.iter().map(|zone| {
        let sets = sets(zone, "r", count);
        (zone.clone(), ReplicatedZone { serial, sets })
    });
    ZoneState {
        zones: zones.collect(),
    }
}

/// Asks over UDP, one query after the other, until the zones no longer change. Returns how long each
/// answer took, in order.
fn ask_until(is_done: &AtomicBool, server: std::net::SocketAddr) -> Vec<Duration> {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server).unwrap();
    let mut durations = Vec::new();
    let mut datagram = [0; 2048];
    let message = query("host-with-a-name-7.z0.test.", RecordType::A);
    while !is_done.load(Ordering::Relaxed) {
        let start = Instant::now();
        client.send(&message).unwrap();
        let size = client.recv(&mut datagram).unwrap();
        durations.push(start.elapsed());
        assert_eq!(answer_count(&datagram[..size]), 1);
    }
    durations.sort_unstable();
    durations
}

/// The number of records in the answer section.
fn answer_count(response: &[u8]) -> u16 {
    u16::from_be_bytes([response[6], response[7]])
}

/// Run by hand: `cargo test --release -p quorate-dns --lib -- --ignored --nocapture zone_changes`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark to run by hand"]
#[expect(clippy::print_stdout, reason = "it prints results for people")]
async fn zone_changes() {
    // The second is the bound: 64 zone files of 1 MiB, and 256 KiB of replicated records.
    for (what, zone_count, set_count, changed_count, replicated_count) in [
        ("one zone of 20,000 and 4,000 sets", 1, 20_000, 1, 4_000),
        ("one of 64 zones at the bounds", 64, 30_000, 1, 6_500),
        ("all of 64 zones at the bounds", 64, 30_000, 64, 100),
    ] {
        let origins = (0..zone_count).map(|at| origin_of(&format!("z{at}.test."), set_count));
        let origins: Vec<Origin> = origins.collect();
        let names = (0..changed_count).map(|at| format!("z{at}.test."));
        let names = names.map(|name| parse_name(&name, &WireName::root()).unwrap());
        let names: Vec<WireName> = names.collect();
        let states = [1, 2].map(|serial| state(&names, replicated_count, serial));
        let replica = FakeReplica::new();
        let registry = Registry::new();
        let config = DnsConfig::new("127.0.0.1:0".parse().unwrap());
        let start = Instant::now();
        let responder = Responder::new(
            &config,
            origins,
            SharedLimits::default(),
            replica.clone(),
            DnsMetrics::register(&registry).unwrap(),
        );
        println!(
            "{what}: first build {:?}, replicated {} bytes",
            start.elapsed(),
            states[0].size()
        );
        let responder = Arc::new(responder.unwrap());
        let metrics = ListenerMetrics::register(&registry).unwrap();
        let listeners = config.bind().await.unwrap();
        let server = listeners
            .serve(
                responder.clone(),
                None,
                &crate::ConnectionRules::default(),
                &metrics,
            )
            .unwrap();
        for is_changing in [false, true] {
            let is_done = Arc::new(AtomicBool::new(false));
            let client = thread::spawn({
                let (is_done, at) = (is_done.clone(), server.local_addr());
                move || ask_until(&is_done, at)
            });
            let start = Instant::now();
            for change in 0..CHANGE_COUNT {
                match is_changing {
                    true => replica.set_zone_state(states[change % 2].clone()),
                    false => tokio::time::sleep(Duration::from_millis(250)).await,
                }
                responder.zones_served(replica.zone_version()).await;
            }
            let each = start.elapsed() / CHANGE_COUNT as u32;
            is_done.store(true, Ordering::Relaxed);
            let durations = client.join().unwrap();
            let at = |part: usize| durations[durations.len() * part / 10_000];
            println!(
                "{what}: changing {is_changing}, each {each:?}; {} answers, p50 {:?}, p99 {:?}, p99.9 {:?}, \
                 most {:?}",
                durations.len(),
                at(5000),
                at(9900),
                at(9990),
                durations[durations.len() - 1]
            );
        }
        server.shutdown().await;
    }
}
