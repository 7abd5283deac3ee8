//! Limits the cost that a hostile packet can cause for a query. Anybody can publish and ask.
//!
//! Work is counted in steps that each take a few nanoseconds: labels read or compared, and records
//! written. A query of an ordinary packet takes tens of steps. The rest of the cost, two system
//! calls, is thousands of nanoseconds.

use quorate_packet::DNS_SIZE_MAX;

use crate::{
    AnswerKind, CompiledPacket,
    fixture::{KEY, Response, answer_in, authority, packet_of, question},
    work_fixture,
};

/// The largest number of steps of an answer.
const STEPS_MAX: u64 = 2_000;

/// The largest size of a datagram (RFC 9715).
const UDP_SIZE: usize = 1232;

/// A DNS message that is built byte by byte, with pointers at any place.
struct RawMessage {
    bytes: Vec<u8>,
}

impl RawMessage {
    /// A message with the key as the name of its only question, so that the key is at offset 12.
    fn new() -> Self {
        let mut raw = Self {
            bytes: vec![0, 0, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        };
        raw.label(KEY.to_string().as_bytes());
        raw.bytes.extend([0, 0, 1, 0, 1]);
        raw
    }

    fn label(&mut self, label: &[u8]) {
        self.bytes.push(label.len() as u8);
        self.bytes.extend_from_slice(label);
    }

    fn here(&self) -> u16 {
        self.bytes.len() as u16
    }

    /// Adds a record whose owner is `label` before the name at an offset, or that name itself.
    /// Returns the offset of its owner.
    fn record(&mut self, label: &[u8], behind: u16, record_type: u16, data: &[u8]) -> u16 {
        let at = self.here();
        if !label.is_empty() {
            self.label(label);
        }
        self.bytes.extend(pointer(behind));
        self.bytes.extend(record_type.to_be_bytes());
        self.bytes.extend([0, 1, 0, 0, 0, 30]);
        self.bytes.extend((data.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(data);
        self.bytes[7] += 1;
        at
    }

    /// Adds a record at a name of `count` labels of one letter. Returns the offset of that name.
    fn deep(&mut self, letter: u8, count: usize) -> u16 {
        let at = self.here();
        for _ in 0..count {
            self.label(&[letter]);
        }
        self.bytes.extend(pointer(12));
        self.bytes.extend([0, 16, 0, 1, 0, 0, 0, 30, 0, 2, 1, b'x']);
        self.bytes[7] += 1;
        at
    }

    fn has_room(&self, size: usize) -> bool {
        self.bytes.len() + size <= DNS_SIZE_MAX
    }
}

fn pointer(at: u16) -> [u8; 2] {
    (0xc000 | at).to_be_bytes()
}

fn with_name(before: &[u8], at: u16) -> Vec<u8> {
    [before, &pointer(at)].concat()
}

/// How many labels of one letter fit in a name of the key under the origin.
const DEPTH_MAX: usize = (255 - 53 - 10) / 2 - 1;

/// The packets that cause the most work, and the questions to ask.
fn packets() -> Vec<(&'static str, Vec<u8>, String)> {
    let deep_name = |letter: &str, count: usize| format!("{letter}.").repeat(count);
    vec![
        ("plain TXT", plain(), "_iroh.KEY.dns.test. TXT".to_owned()),
        ("45 PTRs", pointers(), "KEY.dns.test. PTR".to_owned()),
        (
            "delegated chain",
            chain(true),
            "c0.KEY.dns.test. A".to_owned(),
        ),
        (
            "deep chain",
            deep_chain(),
            format!("h.{}KEY.dns.test. A", deep_name("d", DEPTH_MAX - 2)),
        ),
        (
            "deep SRV",
            deep_hosts(33, &[0; 6]),
            "KEY.dns.test. SRV".to_owned(),
        ),
        (
            "deep MX",
            deep_hosts(15, &[0; 2]),
            "KEY.dns.test. MX".to_owned(),
        ),
        (
            "deep HTTPS",
            deep_hosts(65, &[0; 2]),
            "KEY.dns.test. HTTPS".to_owned(),
        ),
        (
            "deep NS",
            deep_hosts(2, &[]),
            "x.KEY.dns.test. A".to_owned(),
        ),
        ("cut", cut(), "x.s.KEY.dns.test. A".to_owned()),
        (
            "DNAMEs",
            dnames(),
            format!("x.{}KEY.dns.test. A", deep_name("d", DEPTH_MAX - 20)),
        ),
        ("siblings", siblings(), "zz9.KEY.dns.test. A".to_owned()),
        ("duplicates", duplicates(), "KEY.dns.test. MX".to_owned()),
    ]
}

fn plain() -> Vec<u8> {
    let mut raw = RawMessage::new();
    raw.record(b"_iroh", 12, 16, b"\x18relay=https://relay.test");
    raw.bytes
}

/// Records of equal size with long names that differ only in their last letters.
fn pointers() -> Vec<u8> {
    let mut raw = RawMessage::new();
    let tail = raw.deep(b'p', DEPTH_MAX - 2);
    for at in 0..45 {
        if raw.has_room(18) {
            raw.record(
                b"",
                12,
                12,
                &[&[2, b'a', b'a' + at], &pointer(tail)[..]].concat(),
            );
        }
    }
    raw.bytes
}

fn chain(is_delegated: bool) -> Vec<u8> {
    let mut raw = RawMessage::new();
    if is_delegated {
        raw.record(b"", 12, 2, &with_name(b"\x02ns", 12));
    }
    let mut next = 12;
    for at in (0..9).rev() {
        next = raw.record(&[b'c', b'0' + at], 12, 5, &with_name(&[], next));
    }
    while raw.has_room(20) {
        raw.record(
            &[b'n', b'0' + (raw.bytes[7] % 64)],
            12,
            2,
            &with_name(&[], 12),
        );
    }
    raw.bytes
}

/// Aliases from one deep name to the next.
fn deep_chain() -> Vec<u8> {
    let mut raw = RawMessage::new();
    let deep = raw.deep(b'd', DEPTH_MAX - 2);
    let mut next = raw.record(b"z", deep, 1, &[192, 0, 2, 1]);
    for letter in (b'a'..=b'h').rev().collect::<Vec<_>>().into_iter().rev() {
        next = raw.record(&[letter], deep, 5, &with_name(&[], next));
    }
    raw.bytes
}

/// Hosts at every depth of one deep name, and addresses at some of them.
fn deep_hosts(record_type: u16, before: &[u8]) -> Vec<u8> {
    let mut raw = RawMessage::new();
    let deep = raw.deep(b'd', DEPTH_MAX);
    for at in 0..14 {
        raw.record(b"", deep + 2 * at, 1, &[192, 0, 2, at as u8]);
    }
    for at in 0.. {
        let data = with_name(before, deep + 2 * (at % DEPTH_MAX as u16));
        if !raw.has_room(12 + data.len()) {
            break;
        }
        raw.record(b"", 12, record_type, &data);
    }
    raw.bytes
}

/// A cut with servers at every depth below it.
fn cut() -> Vec<u8> {
    let mut raw = RawMessage::new();
    let at_cut = raw.record(b"s", 12, 16, b"\x01x");
    let deep = raw.here();
    for _ in 0..DEPTH_MAX - 2 {
        raw.label(b"d");
    }
    raw.bytes.extend(pointer(at_cut));
    raw.bytes
        .extend([0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1]);
    raw.bytes[7] += 1;
    for at in 0.. {
        if !raw.has_room(42) {
            break;
        }
        raw.record(b"", deep + 2 * at, 28, &[0; 16]);
        raw.record(b"", at_cut, 2, &with_name(&[], deep + 2 * at));
    }
    raw.bytes
}

/// Each deep DNAME leads to a name below the next.
fn dnames() -> Vec<u8> {
    let mut raw = RawMessage::new();
    let deep = raw.deep(b'd', DEPTH_MAX - 20);
    let mut next = deep;
    for letter in b'a'..=b'h' {
        let owner = raw.record(&[letter], deep, 16, b"\x01x");
        raw.record(b"", owner, 39, &with_name(&[], next));
        next = owner;
    }
    raw.record(b"x", deep, 5, &with_name(b"\x01y", next));
    raw.bytes
}

fn siblings() -> Vec<u8> {
    let mut raw = RawMessage::new();
    for at in 0..60 {
        if raw.has_room(20) {
            raw.record(
                &[b'z', b'a' + at % 26, b'0' + at / 26],
                12,
                1,
                &[192, 0, 2, at],
            );
        }
    }
    raw.bytes
}

/// Pairs of hosts that are the same under the origin.
fn duplicates() -> Vec<u8> {
    let mut raw = RawMessage::new();
    let under = raw.here();
    raw.label(KEY.to_string().as_bytes());
    raw.bytes
        .extend(b"\x03dns\x04test\0\0\x10\0\x01\0\0\0\x1e\0\x02\x01x");
    raw.bytes[7] += 1;
    for at in 0.. {
        if !raw.has_room(44) {
            break;
        }
        for apex in [12, under] {
            raw.record(b"", 12, 15, &with_name(&[0, 1, 2, b'm', b'a' + at], apex));
        }
    }
    raw.bytes
}

fn ask(dns: &[u8], query: &str, size_max: usize) -> Response {
    let (authority, query) = (authority(&["dns.test."]), question(query));
    answer_in(&authority, Some(&packet_of(dns)), &query, size_max)
}

#[test]
fn hostile_packets_are_answered() {
    for (what, dns, query) in packets() {
        assert!(dns.len() <= DNS_SIZE_MAX, "{what}");
        let packet = CompiledPacket::compile(&packet_of(&dns));
        assert!(packet.tree().is_ok(), "{what}");
        let answer = ask(&dns, &query, 65535);
        let expected = match what {
            "cut" | "deep NS" => AnswerKind::Referral,
            "siblings" => AnswerKind::NxDomain,
            _ => AnswerKind::Records,
        };
        let count = answer.message.answers.len() + answer.message.authorities.len();
        let count_min = match what {
            "plain TXT" | "siblings" => 1,
            "delegated chain" | "deep chain" => 8,
            _ => 10,
        };
        assert_eq!(answer.kind, expected, "{what}");
        assert!(count >= count_min, "{what}: {count}");
        assert!(answer.is_complete, "{what}");
    }
}

#[test]
fn no_packet_makes_a_query_expensive() {
    for (what, dns, query) in packets() {
        for size_max in [512, UDP_SIZE] {
            let (authority, query) = (authority(&["dns.test."]), question(&query));
            let packet = CompiledPacket::compile(&packet_of(&dns));
            let steps = work_fixture::of(|| answer_compiled(&authority, &packet, &query, size_max));
            assert!(
                steps > 0 && steps <= STEPS_MAX,
                "{what}: {steps} steps for {size_max}"
            );
        }
    }
}

/// All records of a packet fit in a message of 64 KiB, even if their names have the largest size.
#[test]
fn an_answer_over_tcp_is_bounded_by_its_packet() {
    for (what, dns, query) in packets() {
        let answer = ask(&dns, &query, 65535);
        assert!(
            answer.bytes.len() <= 16 * DNS_SIZE_MAX,
            "{what}: {}",
            answer.bytes.len()
        );
    }
}

fn answer_compiled(
    authority: &crate::Authority,
    packet: &CompiledPacket,
    query: &[u8],
    size_max: usize,
) -> usize {
    let mut out = Vec::with_capacity(2048);
    write(authority, packet, query, size_max, &mut out);
    out.len()
}

fn write(
    authority: &crate::Authority,
    packet: &CompiledPacket,
    query: &[u8],
    size_max: usize,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend([0; 12]);
    let question = crate::Question::parse(query).unwrap();
    out.extend_from_slice(question.wire());
    let crate::LookupResult::NeedsPacket(of_key) = authority.lookup(&question) else {
        panic!("a question below a key");
    };
    let answer = of_key.answer(Some(packet)).unwrap();
    answer.write(&question, size_max, out);
}
