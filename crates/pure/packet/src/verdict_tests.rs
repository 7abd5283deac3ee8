//! The verdicts on signatures on which verifiers of Ed25519 differ: those of strict verification, as
//! in iroh's clients. The kinds and their numbers are those of table 5 of "Taming the many EdDSAs"
//! (<https://eprint.iacr.org/2020/1244>).

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
    edwards::CompressedEdwardsY,
    traits::IsIdentity,
};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha512};

use super::*;
use crate::PUBLIC_KEY_SIZE;

/// The order L of the base point, little-endian (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The neutral element with p + 1 instead of 1 as its y.
const NEUTRAL_NOT_REDUCED: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xee;
    bytes[31] = 0x7f;
    bytes
};

/// The neutral element with the sign of -0 as that of its x.
const NEUTRAL_NEGATIVE: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes[31] = 0x80;
    bytes
};

/// How many timestamps are tried. One in eight fits, so none does in one of 10^28 runs.
const TRIES: u64 = 500;

/// A key or the nonce point of a signature: the sum of a multiple of the base point and of a point of
/// small order, with its encoding.
#[derive(Clone, Copy)]
struct Point {
    multiple: Scalar,
    small: EdwardsPoint,
    encoded: [u8; 32],
}

impl Point {
    /// The sum of `multiple` × the base point and of `small` × a point of order 8.
    fn new(multiple: u64, small: usize) -> Self {
        let (multiple, small) = (Scalar::from(multiple), EIGHT_TORSION[small]);
        let encoded = (ED25519_BASEPOINT_POINT * multiple + small).compress();
        Self {
            multiple,
            small,
            encoded: encoded.to_bytes(),
        }
    }

    fn neutral(encoded: [u8; 32]) -> Self {
        Self {
            encoded,
            ..Self::new(0, 0)
        }
    }
}

/// Which equation a signature satisfies.
#[derive(Clone, Copy, PartialEq)]
enum Equation {
    /// `s B = R + k A`.
    Plain,
    /// Only `8 s B = 8 R + 8 k A`.
    TimesEight,
}

/// A payload whose signature satisfies `equation`. `hashed_nonce` is the encoding of R that is hashed.
fn payload(key: Point, nonce: Point, hashed_nonce: [u8; 32], equation: Equation) -> Vec<u8> {
    let payload = (0..TRIES).find_map(|micros| {
        let message = signable(Timestamp::from_micros(micros), &EMPTY_DNS);
        let hashed = [&hashed_nonce[..], &key.encoded, &message].concat();
        let k = Scalar::from_bytes_mod_order_wide(&Sha512::digest(&hashed).into());
        let is_plain = (nonce.small + k * key.small).is_identity();
        let s = nonce.multiple + k * key.multiple;
        let payload = [
            &nonce.encoded[..],
            s.as_bytes(),
            &micros.to_be_bytes(),
            &EMPTY_DNS,
        ]
        .concat();
        (is_plain == (equation == Equation::Plain)).then_some(payload)
    });
    payload.expect("one of the timestamps fits")
}

/// The verdict of the parser, which must be that of the verifier of iroh's clients.
fn verdict(key: Point, payload: Vec<u8>) -> Result<(), PacketError> {
    let timestamp = payload[SIGNATURE_SIZE..PAYLOAD_SIZE_MIN]
        .try_into()
        .unwrap();
    let timestamp = Timestamp::from_micros(u64::from_be_bytes(timestamp));
    let signature = Signature::from_slice(&payload[..SIGNATURE_SIZE]).unwrap();
    let message = signable(timestamp, &payload[PAYLOAD_SIZE_MIN..]);
    let strict = VerifyingKey::from_bytes(&key.encoded).unwrap();
    let strict = strict.verify_strict(&message, &signature);
    let verdict = SignedPacket::parse(PublicKey::from_bytes(key.encoded), payload.into());
    assert_eq!(verdict.is_ok(), strict.is_ok());
    verdict.map(drop)
}

