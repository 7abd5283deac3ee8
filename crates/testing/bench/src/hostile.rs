//! Packets that are designed to cost a server much.

use hickory_proto::rr::RecordType;
use pkarr::Keypair;
use quorate_tests::{
    ORIGIN, Packet,
    packet::{TTL_SECS, now_micros, sign},
};

use crate::load::queries::Queries;

/// A packet, and the query about it that costs most.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) packet: Packet,
    /// The labels in front of the key, each with a dot.
    prefix: &'static str,
    record_type: RecordType,
}

impl Hostile {
    /// The one query, with EDNS, which permits a long answer.
    pub(crate) fn queries(&self) -> anyhow::Result<Queries> {
        let name = format!("{}{}.{ORIGIN}", self.prefix, self.packet.key);
        Ok(Queries::of([name], self.record_type)?.with_edns(&[]))
    }
}

/// Where the first name of a message starts, in bytes.
const FIRST_NAME_AT: u16 = 12;

/// Marks a pointer to an earlier name (RFC 1035, section 4.1.4).
const POINTER: u16 = 0xc000;

/// How many records there are with long names that differ in their first letters only.
const TWIN_COUNT: u8 = 45;

/// How many aliases lead from one to the next: as many as are followed.
const ALIAS_COUNT: u8 = 8;

/// How many other names are delegated, each of which might be above them.
const DELEGATION_COUNT: u8 = 45;

/// As many bytes of text as one packet can have.
const TEXT_SIZE: usize = 870;

/// One of each kind, each of its own key.
pub(crate) fn packets() -> [Hostile; 3] {
    let keys = [1, 2, 3].map(|number| Keypair::from_secret_key(&[number; 32]));
    let [twins, aliases, large] = &keys;
    [
        Hostile {
            name: "45 PTRs, almost equal",
            packet: sign(twins, now_micros(), &many_twins(&twins.to_z32())),
            prefix: "_iroh.",
            record_type: RecordType::PTR,
        },
        Hostile {
            name: "8 CNAMEs, 46 NS",
            packet: sign(aliases, now_micros(), &aliases_below_ns(&aliases.to_z32())),
            prefix: "a.",
            record_type: RecordType::TXT,
        },
        Hostile {
            name: "one long TXT",
            packet: sign(large, now_micros(), &long_text(&large.to_z32())),
            prefix: "",
            record_type: RecordType::TXT,
        },
    ]
}

fn many_twins(key: &str) -> Vec<u8> {
    let mut message = Message::new();
    let owner = [labels(&["_iroh", key]), vec![0]].concat();
    let stem = ["x".repeat(63), "y".repeat(63), "z".repeat(50)];
    let stem = labels(&stem.each_ref().map(String::as_str));
    message.record(&owner, 12, &[&[1, 0][..], &stem, &[0]].concat());
    let stem_at = message.size() - stem.len() - 1;
    for number in 1..TWIN_COUNT {
        let target = [&[1, number][..], &pointer(stem_at)].concat();
        message.record(&pointer(FIRST_NAME_AT.into()), 12, &target);
    }
    message.bytes()
}

fn aliases_below_ns(key: &str) -> Vec<u8> {
    let mut message = Message::new();
    let apex = pointer(FIRST_NAME_AT.into());
    let owner = [labels(&[key]), vec![0]].concat();
    message.record(&owner, 2, &[&b"\x02ns"[..], &apex].concat());
    for number in 0..ALIAS_COUNT {
        let name = |number| [&[1, b'a' + number][..], &apex].concat();
        message.record(&name(number), 5, &name(number + 1));
    }
    for number in 0..DELEGATION_COUNT {
        let owner = [&[2, b'n', b'0' + number][..], &apex].concat();
        message.record(&owner, 2, &apex);
    }
    message.bytes()
}

fn long_text(key: &str) -> Vec<u8> {
    let mut message = Message::new();
    let text = "t".repeat(TEXT_SIZE);
    let text: Vec<&str> = text
        .as_bytes()
        .chunks(255)
        .map(|part| std::str::from_utf8(part).expect("it is ASCII"))
        .collect();
    message.record(&[labels(&[key]), vec![0]].concat(), 16, &labels(&text));
    message.bytes()
}

/// Strings as names and texts have them: each with its length before it.
fn labels(labels: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels {
        bytes.push(u8::try_from(label.len()).expect("labels are short"));
        bytes.extend(label.as_bytes());
    }
    bytes
}

fn pointer(at: usize) -> [u8; 2] {
    let at = u16::try_from(at).expect("a packet is short");
    (POINTER | at).to_be_bytes()
}

/// A DNS message in the making, compressed as its maker likes.
struct Message {
    records: Vec<u8>,
    record_count: u16,
}

impl Message {
    fn new() -> Self {
        Self {
            records: Vec::new(),
            record_count: 0,
        }
    }

    fn record(&mut self, owner: &[u8], record_type: u16, data: &[u8]) {
        let size = u16::try_from(data.len()).expect("a packet is short");
        self.records.extend(owner);
        self.records.extend(record_type.to_be_bytes());
        self.records.extend(1_u16.to_be_bytes());
        self.records.extend(TTL_SECS.to_be_bytes());
        self.records.extend(size.to_be_bytes());
        self.records.extend(data);
        self.record_count += 1;
    }

    fn size(&self) -> usize {
        usize::from(FIRST_NAME_AT) + self.records.len()
    }

    fn bytes(self) -> Vec<u8> {
        let [high, low] = self.record_count.to_be_bytes();
        let header = [0, 0, 0x84, 0, 0, 0, high, low, 0, 0, 0, 0];
        [&header[..], &self.records].concat()
    }
}

#[cfg(test)]
mod tests {
    use quorate_packet::SignedPacket;

    use super::*;

    #[test]
    fn a_relay_takes_them_and_their_records_can_be_read() {
        let counts = [TWIN_COUNT, 1 + ALIAS_COUNT + DELEGATION_COUNT, 1];
        for (hostile, count) in packets().into_iter().zip(counts) {
            let Packet { key, payload, .. } = hostile.packet;
            SignedPacket::parse(key.parse().unwrap(), payload.clone()).unwrap();
            let message = hickory_proto::op::Message::from_vec(&payload[72..]).unwrap();
            assert_eq!(
                message.answers.len(),
                usize::from(count),
                "{}",
                hostile.name
            );
        }
    }
}
