//! Questions, packets and answers as text. `KEY` means [`KEY`] in z-base-32.

use hickory_proto::{
    op::{Message, OpCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::NULL},
    serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder, NameEncoding},
};
use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey, SignedPacket, message::HEADER_SIZE};
use quorate_state::{NamedSet, RecordSet, TTL_SECS_MAX, WireName};

use crate::{
    Answer, AnswerKind, Authority, CompiledPacket, LookupResult, Origin, Question, Soa,
    file::{parse_rdata, rdata_text, record_sets},
};

pub(crate) const KEY: PublicKey = PublicKey::from_bytes(*b"a key of the tests, of 32 bytes.");

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text.replace("KEY", &KEY.to_string())).unwrap()
}

/// An origin with one name server inside and one outside.
pub(crate) fn origin(text: &str) -> Origin {
    let mut apex = name(text);
    apex.set_fqdn(true);
    let below = |label: &str| name(label).append_name(&apex).unwrap();
    let inside = below("ns1");
    let mut origin = Origin {
        soa: Soa {
            mname: canonical(&inside),
            rname: canonical(&below("hostmaster")),
            serial: 1,
            refresh_secs: 7200,
            retry_secs: 900,
            expire_secs: 1_209_600,
            minimum_secs: 30,
        },
        soa_ttl_secs: 3600,
        sets: Default::default(),
        ttl_secs_min: 0,
        ttl_secs_max: TTL_SECS_MAX,
        dht: false,
        name: canonical(&apex),
    };
    for line in [
        format!("{apex} 600 NS {inside}"),
        format!("{apex} 600 NS ns.elsewhere.net."),
        format!("{apex} 600 A 192.0.2.1"),
        format!("{apex} 600 AAAA 2001:db8::1"),
        format!("{inside} 600 A 192.0.2.2"),
    ] {
        add(&mut origin, &record(&line));
    }
    origin
}

/// Converts a name to the form of the configuration.
pub(crate) fn canonical(name: &Name) -> WireName {
    WireName::parse(wire_name(&name.to_lowercase()).into()).unwrap()
}

/// Adds a record to an origin.
pub(crate) fn add(origin: &mut Origin, record: &Record) {
    let mut rdata = Vec::new();
    let mut encoder = BinEncoder::new(&mut rdata);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    record.data.emit(&mut encoder).unwrap();
    let set = |owner: WireName, record_type, records| NamedSet {
        owner,
        record_type,
        records,
    };
    let sets = std::mem::take(&mut origin.sets).into_iter();
    let sets = sets.map(|((owner, record_type), records)| set(owner, record_type, records));
    let records = RecordSet {
        ttl_secs: record.ttl,
        rdata: vec![rdata.into()],
    };
    let added = set(
        canonical(&record.name),
        record.record_type().into(),
        records,
    );
    origin.sets = record_sets(sets.chain([added]));
}

/// All records of an origin, its SOA first.
pub(crate) fn records_of(origin: &Origin) -> Vec<Record> {
    let soa = RecordSet {
        ttl_secs: origin.soa_ttl_secs,
        rdata: vec![origin.soa_data().into()],
    };
    let soa = ((origin.name.clone(), RecordType::SOA.into()), soa);
    let sets = [soa].into_iter().chain(origin.sets.clone());
    let records = sets.flat_map(|((owner, record_type), set)| {
        let ttl_secs = set.ttl_secs;
        let rdata = set.rdata.into_iter();
        rdata.map(move |data| {
            let fixed = [
                &record_type.to_be_bytes()[..],
                &[0, 1],
                &ttl_secs.to_be_bytes(),
                &(data.len() as u16).to_be_bytes(),
            ];
            let wire = [owner.as_bytes(), &fixed.concat(), &data].concat();
            Record::read(&mut BinDecoder::new(&wire)).unwrap()
        })
    });
    records.collect()
}

pub(crate) fn authority(origins: &[&str]) -> Authority {
    Authority::new(origins.iter().map(|text| origin(text)).collect()).unwrap()
}

/// The question `<name> <type>` in wire form.
pub(crate) fn question(text: &str) -> Vec<u8> {
    let (owner, record_type) = text.split_once(' ').unwrap();
    let record_type = match record_type {
        "IXFR" => 251,
        _ => match record_type.strip_prefix("TYPE") {
            Some(number) => number.parse().unwrap(),
            None => u16::from(record_type.parse::<RecordType>().unwrap()),
        },
    };
    let mut wire = wire_name(&name(owner));
    wire.extend(record_type.to_be_bytes());
    wire.extend(u16::from(DNSClass::IN).to_be_bytes());
    wire
}

pub(crate) fn wire_name(name: &Name) -> Vec<u8> {
    let labels = name.iter().flat_map(|label| {
        let len = std::iter::once(label.len() as u8);
        len.chain(label.iter().copied())
    });
    labels.chain([0]).collect()
}

/// Parses `<name> <ttl> <type> <data>`.
pub(crate) fn record(text: &str) -> Record {
    let text = text.replace("KEY", &KEY.to_string());
    let mut fields = text.splitn(4, ' ');
    let mut field = || fields.next().unwrap();
    let (owner, ttl) = (name(field()), field().parse().unwrap());
    let record_type: RecordType = field().parse().unwrap();
    let data = match record_type {
        // hickory-proto does not parse it.
        RecordType::DNAME => RData::Unknown {
            code: record_type,
            rdata: NULL::with(wire_name(&name(field()))),
        },
        // Nor this.
        RecordType::DS => {
            let wire = parse_rdata(record_type.into(), field(), &WireName::root()).unwrap();
            RData::Unknown {
                code: record_type,
                rdata: NULL::with(wire.into()),
            }
        }
        _ => RData::try_from_str(record_type, field()).unwrap(),
    };
    Record::from_rdata(owner, ttl, data)
}

