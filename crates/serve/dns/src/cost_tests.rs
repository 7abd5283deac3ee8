//! Measures the cost of a query.

use std::{collections::HashMap, hint::black_box, sync::Arc};

use futures_util::future::BoxFuture;
use hickory_proto::{
    op::{Message, OpCode},
    rr::{RData, Record, RecordType, rdata},
};
use quorate_fake::unverified;
use quorate_packet::PublicKey;
use quorate_replica::{CookieSecrets, IndexedPacket, ReadError, Reader, ZoneState};

use crate::{
    AnswerLimits, DnsClient, DnsConfig, DnsMetrics, DnsTransport, Responder, SharedLimits,
    edns::option, fixture::*,
};

/// A replica whose only cost is the search for a key.
struct IndexedReplica(HashMap<PublicKey, Arc<IndexedPacket>>);

impl Reader for IndexedReplica {
    fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError> {
        Ok(self.0.get(key).cloned())
    }

    fn check_ready(&self) -> Result<(), ReadError> {
        Ok(())
    }

    fn zone_version(&self) -> u64 {
        0
    }

    fn zones_changed_after(&self, _: u64) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn zone_state(&self) -> Arc<ZoneState> {
        Arc::default()
    }

    fn cookie_secrets(&self) -> Option<CookieSecrets> {
        None
    }

    fn set_zones_served(&self, _version: u64) {}
}

fn key(number: usize) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

/// The packet of an iroh endpoint.
fn endpoint(key: PublicKey) -> Vec<u8> {
    let mut message = Message::response(0, OpCode::Query);
    message.add_answer(txt(
        "_iroh",
        key,
        "relay=https://euw1-1.relay.example.org./".into(),
    ));
    message.add_answer(txt("_iroh", key, "addr=192.0.2.77:51820".into()));
    message.to_vec().unwrap()
}

/// As many hosts with long, almost equal names as fit in a packet.
fn hostile(key: PublicKey) -> Vec<u8> {
    let mut message = Message::response(0, OpCode::Query);
    for number in 0..=u8::MAX {
        let owner = name(&format!("_iroh.{key}."));
        let target = name(&format!("h{number}.{}.{key}.", "x".repeat(60)));
        let data = RData::PTR(rdata::PTR(target));
        let mut longer = message.clone();
        longer.add_answer(Record::from_rdata(owner, 30, data));
        if longer.to_vec().unwrap().len() > 1000 {
            break;
        }
        message = longer;
    }
    message.to_vec().unwrap()
}

fn responder(key_count: usize, packet: fn(PublicKey) -> Vec<u8>, limited: bool) -> Responder {
    let packets = (0..key_count).map(|number| {
        let stored = unverified(key(number), &packet(key(number)));
        (key(number), Arc::new(IndexedPacket::new(&stored)))
    });
    let limits = quorate_limit::LimitConfig {
        dns_answer_burst: 1_000_000,
        dns_answer_per_sec: 100_000,
        ..quorate_limit::LimitConfig::default()
    };
    let limits = limited.then(|| AnswerLimits::new(&limits).unwrap());
    Responder::new(
        &DnsConfig::default(),
        vec![origin("dns.test.")],
        SharedLimits::new(limits),
        Arc::new(IndexedReplica(packets.collect())),
        DnsMetrics::register(&quorate_metrics::Registry::new()).unwrap(),
    )
    .unwrap()
}

