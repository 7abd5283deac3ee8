//! Properties of every answer, for any packet.

use std::iter;

use hickory_proto::{
    op::{Message, OpCode},
    rr::{Name, Record, RecordType},
};
use proptest::{collection::vec, prelude::*, sample::select};
use quorate_packet::DNS_SIZE_MAX;

use crate::{
    Authority, CompiledPacket, LookupResult, Question,
    fixture::{
        KEY, Response, add, answer_in, authority, line, name, origin, packet_of, question, record,
        records_of,
    },
    oracle_fixture::{Expected, Oracle},
};

/// A few labels, so that names collide; one is so long that four of it are too long for a name.
const LABELS: [&str; 6] = ["a", "B", "b", "*", "_iroh", LONG];
const LONG: &str = "loooooooooooooooooooooooooooooooooooooooooooooooooooooooong";
const TYPES: [&str; 13] = [
    "A",
    "AAAA",
    "TXT",
    "CNAME",
    "DNAME",
    "NS",
    "DS",
    "SOA",
    "ANY",
    "MX",
    "SRV",
    "HTTPS",
    "TYPE65400",
];

/// A few labels, and one of these ends.
fn any_name(ends: &'static [&'static str]) -> impl Strategy<Value = String> {
    (vec(select(&LABELS[..]), 0..=3), select(ends)).prop_map(|(labels, end)| {
        let labels = labels.into_iter().chain(iter::once(end));
        labels.collect::<Vec<_>>().join(".")
    })
}

/// An owner name in a packet: mostly in the key's zone.
fn any_owner() -> impl Strategy<Value = String> {
    any_name(&["KEY.", "KEY.", "KEY.", "KEY.", "KEY.dns.test.", "test."])
}

/// An owner name in an origin.
fn any_static() -> impl Strategy<Value = String> {
    any_name(&[
        "dns.test.",
        "dns.test.",
        "dns.test.",
        "ns1.dns.test.",
        "KEY.dns.test.",
        "test.",
    ])
}

fn any_record<S: Strategy<Value = String> + 'static>(
    names: fn() -> S,
) -> impl Strategy<Value = Record> {
    let data = prop_oneof![
        3 => Just("A 192.0.2.9".to_owned()),
        1 => Just("A 192.0.2.10".to_owned()),
        2 => Just("AAAA 2001:db8::9".to_owned()),
        2 => Just("TXT x".to_owned()),
        2 => Just("DS 1 13 2 0102".to_owned()),
        1 => Just("SOA ns.test. me.test. 1 2 3 4 5".to_owned()),
        3 => names().prop_map(|target| format!("CNAME {target}")),
        3 => names().prop_map(|target| format!("DNAME {target}")),
        3 => names().prop_map(|target| format!("NS {target}")),
        2 => names().prop_map(|target| format!("MX 10 {target}")),
        1 => names().prop_map(|target| format!("SRV 1 2 3 {target}")),
        1 => names().prop_map(|target| format!("HTTPS 1 {target}")),
    ];
    (names(), 0..=u32::MAX, data)
        .prop_map(|(owner, ttl, data)| record(&format!("{owner} {ttl} {data}")))
}

fn any_question() -> impl Strategy<Value = String> {
    let names = any_name(&[
        "KEY.dns.test.",
        "KEY.dns.test.",
        "key.DNS.test.",
        "dns.test.",
    ]);
    (names, select(&TYPES[..])).prop_map(|(name, record_type)| format!("{name} {record_type}"))
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut message = Message::response(0, OpCode::Query);
    message.insert_answers(records.to_vec());
    message.to_vec().unwrap()
}

fn question_of(query: &[u8]) -> (Name, RecordType) {
    let message = [&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], query].concat();
    let query = Message::from_vec(&message).unwrap().queries.remove(0);
    (query.name().clone(), query.query_type())
}

