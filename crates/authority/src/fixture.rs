//! Questions, packets and answers as text. `KEY` stands for the z-base-32 of [`KEY`].

use std::{collections::BTreeMap, net::Ipv4Addr};

use hickory_proto::{
    op::{Message, OpCode, Query},
    rr::{DNSClass, Name, RData, Record},
};
use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey, SignedPacket};

use crate::{Answer, Authority, Located, Origin, Soa};

pub(crate) const KEY: PublicKey = PublicKey::from_bytes(*b"a key of the tests, of 32 bytes.");

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text.replace("KEY", &KEY.to_string())).unwrap()
}

/// An origin with one name server inside and one outside.
pub(crate) fn origin(text: &str) -> Origin {
    let origin = name(text);
    let inside = name("ns1").append_name(&origin).unwrap();
    Origin {
        soa: Soa {
            mname: inside.clone(),
            rname: name("hostmaster").append_name(&origin).unwrap(),
            serial: 1,
            refresh_secs: 7200,
            retry_secs: 900,
            expire_secs: 1_209_600,
            minimum_secs: 30,
        },
        soa_ttl_secs: 3600,
        ns: vec![inside.clone(), name("ns.elsewhere.net.")],
        a: vec![Ipv4Addr::new(192, 0, 2, 1)],
        aaaa: vec!["2001:db8::1".parse().unwrap()],
        ns_addresses: BTreeMap::from([(inside, vec![Ipv4Addr::new(192, 0, 2, 2).into()])]),
        ttl_secs: 600,
        name: origin,
    }
}

pub(crate) fn authority(origins: &[&str]) -> Authority {
    Authority::new(origins.iter().map(|text| origin(text)).collect()).unwrap()
}

/// `<name> <type>`.
pub(crate) fn question(text: &str) -> Query {
    let (owner, record_type) = text.split_once(' ').unwrap();
    Query::query(name(owner), record_type.parse().unwrap())
}

/// `<name> <ttl> <type> <data>`.
pub(crate) fn record(text: &str) -> Record {
    let text = text.replace("KEY", &KEY.to_string());
    let mut fields = text.splitn(4, ' ');
    let mut field = || fields.next().unwrap();
    let (owner, ttl) = (name(field()), field().parse().unwrap());
    let record_type = field().parse().unwrap();
    let data = RData::try_from_str(record_type, field()).unwrap();
    Record::from_rdata(owner, ttl, data)
}

/// A packet of [`KEY`]. What a signature says was checked before it came here.
pub(crate) fn packet(records: Vec<Record>) -> SignedPacket {
    let mut message = Message::response(0, OpCode::Query);
    message.insert_answers(records);
    let dns = message.to_vec().unwrap();
    let payload = [vec![0; PAYLOAD_SIZE_MIN], dns].concat();
    SignedPacket::assume_verified(KEY, payload.into()).expect("it is small enough")
}

pub(crate) fn answer(authority: &Authority, packet: Option<&SignedPacket>, asked: &str) -> Answer {
    answer_in(authority, packet, asked, DNSClass::IN)
}

pub(crate) fn answer_in(
    authority: &Authority,
    packet: Option<&SignedPacket>,
    asked: &str,
    class: DNSClass,
) -> Answer {
    let mut query = question(asked);
    query.set_query_class(class);
    match authority.locate(&query) {
        Located::Answer(answer) => answer,
        Located::Key(question) => {
            assert_eq!(question.key(), &KEY);
            let compiled = packet.map(crate::CompiledPacket::compile);
            question.answer(compiled.as_ref()).unwrap()
        }
    }
}

/// An answer as lines: what it is, its records, the owner and TTL of its SOA, or the other records
/// of a referral.
pub(crate) fn text(answer: &Answer) -> Vec<String> {
    let kind = match answer {
        Answer::Records(_) => "records",
        Answer::NoData { .. } => "no data",
        Answer::NxDomain { .. } => "nxdomain",
        Answer::Referral { .. } => "referral",
        Answer::Refused => "refused",
    };
    let records = answer.records().iter().map(ToString::to_string);
    let authorities = answer
        .authorities()
        .iter()
        .map(|record| match &record.data {
            RData::SOA(_) => format!("SOA {} {}", record.name, record.ttl),
            _ => format!("authority {record}"),
        });
    let additionals = answer.additionals().iter();
    let additionals = additionals.map(|record| format!("additional {record}"));
    let lines = std::iter::once(kind.to_owned()).chain(records);
    let lines = lines.chain(authorities).chain(additionals);
    lines
        .map(|line| line.replace(&KEY.to_string(), "KEY"))
        .collect()
}

/// Asserts what is answered under the origin `dns.test.` from a packet of these records.
#[track_caller]
pub(crate) fn check(records: &[&str], asked: &str, expected: &[&str]) {
    let packet = packet(records.iter().map(|text| record(text)).collect());
    let answer = answer(&authority(&["dns.test."]), Some(&packet), asked);
    assert_eq!(text(&answer), expected);
}