/// Ordinary queries allocate nothing, with or without an answer, with or without EDNS.
#[test]
fn an_ordinary_query_allocates_nothing() {
    let responder = responder(100, endpoint, true);
    let questions = [
        (iroh(key(7), "dns.test."), RecordType::TXT),
        (iroh(key(7), "dns.test."), RecordType::A),
        (format!("other.{}.dns.test.", key(7)), RecordType::TXT),
        (iroh(key(1000), "dns.test."), RecordType::TXT),
        ("dns.test.".to_owned(), RecordType::SOA),
        ("google.com.".to_owned(), RecordType::A),
    ];
    let mut messages = Vec::new();
    for (owner, record_type) in questions {
        let plain = query(&owner, record_type);
        let cookie = [&option::COOKIE.to_be_bytes()[..], &[0, 8], &[1; 8]].concat();
        messages.push(with_opt(plain.clone(), 1232, 0, &[]));
        messages.push(with_opt(plain.clone(), 1232, 0, &cookie));
        messages.push(plain);
    }
    let client = client(DnsTransport::Udp);
    let mut out = Vec::with_capacity(1232);
    let mut ask_all = || {
        for message in &messages {
            responder.respond(message, &client, &mut out).unwrap();
        }
    };
    ask_all();
    let counted = allocation_counter::measure(|| (0..10).for_each(|_| ask_all()));
    assert_eq!(counted.count_total, 0);
}

/// Run by hand: `cargo test --release -p quorate-dns --lib -- --ignored --nocapture costs`.
#[test]
#[ignore = "a benchmark to run by hand"]
#[expect(clippy::print_stdout, reason = "it prints results for people")]
fn costs() {
    const ROUNDS: usize = 1_000_000;
    let cookie = [&option::COOKIE.to_be_bytes()[..], &[0, 8], &[1; 8]].concat();
    let of = |number, record_type| query(&iroh(key(number), "dns.test."), record_type);
    for (key_count, limited) in [(10_000, false), (10_000, true), (1_000_000, true)] {
        let responder = responder(key_count, endpoint, limited);
        let plain: Vec<_> = (0..key_count)
            .map(|number| of(number, RecordType::TXT))
            .collect();
        let misses: Vec<_> = (0..10_000)
            .map(|number| of(key_count + number, RecordType::TXT))
            .collect();
        let no_data: Vec<_> = (0..10_000)
            .map(|number| of(number, RecordType::A))
            .collect();
        let with_options = |messages: &[Vec<u8>], options: &[u8]| -> Vec<Vec<u8>> {
            let messages = messages.iter().take(10_000).cloned();
            messages
                .map(|message| with_opt(message, 1232, 0, options))
                .collect()
        };
        for (what, messages) in [
            ("plain", &plain),
            ("OPT", &with_options(&plain, &[])),
            ("cookie", &with_options(&plain, &cookie)),
            ("no data", &no_data),
            ("miss", &misses),
        ] {
            let nanos = nanos_per_query(&responder, messages, ROUNDS);
            println!("{key_count} keys, limited {limited}, {what}: {nanos} ns");
        }
    }
    let responder = responder(1_000, hostile, true);
    for (what, record_type) in [("PTR", RecordType::PTR), ("TXT", RecordType::TXT)] {
        let messages: Vec<_> = (0..1_000).map(|number| of(number, record_type)).collect();
        let nanos = nanos_per_query(&responder, &messages, ROUNDS / 10);
        println!("hostile, {what}: {nanos} ns");
        let opts: Vec<_> = messages
            .iter()
            .map(|m| with_opt(m.clone(), 1232, 0, &[]))
            .collect();
        let nanos = nanos_per_query(&responder, &opts, ROUNDS / 10);
        println!("hostile, {what} with OPT: {nanos} ns");
    }
}

/// Sends each of the messages, in an order that no CPU cache predicts, from many addresses.
fn nanos_per_query(responder: &Responder, messages: &[Vec<u8>], rounds: usize) -> u64 {
    let mut out = Vec::with_capacity(1232);
    let mut at = 1;
    let mut address: u32 = 1;
    let start = cpu_nanos();
    for _ in 0..rounds {
        at = (at * 48_271 + 11) % messages.len();
        address = address.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let client = DnsClient::new(
            (address & 0x3fff | 0xc633_0000).to_be_bytes().into(),
            DnsTransport::Udp,
        );
        black_box(responder.respond(&messages[at], &client, &mut out));
    }
    (cpu_nanos() - start) / rounds as u64
}

/// The CPU time of this thread, in nanoseconds: the time of other programs does not count.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}
