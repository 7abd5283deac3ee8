//! A replica with a few packets, and queries as bytes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hickory_proto::{
    op::{Message, OpCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{self, TXT},
    },
};
use quorate_fake::{FakeDht, FakeReplica, unverified};
use quorate_metrics::Registry;
use quorate_packet::PublicKey;
use quorate_replica::{CookieSecret, CookieSecrets, NamedSet, RecordSet, WireName, ZoneState};
use quorate_zone::{
    Origin, Soa,
    file::{parse_name, record_sets},
};

use crate::{
    AnswerLimits, DnsClient, DnsConfig, DnsDht, DnsMetrics, DnsTransport, Responder, SharedLimits,
};

/// This key publishes `_iroh` and more.
pub(crate) const ALICE: PublicKey = PublicKey::from_bytes([1; 32]);
/// This key has answers of every size.
pub(crate) const BIG: PublicKey = PublicKey::from_bytes([2; 32]);
/// This key has a packet that cannot be decoded.
pub(crate) const DAMAGED: PublicKey = PublicKey::from_bytes([3; 32]);
pub(crate) const PANICKING: PublicKey = PublicKey::from_bytes([5; 32]);
/// This key has a zone cut, `sub`.
pub(crate) const CUT: PublicKey = PublicKey::from_bytes([6; 32]);
pub(crate) const NOBODY: PublicKey = PublicKey::from_bytes([4; 32]);

/// The labels of the owner of the SRV records of [`BIG`].
const SRV_LABELS: [&[u8]; 3] = [&[b's'; 60], &[b'r'; 60], &[b'v'; 60]];

/// A responder, its replica and its metrics.
pub(crate) struct Fixture {
    pub(crate) responder: Arc<Responder>,
    pub(crate) replica: Arc<FakeReplica>,
    pub(crate) registry: Registry,
    pub(crate) connections: quorate_http::listener::ListenerMetrics,
}

impl Fixture {
    /// A fixture without limits, and without a secret for cookies.
    pub(crate) fn new() -> Self {
        Self::with(&DnsConfig::default(), None)
    }

    /// A fixture with this configuration and these limits.
    pub(crate) fn with(config: &DnsConfig, limits: Option<&quorate_limit::LimitConfig>) -> Self {
        let replica = FakeReplica::new();
        replica.panic_at(PANICKING);
        for (key, dns) in [
            (ALICE, alice()),
            (BIG, big()),
            (CUT, cut()),
            (DAMAGED, vec![0xff; 40]),
        ] {
            replica.store(unverified(key, &dns));
        }

        let registry = Registry::new();
        let metrics = DnsMetrics::register(&registry).unwrap();
        let connections = quorate_http::listener::ListenerMetrics::register(&registry).unwrap();
        let origins = vec![origin("dns.test."), origin("two.test.")];
        let limits = limits.and_then(AnswerLimits::new);
        let responder = Responder::new(
            config,
            origins,
            SharedLimits::new(limits),
            replica.clone(),
            metrics,
        );
        Self {
            responder: Arc::new(responder.unwrap()),
            replica,
            registry,
            connections,
        }
    }

    /// The same with a DHT for the zone `dns.test.`, which a query waits for so long.
    pub(crate) fn with_dht(self, bridge: Arc<FakeDht>, deadline: Duration) -> Self {
        let responder = Arc::into_inner(self.responder).expect("nobody uses it yet");
        let dht = DnsDht { bridge, deadline };
        Self {
            responder: Arc::new(responder.with_dht(Some(dht))),
            ..self
        }
    }

    /// Sets the secrets of cookies for later queries.
    pub(crate) fn set_cookie_secrets(&self, current: [u8; 16], previous: Option<[u8; 16]>) {
        self.replica.set_cookie_secrets(CookieSecrets {
            current: CookieSecret(current),
            previous: previous.map(CookieSecret),
        });
        self.responder.update_zones();
    }

    /// Replaces the replicated zones, and waits until they are served.
    pub(crate) fn serve(&self, zones: ZoneState) {
        self.replica.set_zone_state(zones);
        self.responder.update_zones();
    }

    /// The bytes of the response, if there is one.
    pub(crate) fn respond(&self, message: &[u8], transport: DnsTransport) -> Option<Vec<u8>> {
        let mut out = b"left over".to_vec();
        let summary = self
            .responder
            .respond(message, &client(transport), &mut out);
        summary.map(|_| out)
    }

    /// The response to a query over UDP.
    #[track_caller]
    pub(crate) fn ask(&self, message: &[u8]) -> Message {
        parse(
            &self
                .respond(message, DnsTransport::Udp)
                .expect("a response"),
        )
    }

    /// The value of a metric. `line_start` has `label="value"` pairs in the format of Prometheus.
    pub(crate) fn metric(&self, line_start: &str) -> u64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather());
        let text = text.unwrap();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(line_start));
        value.expect(line_start).trim().parse().unwrap()
    }
}

