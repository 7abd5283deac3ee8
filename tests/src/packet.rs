//! Signed packets, good and bad, built from bytes.

use std::{
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use hickory_proto::{
    op::{Message, MessageType, OpCode},
    rr::{Name, RData, Record, rdata::TXT},
};
use pkarr::Keypair;

/// The TTL of every record that tests publish, in seconds.
pub const TTL_SECS: u32 = 30;

/// A payload of pkarr's relay protocol, and the key it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The signer, in z-base-32.
    pub key: String,
    /// The timestamp, in microseconds since the epoch.
    pub micros: u64,
    /// Signature, timestamp, DNS packet.
    pub payload: Bytes,
}

/// Signs any bytes as a packet (BEP 44 without salt).
pub fn sign(keys: &Keypair, micros: u64, dns: &[u8]) -> Packet {
    let mut signable = format!("3:seqi{micros}e1:v{}:", dns.len()).into_bytes();
    signable.extend_from_slice(dns);
    let signature = keys.sign(&signable).to_bytes();
    Packet {
        key: keys.to_z32(),
        micros,
        payload: [&signature[..], &micros.to_be_bytes(), dns].concat().into(),
    }
}

/// Signs TXT records, each an absolute name and its text.
pub fn sign_txt(keys: &Keypair, micros: u64, records: &[(&str, &str)]) -> Packet {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    for (name, text) in records {
        let name = Name::from_ascii(name).expect("the name is valid");
        let data = RData::TXT(TXT::new(vec![(*text).to_owned()]));
        message.add_answer(Record::from_rdata(name, TTL_SECS, data));
    }
    sign(
        keys,
        micros,
        &message.to_vec().expect("what tests publish can be encoded"),
    )
}

/// Microseconds since the epoch.
pub fn now_micros() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    u64::try_from(now.as_micros()).expect("good for 500,000 years")
}

/// The timestamp of a payload, if it is long enough to have one.
pub fn micros_of(payload: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(payload.get(64..72)?.try_into().ok()?))
}

/// Random bytes, the same for the same seed (xorshift).
pub fn garbage(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes
            .write_all(&state.to_be_bytes())
            .expect("a Vec accepts every write");
    }
    bytes.truncate(size);
    bytes
}
