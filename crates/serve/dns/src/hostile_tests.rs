//! Malformed queries and packets: anybody may send and publish them.

use hickory_proto::{
    op::{self, Message, MessageType, ResponseCode},
    rr::RecordType,
};
use quorate_fake::unverified;

use crate::{DnsTransport, UDP_SIZE_MAX, fixture::*};

/// Pseudorandom numbers below an argument, the same in every run.
fn random_numbers() -> impl FnMut(usize) -> usize {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

/// Mutants of a query (flipped bytes, shorter, longer) get a well-formed response or none.
#[test]
fn no_message_causes_a_panic() {
    let fixture = Fixture::new();
    let originals = [
        with_opt(alice_query(), 1232, 0, &[0, 12, 0, 2, 1, 2]),
        query(&srv_owner(), RecordType::SRV),
        query(&format!("alias.{BIG}.dns.test."), RecordType::TXT),
    ];
    let mut random_below = random_numbers();
    let mut answered = 0;
    for round in 0..30_000 {
        let mut message = originals[round % originals.len()].clone();
        for _ in 0..random_below(4) {
            let at = random_below(message.len());
            message[at] = random_below(256) as u8;
        }
        if random_below(3) == 0 {
            let size = random_below(message.len() + 20);
            message.resize(size, 0xc0);
        }
        let Some(bytes) = fixture.respond(&message, DnsTransport::Udp) else {
            continue;
        };
        answered += 1;
        assert!(bytes.len() <= UDP_SIZE_MAX.into());
        let response = parse(&bytes);
        assert_eq!(response.message_type, MessageType::Response);
        assert_eq!(bytes[..2], message[..2]);
    }
    assert!(answered > 10_000);
}

/// The response does not depend on the transport: it is equal byte for byte over streams, and in a
/// datagram as far as it fits. An OPT record in the query only adds an OPT record.
#[test]
fn all_transports_have_equal_responses() {
    let fixture = Fixture::new();
    let originals: Vec<Vec<u8>> = [ALICE, BIG, CUT, NOBODY]
        .into_iter()
        .flat_map(|key| ["_iroh", "txt", "alias", "x.sub", "ns.sub"].map(|label| (key, label)))
        .flat_map(|(key, label)| {
            let types = [
                RecordType::TXT,
                RecordType::A,
                RecordType::NS,
                RecordType::ANY,
            ];
            types.map(|of_type| query(&format!("{label}.{key}.dns.test."), of_type))
        })
        .collect();
    let mut random_below = random_numbers();
    let mut complete_count = 0;
    for round in 0..20_000 {
        let mut message = originals[round % originals.len()].clone();
        for _ in 0..random_below(3) {
            let at = random_below(message.len());
            message[at] = random_below(256) as u8;
        }
        let of = |message: &[u8], transport| fixture.respond(message, transport);
        let by_tcp = of(&message, DnsTransport::Tcp);
        for transport in [DnsTransport::Tls, DnsTransport::Quic, DnsTransport::Https] {
            assert_eq!(of(&message, transport), by_tcp, "{transport:?}");
        }
        let Some(by_tcp) = by_tcp else { continue };
        let by_udp = of(&message, DnsTransport::Udp).expect("a response");
        assert_eq!(by_udp[..2], by_tcp[..2]);
        if by_udp[2] & 2 == 0 && by_udp.len() == by_tcp.len() {
            assert_eq!(by_udp, by_tcp);
            complete_count += 1;
        }
        if message[10..12] == [0, 0] && by_tcp[3] & 0x0f == 0 {
            let with_opt = of(&with_opt(message, 1232, 0, &[]), DnsTransport::Tcp).unwrap();
            assert_eq!(with_opt[12..by_tcp.len()], by_tcp[12..]);
            assert_eq!(with_opt[by_tcp.len()..][..3], [0, 0, 41]);
        }
    }
    assert!(complete_count > 10_000, "{complete_count}");
}

/// Everything that hickory-proto accepts may be published. Tries mutants of a packet with data of
/// every type that it knows, and of one with a zone cut, and asks for each record in them.
#[test]
fn no_published_packet_causes_a_panic() {
    let many_types = packet_of_many_types();
    assert_eq!(
        Message::from_vec(&many_types).unwrap().answers.len(),
        TYPES.len()
    );
    let originals = [(ALICE, many_types), (CUT, cut())];
    let fixture = Fixture::new();
    let mut random_below = random_numbers();
    let mut answered = [0; 2];
    for round in 0..20_000 {
        let (key, original) = &originals[round % originals.len()];
        let mut dns = original.clone();
        for _ in 0..=random_below(6) {
            let at = random_below(dns.len());
            dns[at] = random_below(256) as u8;
        }
        let Ok(published) = Message::from_vec(&dns) else {
            continue;
        };
        fixture.replica.store(unverified(*key, &dns));
        for record in &published.answers {
            let owner = record.name.clone().append_domain(&name("dns.test."));
            let Ok(owner) = owner else { continue };
            let mut message = Message::query();
            message.add_query(op::Query::query(owner, record.record_type()));
            let response = fixture.respond(&message.to_vec().unwrap(), DnsTransport::Tcp);
            let response = parse(&response.unwrap());
            assert_ne!(response.response_code, ResponseCode::ServFail, "{record}");
            answered[usize::from(response.answers.is_empty())] += 1;
        }
    }
    assert!(answered.iter().all(|count| *count > 1_000), "{answered:?}");
}

/// RFC 3597, section 4: data is served unchanged, even if hickory-proto knows the type.
#[test]
fn data_of_every_type_comes_back_byte_for_byte() {
    let fixture = Fixture::new();
    fixture
        .replica
        .store(unverified(ALICE, &packet_of_many_types()));
    for (at, (record_type, data)) in TYPES.iter().enumerate() {
        let label = char::from(b'a' + at as u8);
        let owner = format!("{label}.{ALICE}.dns.test.");
        let response = fixture.respond(&query(&owner, (*record_type).into()), DnsTransport::Udp);
        let response = response.unwrap();
        assert_eq!(response[7], 1, "one answer for type {record_type}");
        assert!(response.ends_with(data), "type {record_type}");
    }
}

/// Type and data, without compression.
const TYPES: [(u16, &[u8]); 22] = [
    (1, &[192, 0, 2, 1]),
    (5, b"\x03foo\x00"),
    (10, b"anything"),
    (12, b"\x03foo\x00"),
    (13, b"\x03cpu\x02os"),
    (15, b"\x00\x0a\x03foo\x00"),
    (16, b"\x03one\x00\x03two"),
    (
        28,
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ),
    (33, b"\x00\x01\x00\x02\x00\x03\x03foo\x00"),
    (35, b"\x00\x01\x00\x02\x01U\x03sip\x05!a!b!\x00"),
    (37, b"\x00\x01\x00\x02\x05cert"),
    (44, b"\x01\x01fingerprint"),
    (46, b"signature"),
    (48, b"\x01\x01\x03\x0fkey"),
    (52, b"\x03\x01\x01hash"),
    (53, b"\x03\x01\x01hash"),
    (61, b"openpgp"),
    (62, b"\x00\x00\x00\x01\x00\x03\x00\x01\x40"),
    (
        64,
        b"\x00\x01\x00\x00\x01\x00\x03\x02h2\x00\x03\x00\x02\x01\xbb",
    ),
    (65, b"\x00\x01\x03foo\x00\x00\x04\x00\x04\xc0\x00\x02\x01"),
    (257, b"\x00\x05issueca.test"),
    (65305, b"\x03foo\x00"),
];

fn packet_of_many_types() -> Vec<u8> {
    let mut dns = vec![0, 0, 0x84, 0, 0, 0, 0, TYPES.len() as u8, 0, 0, 0, 0];
    let key = question(&format!("{ALICE}."), RecordType::A);
    for (at, (record_type, data)) in TYPES.iter().enumerate() {
        dns.extend_from_slice(&[1, b'a' + at as u8]);
        match at {
            0 => dns.extend_from_slice(&key[..key.len() - 4]),
            _ => dns.extend_from_slice(&[0xc0, 14]),
        }
        dns.extend_from_slice(&record_type.to_be_bytes());
        dns.extend_from_slice(&[0, 1, 0, 0, 0, 30, 0, data.len() as u8]);
        dns.extend_from_slice(data);
    }
    dns
}