/// A packet of [`KEY`]. Its signature is not valid: the zone crate does not check signatures.
pub(crate) fn packet(records: Vec<Record>) -> SignedPacket {
    let mut message = Message::response(0, OpCode::Query);
    message.insert_answers(records);
    let dns = message.to_vec().unwrap();
    packet_of(&dns)
}

/// A packet of [`KEY`] whose DNS message has these bytes.
pub(crate) fn packet_of(dns: &[u8]) -> SignedPacket {
    let payload = [&[0; PAYLOAD_SIZE_MIN], dns].concat();
    SignedPacket::assume_verified(KEY, payload.into()).expect("it is small enough")
}

/// An answer as its client decodes it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) kind: AnswerKind,
    pub(crate) is_authoritative: bool,
    pub(crate) ttl_secs_min: Option<u32>,
    pub(crate) is_complete: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) message: Message,
}

impl Response {
    /// Writes an answer of at most `size_max` bytes, and decodes it.
    pub(crate) fn write(answer: &Answer<'_>, question: &Question<'_>, size_max: usize) -> Self {
        let mut bytes = vec![0; HEADER_SIZE];
        bytes.extend_from_slice(question.wire());
        let written = answer.write(question, size_max, &mut bytes);
        bytes[2] = 0x80;
        bytes[5] = 1;
        for (at, count) in written.counts.into_iter().enumerate() {
            bytes[6 + 2 * at..][..2].copy_from_slice(&count.to_be_bytes());
        }
        assert!(bytes.len() <= size_max);
        Self {
            kind: answer.kind(),
            is_authoritative: answer.is_authoritative(),
            ttl_secs_min: answer.ttl_secs_min(),
            is_complete: written.is_complete,
            message: Message::from_vec(&bytes).expect("what is written can be read"),
            bytes,
        }
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.message.answers
    }
}

pub(crate) fn answer(
    authority: &Authority,
    packet: Option<&SignedPacket>,
    query: &str,
) -> Response {
    answer_in(authority, packet, &question(query), usize::from(u16::MAX))
}

/// The answer to a question in wire form, of at most `size_max` bytes.
pub(crate) fn answer_in(
    authority: &Authority,
    packet: Option<&SignedPacket>,
    query: &[u8],
    size_max: usize,
) -> Response {
    let question = Question::parse(query).unwrap();
    match authority.lookup(&question) {
        LookupResult::Answer(answer) => Response::write(&answer, &question, size_max),
        LookupResult::NeedsPacket(of_key) => {
            assert_eq!(of_key.key(), &KEY);
            let compiled = packet.map(CompiledPacket::compile);
            let answer = of_key.answer(compiled.as_ref()).unwrap();
            Response::write(&answer, &question, size_max)
        }
    }
}

/// An answer as lines: its kind, its records, the owner and TTL of its SOA, or the other records of
/// a referral.
pub(crate) fn text(response: &Response) -> Vec<String> {
    let kind = match response.kind {
        AnswerKind::Records => "records",
        AnswerKind::NoData => "no data",
        AnswerKind::NxDomain => "nxdomain",
        AnswerKind::YxDomain => "yxdomain",
        AnswerKind::Referral => "referral",
        AnswerKind::Refused => "refused",
    };
    let message = &response.message;
    let authorities = message.authorities.iter().map(|record| match &record.data {
        RData::SOA(_) => format!("SOA {} {}", record.name, record.ttl),
        _ => format!("authority {}", line(record)),
    });
    let additionals = message.additionals.iter();
    let additionals = additionals.map(|record| format!("additional {}", line(record)));
    let lines = std::iter::once(kind.to_owned()).chain(message.answers.iter().map(line));
    let lines = lines.chain(authorities).chain(additionals);
    lines
        .map(|line| line.replace(&KEY.to_string(), "KEY"))
        .collect()
}

/// A record as text, even if hickory-proto does not know its type.
pub(crate) fn line(record: &Record) -> String {
    match &record.data {
        RData::Unknown {
            code: code @ RecordType::DNAME,
            rdata,
        } => {
            let target = wire_to_name(&rdata.anything);
            format!("{} {} IN {code} {target}", record.name, record.ttl)
        }
        RData::Unknown {
            code: code @ RecordType::DS,
            rdata,
        } => {
            let data = rdata_text((*code).into(), &rdata.anything);
            format!("{} {} IN {code} {data}", record.name, record.ttl)
        }
        _ => record.to_string(),
    }
}

/// Parses a name from its uncompressed bytes.
pub(crate) fn wire_to_name(mut wire: &[u8]) -> Name {
    let mut labels = Vec::new();
    while wire[0] != 0 {
        let (label, rest) = wire[1..].split_at(usize::from(wire[0]));
        labels.push(label);
        wire = rest;
    }
    assert_eq!(wire.len(), 1, "nothing follows the name");
    let mut name = Name::from_labels(labels).unwrap();
    name.set_fqdn(true);
    name
}

/// Asserts the answer under the origin `dns.test.` from a packet of these records.
#[track_caller]
pub(crate) fn check(records: &[&str], query: &str, expected: &[&str]) {
    let packet = packet(records.iter().map(|text| record(text)).collect());
    let answer = answer(&authority(&["dns.test."]), Some(&packet), query);
    assert_eq!(text(&answer), expected, "{query}");
}
