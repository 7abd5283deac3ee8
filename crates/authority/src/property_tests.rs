//! What holds of every answer, whatever was published.

use std::iter;

use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use proptest::{collection::vec, prelude::*, sample::select};
use quorate_packet::{PAYLOAD_SIZE_MIN, SignedPacket};

use crate::{
    Answer, Located, NEGATIVE_TTL_SECS_MAX,
    fixture::{KEY, authority, name, packet, question, record},
};

const LABELS: [&str; 5] = ["a", "B", "b", "*", "_iroh"];
const TYPES: [&str; 8] = ["A", "AAAA", "TXT", "CNAME", "NS", "SOA", "ANY", "MX"];

/// Some labels, and one of these ends.
fn any_name(ends: &'static [&'static str]) -> impl Strategy<Value = String> {
    (vec(select(&LABELS[..]), 0..=3), select(ends)).prop_map(|(labels, end)| {
        let labels = labels.into_iter().chain(iter::once(end));
        labels.collect::<Vec<_>>().join(".")
    })
}

/// A name as packets have it: mostly of the key's zone.
fn any_owner() -> impl Strategy<Value = String> {
    any_name(&["KEY.", "KEY.", "KEY.", "KEY.", "KEY.dns.test.", "test."])
}

fn any_record() -> impl Strategy<Value = Record> {
    let data = prop_oneof![
        Just("A 192.0.2.9".to_owned()),
        Just("AAAA 2001:db8::9".to_owned()),
        Just("TXT x".to_owned()),
        Just("SOA ns.test. me.test. 1 2 3 4 5".to_owned()),
        any_owner().prop_map(|target| format!("CNAME {target}")),
        any_owner().prop_map(|target| format!("NS {target}")),
    ];
    (any_owner(), 0..=u32::MAX, data)
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

/// Follows the aliases of an answer from the name asked, where every record must stand, to the name
/// that the rest of the answer is about.
fn last_name(asked: &Name, answer: &Answer) -> Name {
    let zone = name("KEY.dns.test.");
    let mut last = asked.clone();
    for record in answer.records() {
        assert_eq!(record.name, last);
        assert!(name("dns.test.").zone_of(&record.name));
        if let RData::CNAME(rdata::CNAME(target)) = &record.data {
            assert!(zone.zone_of(&record.name));
            last = target.clone();
        }
    }
    last
}

/// Whether the packet has data at a name or below it that may be served.
fn exists(records: &[Record], asked: &Name) -> bool {
    let served = records.iter().filter(|record| {
        record.record_type() != RecordType::SOA && name("KEY.").zone_of(&record.name)
    });
    let mut owners = served.map(|record| record.name.clone().append_name(&name("dns.test.")));
    owners.any(|owner| owner.is_ok_and(|owner| asked.zone_of(&owner)))
}

fn may_be_of_wildcard(records: &[Record]) -> bool {
    let mut labels = records.iter().flat_map(|record| record.name.iter());
    labels.any(|label| label == b"*")
}

fn check(records: &[Record], asked: &str) {
    let authority = authority(&["dns.test."]);
    let query = question(asked);
    let answer = match authority.locate(&query) {
        Located::Answer(answer) => answer,
        Located::Key(question) => question
            .answer(Some(&crate::CompiledPacket::compile(&packet(
                records.to_vec(),
            ))))
            .unwrap(),
    };
    let last = last_name(query.name(), &answer);
    match &answer {
        Answer::Records(records) => {
            let of_type = |record: &Record| match query.query_type() {
                RecordType::ANY => record.record_type() == RecordType::HINFO,
                asked => [asked, RecordType::CNAME].contains(&record.record_type()),
            };
            assert!(!records.is_empty() && records.iter().all(of_type));
        }
        Answer::NoData { .. } | Answer::NxDomain { .. } => {
            let [soa] = answer.authorities() else {
                panic!("a negative answer has one SOA");
            };
            assert_eq!(
                (soa.record_type(), &soa.name),
                (RecordType::SOA, &name("dns.test."))
            );
            assert!(soa.ttl <= NEGATIVE_TTL_SECS_MAX);
            let denied = matches!(answer, Answer::NxDomain { .. });
            if name("KEY.dns.test.").zone_of(&last) && !may_be_of_wildcard(records) {
                assert_eq!(denied, !exists(records, &last), "RFC 8020");
            }
            assert!(!denied || !exists(records, &last), "RFC 8020");
        }
        Answer::Referral { servers, glue, .. } => {
            let cut = &servers[0].name;
            assert!(name("KEY.dns.test.").zone_of(cut) && cut.zone_of(&last));
            let is_ns = |record: &Record| record.record_type() == RecordType::NS;
            assert!(
                servers
                    .iter()
                    .all(|server| is_ns(server) && server.name == *cut)
            );
            let is_glue = |record: &Record| record.record_type().is_ip_addr();
            assert!(
                glue.iter()
                    .all(|glue| is_glue(glue) && cut.zone_of(&glue.name))
            );
        }
        Answer::Refused => panic!("{asked} lies in the origin"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2048)
    })]

    #[test]
    fn every_answer_is_about_the_name_asked(
        records in vec(any_record(), 0..8),
        asked in any_question(),
    ) {
        check(&records, &asked);
    }

    /// What the store gives back may be of a newer version, or damaged.
    #[test]
    fn no_bytes_of_a_packet_break_an_answer(
        records in vec(any_record(), 1..4),
        changes in vec(any::<(prop::sample::Index, u8)>(), 0..6),
        bytes in vec(any::<u8>(), 0..100),
        asked in any_question(),
    ) {
        let mut changed = packet(records).dns().to_vec();
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        let authority = authority(&["dns.test."]);
        let query = question(&asked);
        if let Located::Key(question) = authority.locate(&query) {
            for dns in [changed, bytes] {
                let payload = [vec![0; PAYLOAD_SIZE_MIN], dns].concat();
                let packet = SignedPacket::assume_verified(KEY, payload.into()).unwrap();
                if let Ok(answer) = question.answer(Some(&crate::CompiledPacket::compile(&packet))) {
                    last_name(query.name(), &answer);
                }
            }
        }
    }
}