/// The same payload with `s + times × L`.
fn with_larger_s(mut payload: Vec<u8>, times: u8) -> Vec<u8> {
    for _ in 0..times {
        let mut carry = 0;
        for (byte, added) in payload[32..SIGNATURE_SIZE].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(added) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert_eq!(carry, 0, "it still has 32 bytes");
    }
    payload
}

#[test]
fn only_strictly_valid_signatures_are_accepted() {
    use Equation::{Plain, TimesEight};
    let (key, mixed, small) = (Point::new(7, 0), Point::new(7, 1), Point::new(0, 1));
    let (nonce, mixed_nonce, small_nonce) = (Point::new(5, 0), Point::new(5, 3), Point::new(0, 3));
    let neutral = Point::new(0, 0);
    let of = |key, nonce: Point, equation| payload(key, nonce, nonce.encoded, equation);
    let valid = of(key, nonce, Plain);
    let not_reduced = Point::neutral(NEUTRAL_NOT_REDUCED);
    let negative = Point::neutral(NEUTRAL_NEGATIVE);

    for (number, key, payload) in [
        ("the usual kind", key, valid.clone()),
        ("3", mixed, of(mixed, mixed_nonce, Plain)),
    ] {
        assert_eq!(verdict(key, payload), Ok(()), "{number}");
    }
    for (number, key, payload) in [
        ("2", mixed, of(mixed, small_nonce, Plain)),
        ("4", mixed, of(mixed, mixed_nonce, TimesEight)),
        ("5", mixed, of(mixed, nonce, TimesEight)),
        (
            "5 with the key and the nonce changed",
            key,
            of(key, mixed_nonce, TimesEight),
        ),
        ("6", key, with_larger_s(valid.clone(), 1)),
        ("7", key, with_larger_s(valid, 14)),
        ("8", mixed, of(mixed, not_reduced, Plain)),
        (
            "9",
            mixed,
            payload(mixed, not_reduced, neutral.encoded, Plain),
        ),
        ("8 with a sign", mixed, of(mixed, negative, Plain)),
    ] {
        let public = PublicKey::from_bytes(key.encoded);
        let rejected = Err(PacketError::Signature(public));
        assert_eq!(verdict(key, payload), rejected, "{number}");
    }
    for (number, key, payload) in [
        ("0", small, of(small, small_nonce, Plain)),
        ("1", small, of(small, mixed_nonce, Plain)),
        ("10 and 11", not_reduced, of(not_reduced, nonce, Plain)),
        ("10 with a sign", negative, of(negative, nonce, Plain)),
    ] {
        let verdict = verdict(key, payload);
        assert!(
            matches!(verdict, Err(PacketError::Key(_))),
            "{number}: {verdict:?}"
        );
    }
}

/// All 2 × 19 encodings with a y that is not reduced, and those of the eight points.
#[test]
fn every_encoding_of_a_point_of_small_order_is_known() {
    let not_reduced = (0..19).map(|above| {
        let mut bytes = [0xff; PUBLIC_KEY_SIZE];
        (bytes[0], bytes[PUBLIC_KEY_SIZE - 1]) = (0xed + above, 0x7f);
        bytes
    });
    let points = EIGHT_TORSION.map(|point| point.compress().to_bytes());
    for mut encoded in not_reduced.chain(points) {
        for _ in 0..2 {
            encoded[PUBLIC_KEY_SIZE - 1] ^= 0x80;
            if let Some(point) = CompressedEdwardsY(encoded).decompress() {
                let key = PublicKey::from_bytes(encoded);
                assert_eq!(
                    key.has_small_order(),
                    point.is_small_order(),
                    "{encoded:02x?}"
                );
            }
        }
    }
    let of_a_signer = PublicKey::from_bytes(Point::new(7, 0).encoded);
    assert!(!of_a_signer.has_small_order());
}
