//! Payloads of any size.

use bytes::Bytes;
use pkarr::Keypair;
use quorate_tests::packet;

/// Signature and timestamp.
const SIGNED_SIZE: usize = 72;

/// A response with one answer.
const HEADER: [u8; 12] = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];

/// TXT, IN, a TTL of 30 s.
const TYPE_CLASS_TTL: [u8; 8] = [0, 16, 0, 1, 0, 0, 0, 30];

/// The most bytes of a string in a TXT record.
const STRING_SIZE_MAX: usize = 255;

/// A signed packet whose payload has this many bytes: one TXT record that fills it.
pub(crate) fn of_size(keys: &Keypair, micros: u64, size: usize) -> Bytes {
    let key = keys.to_z32();
    let mut dns = HEADER.to_vec();
    for label in ["_iroh", &key] {
        dns.push(u8::try_from(label.len()).expect("labels are short"));
        dns.extend(label.as_bytes());
    }
    dns.push(0);
    dns.extend(TYPE_CLASS_TTL);
    let data_size = size - SIGNED_SIZE - dns.len() - 2;
    dns.extend(
        u16::try_from(data_size)
            .expect("a payload is short")
            .to_be_bytes(),
    );
    let mut left = data_size;
    while left > 0 {
        let string_size = (left - 1).min(STRING_SIZE_MAX);
        dns.push(u8::try_from(string_size).expect("a string is at most 255 bytes"));
        dns.extend(std::iter::repeat_n(b't', string_size));
        left -= 1 + string_size;
    }
    packet::sign(keys, micros, &dns).payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_the_requested_size() {
        let keys = Keypair::random();
        for size in [200, 1072, 1073, 2000] {
            assert_eq!(of_size(&keys, 1, size).len(), size);
        }
    }
}