/// A client with this transport.
pub(crate) fn client(transport: DnsTransport) -> DnsClient {
    DnsClient::new([192, 0, 2, 9].into(), transport)
}

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub(crate) fn origin(text: &str) -> Origin {
    let apex = wire_name(text, &WireName::root());
    let below = |label| wire_name(label, &apex);
    let set = |record_type, data: &[u8]| NamedSet {
        owner: apex.clone(),
        record_type,
        records: RecordSet {
            ttl_secs: 600,
            rdata: vec![Bytes::copy_from_slice(data)],
        },
    };
    Origin {
        soa: Soa {
            mname: below("ns1"),
            rname: below("hostmaster"),
            serial: 1,
            refresh_secs: 7200,
            retry_secs: 900,
            expire_secs: 1_209_600,
            minimum_secs: 50,
        },
        soa_ttl_secs: 3600,
        sets: record_sets([set(2, below("ns1").as_bytes()), set(1, &[192, 0, 2, 1])]),
        ttl_secs_min: 0,
        ttl_secs_max: i32::MAX as u32,
        dht: text == "dns.test.",
        name: apex,
    }
}

fn wire_name(text: &str, origin: &WireName) -> WireName {
    parse_name(text, origin).unwrap()
}

pub(crate) fn txt(owner: &str, key: PublicKey, text: String) -> Record {
    let data = RData::TXT(TXT::new(vec![text]));
    Record::from_rdata(name(&format!("{owner}.{key}.")), 30, data)
}

fn alice() -> Vec<u8> {
    let mut message = Message::response(0, OpCode::Query);
    message.add_answer(txt("_iroh", ALICE, "relay=https://relay.test".to_owned()));
    message.to_vec().unwrap()
}

/// `txt`: one set of 540 bytes. `alias`: an alias to it. `<SRV_LABELS>`: records with 20 bytes here
/// and 260 in an answer, where their targets must not be compressed (RFC 2782).
fn big() -> Vec<u8> {
    let mut message = Message::response(0, OpCode::Query);
    for letter in ["a", "b", "c"] {
        message.add_answer(txt("txt", BIG, letter.repeat(180)));
    }
    let alias = format!("alias.{BIG}. 30 CNAME txt.{BIG}.");
    let [owner, _, _, target] = alias.split(' ').collect::<Vec<_>>()[..] else {
        unreachable!("four fields");
    };
    let data = rdata::CNAME(name(target));
    message.add_answer(Record::from_rdata(name(owner), 30, RData::CNAME(data)));
    let mut bytes = message.to_vec().unwrap();

    let owner_at = u16::try_from(bytes.len()).unwrap();
    for label in SRV_LABELS {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label);
    }
    // A pointer to the key in the first owner name, after the label `txt`.
    bytes.extend_from_slice(&[0xc0, 12 + 4]);
    let pointer = (0xc000 | owner_at).to_be_bytes();
    for port in 0..5u8 {
        if port > 0 {
            bytes.extend_from_slice(&pointer);
        }
        bytes.extend_from_slice(&[0, 33, 0, 1, 0, 0, 0, 30, 0, 8, 0, 0, 0, 0, 0, port]);
        bytes.extend_from_slice(&pointer);
        bytes[7] += 1;
    }
    bytes
}

/// `sub`: a server with one IPv4 address, and 16 IPv6 addresses that do not fit in 512 bytes.
pub(crate) fn cut() -> Vec<u8> {
    let mut message = Message::response(0, OpCode::Query);
    let server = name(&format!("ns.sub.{CUT}."));
    let ns = RData::NS(rdata::NS(server.clone()));
    message.add_answer(Record::from_rdata(server.base_name(), 60, ns));
    let a = RData::A(rdata::A::new(192, 0, 2, 1));
    message.add_answer(Record::from_rdata(server.clone(), 20, a));
    for host in 1..=16 {
        let aaaa = RData::AAAA(rdata::AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host));
        message.add_answer(Record::from_rdata(server.clone(), 20, aaaa));
    }
    message.to_vec().unwrap()
}

/// The owner of the SRV records of [`BIG`].
pub(crate) fn srv_owner() -> String {
    let labels = SRV_LABELS.map(|label| String::from_utf8(label.to_vec()).unwrap());
    format!("{}.{BIG}.dns.test.", labels.join("."))
}

/// `_iroh.<key>.<origin>`.
pub(crate) fn iroh(key: PublicKey, origin: &str) -> String {
    format!("_iroh.{key}.{origin}")
}

/// A question in wire form.
pub(crate) fn question(owner: &str, record_type: RecordType) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in &name(owner) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes.extend_from_slice(&u16::from(record_type).to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes
}

/// A query with the ID 0xabcd and RD.
pub(crate) fn query(owner: &str, record_type: RecordType) -> Vec<u8> {
    let header = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], &question(owner, record_type)].concat()
}

/// The same with an OPT record.
pub(crate) fn with_opt(mut query: Vec<u8>, udp_size: u16, version: u8, options: &[u8]) -> Vec<u8> {
    query[11] += 1;
    query.extend_from_slice(&[0, 0, 41]);
    query.extend_from_slice(&udp_size.to_be_bytes());
    query.extend_from_slice(&[0, version, 0x80, 0]);
    query.extend_from_slice(&u16::try_from(options.len()).unwrap().to_be_bytes());
    query.extend_from_slice(options);
    query
}

/// A query that the packet of [`ALICE`] answers.
pub(crate) fn alice_query() -> Vec<u8> {
    query(&iroh(ALICE, "dns.test."), RecordType::TXT)
}

#[track_caller]
pub(crate) fn parse(response: &[u8]) -> Message {
    Message::from_vec(response).expect("responses are well-formed")
}