/// Asserts that an answer has the expected records, ignoring case. The name in the question must be
/// repeated in its own case.
#[track_caller]
fn check_same(answer: &Response, mut expected: Expected, query: &Name) {
    let message = &answer.message;
    let lines = |records: &[Record]| -> Vec<String> { records.iter().map(line).collect() };
    let mut authorities = lines(&message.authorities);
    if let [soa] = &message.authorities[..]
        && soa.record_type() == RecordType::SOA
    {
        authorities = vec![format!("SOA {} {}", soa.name, soa.ttl)];
    }
    let mut found = Expected {
        kind: answer.kind,
        answers: lines(&message.answers),
        authorities,
        additionals: lines(&message.additionals),
    };
    for lines in [&mut expected, &mut found] {
        for section in [
            &mut lines.answers,
            &mut lines.authorities,
            &mut lines.additionals,
        ] {
            section
                .iter_mut()
                .for_each(|line| line.make_ascii_lowercase());
        }
    }
    assert_eq!(found, expected);
    if let Some(first) = message.answers.first()
        && first.record_type() != RecordType::DNAME
    {
        assert!(
            first.name.eq_case(query),
            "{first} does not repeat the name in the question"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(4096)
    })]

    #[test]
    fn packets_are_answered_like_the_oracle(
        records in vec(any_record(any_owner), 0..8),
        query in any_question(),
    ) {
        let dns = encode(&records);
        prop_assume!(dns.len() <= DNS_SIZE_MAX);
        let query = question(&query);
        let (qname, qtype) = question_of(&query);
        let origin = name("dns.test.");
        let authority = authority(&["dns.test."]);
        let answer = answer_in(&authority, Some(&packet_of(&dns)), &query, 65535);
        let oracle = match name("KEY.dns.test.").zone_of(&qname) {
            true => Oracle::of_key(&origin, &KEY, &records),
            false => Oracle::of_origin(&origin, records_of(&crate::fixture::origin("dns.test."))),
        };
        check_same(&answer, oracle.answer(&qname, qtype), &qname);
    }

    #[test]
    fn configured_records_are_answered_like_the_oracle(
        records in vec(any_record(any_static), 0..8),
        query in any_name(&["dns.test.", "DNS.test.", "ns1.dns.test."]),
        qtype in select(&TYPES[..]),
    ) {
        let mut origin = origin("dns.test.");
        for mut record in records {
            // Records that conflict with earlier ones are left out.
            record.ttl >>= 1;
            let before = origin.clone();
            add(&mut origin, &record);
            if Authority::new(vec![origin.clone()]).is_err() {
                origin = before;
            }
        }
        let authority = Authority::new(vec![origin.clone()]).unwrap();
        let query = question(&format!("{query} {qtype}"));
        let (qname, qtype) = question_of(&query);
        let answer = answer_in(&authority, None, &query, 65535);
        let oracle = Oracle::of_origin(&name("dns.test."), records_of(&origin));
        check_same(&answer, oracle.answer(&qname, qtype), &qname);
    }

    /// The bytes from the store may be damaged, or written by a newer version.
    #[test]
    fn no_packet_bytes_cause_a_panic(
        records in vec(any_record(any_owner), 1..8),
        changes in vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0xc0), 0..40u8]), 0..6),
        bytes in vec(any::<u8>(), 0..100),
        query in any_question(),
        size_max in 300..1500usize,
    ) {
        let mut changed = encode(&records);
        prop_assume!(changed.len() <= DNS_SIZE_MAX);
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        let authority = authority(&["dns.test."]);
        let query = question(&query);
        let query = Question::parse(&query).unwrap();
        for dns in [changed, bytes] {
            let packet = CompiledPacket::compile(&packet_of(&dns));
            // A packet that hickory-proto accepts when it is published can be served.
            if quorate_packet::message::counts_fit(&dns) && Message::from_vec(&dns).is_ok() {
                assert!(packet.tree().is_ok());
            }
            if let LookupResult::NeedsPacket(question) = authority.lookup(&query)
                && let Ok(answer) = question.answer(Some(&packet))
            {
                let mut out = [&[0; 12], query.wire()].concat();
                answer.write(&query, size_max, &mut out);
                prop_assert!(out.len() <= size_max);
            }
        }
    }
}
