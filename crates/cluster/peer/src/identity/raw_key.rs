//! Raw public keys as they appear in a handshake.

use ed25519_dalek::VerifyingKey;
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey};

/// The bytes before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4): a
/// SEQUENCE of the algorithm's identifier and a BIT STRING. DER has one encoding for each value, so every
/// key starts with these bytes.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The bytes before the 32 bytes of an Ed25519 seed in a PrivateKeyInfo (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The key as a SubjectPublicKeyInfo in DER.
pub(crate) fn to_spki(key: &PublicKey) -> Vec<u8> {
    [&SPKI_PREFIX[..], key.as_bytes()].concat()
}

/// Parses a SubjectPublicKeyInfo in DER.
/// Returns `None` if it is not an Ed25519 key, or one of small order, for which anyone can sign.
pub(crate) fn parse_spki(spki: &[u8]) -> Option<PublicKey> {
    let bytes: [u8; PUBLIC_KEY_SIZE] = spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?;
    let key = VerifyingKey::from_bytes(&bytes).ok()?;
    (!key.is_weak()).then_some(PublicKey::from_bytes(bytes))
}

/// The seed as a PrivateKeyInfo in DER.
pub(crate) fn to_pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    [&PKCS8_PREFIX[..], seed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: PublicKey = PublicKey::from_bytes([
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ]);

    #[test]
    fn a_key_survives_the_round_trip() {
        assert_eq!(parse_spki(&to_spki(&POINT)), Some(POINT));
    }

    #[test]
    fn what_is_no_key_is_none() {
        let spki = to_spki(&POINT);
        for len in 0..spki.len() {
            assert_eq!(parse_spki(&spki[..len]), None, "{len} bytes");
        }
        assert_eq!(parse_spki(&[spki.as_slice(), &[0]].concat()), None);
        for position in 0..SPKI_PREFIX.len() {
            let mut other = spki.clone();
            other[position] ^= 1;
            assert_eq!(parse_spki(&other), None, "byte {position}");
        }
    }

    #[test]
    fn weak_keys_are_none() {
        let zero = PublicKey::from_bytes([0; 32]);
        assert_eq!(parse_spki(&to_spki(&zero)), None);
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(parse_spki(&to_spki(&PublicKey::from_bytes(neutral))), None);
    }
}
