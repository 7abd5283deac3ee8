use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::*;

#[path = "verdict_tests.rs"]
mod verdict_tests;

/// A DNS response without records, the smallest packet there is.
const EMPTY_DNS: [u8; 12] = [0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn sign(seed: u8, micros: u64, dns: &[u8]) -> (PublicKey, Bytes) {
    let signer = SigningKey::from_bytes(&[seed; 32]);
    let signature = signer.sign(&signable(Timestamp::from_micros(micros), dns));
    let payload = [&signature.to_bytes()[..], &micros.to_be_bytes(), dns].concat();
    (
        PublicKey::from_bytes(signer.verifying_key().to_bytes()),
        payload.into(),
    )
}

#[test]
fn what_the_pkarr_crate_signs_is_accepted() {
    let signer = pkarr::Keypair::random();
    let theirs = pkarr::SignedPacket::builder()
        .txt(
            "_iroh".try_into().unwrap(),
            "relay=https://example.org".try_into().unwrap(),
            30,
        )
        .sign(&signer)
        .unwrap();
    let key = signer.to_z32().parse().unwrap();
    let ours = SignedPacket::parse(key, theirs.to_relay_payload()).unwrap();
    assert_eq!(ours.timestamp().as_micros(), theirs.timestamp().as_u64());
    assert_eq!(ours.dns(), theirs.encoded_packet());
    assert_eq!(*ours.payload(), theirs.to_relay_payload());
}

#[test]
fn any_timestamp_can_be_signed() {
    for micros in [0, 1, u64::MAX] {
        let (key, payload) = sign(1, micros, &EMPTY_DNS);
        assert_eq!(
            SignedPacket::parse(key, payload)
                .unwrap()
                .timestamp()
                .as_micros(),
            micros
        );
    }
}

mod properties {
    use hickory_proto::{
        op::OpCode,
        rr::{Name, RData, Record, rdata::TXT},
    };
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    /// A DNS packet of up to five TXT records.
    fn dns() -> impl Strategy<Value = Vec<u8>> {
        vec("[a-z]{1,10}", 0..=5).prop_map(|texts| {
            let mut message = Message::response(0, OpCode::Query);
            for text in texts {
                let owner = Name::from_ascii(format!("{text}.test.")).unwrap();
                let data = RData::TXT(TXT::new(vec![text]));
                message.add_answer(Record::from_rdata(owner, 30, data));
            }
            message.to_vec().unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(128)
        })]

        #[test]
        fn signed_bytes_are_read_unchanged(seed: u8, micros: u64, dns in dns()) {
            let (key, payload) = sign(seed, micros, &dns);
            let packet = SignedPacket::parse(key, payload.clone()).unwrap();
            prop_assert_eq!(packet.key(), &key);
            prop_assert_eq!(packet.timestamp().as_micros(), micros);
            prop_assert_eq!(packet.dns(), dns);
            prop_assert_eq!(packet.payload(), &payload);
            prop_assert_eq!(SignedPacket::assume_verified(key, payload), Some(packet));
        }

        #[test]
        fn a_changed_bit_is_rejected(seed: u8, micros: u64, dns in dns(), at: Index, bit in 0..8u32) {
            let (key, payload) = sign(seed, micros, &dns);
            let mut forged = payload.to_vec();
            forged[at.index(payload.len())] ^= 1u8 << bit;
            prop_assert!(SignedPacket::parse(key, forged.into()).is_err());
            let mut other = *key.as_bytes();
            other[at.index(other.len())] ^= 1u8 << bit;
            let other = PublicKey::from_bytes(other);
            prop_assert!(SignedPacket::parse(other, payload).is_err());
        }

        #[test]
        fn bytes_without_a_valid_signature_are_rejected(
            key: [u8; 32],
            payload in vec(any::<u8>(), 0..=PAYLOAD_SIZE_MAX + 1),
            dns in dns(),
        ) {
            let key = PublicKey::from_bytes(key);
            let with_dns = payload.iter().copied().take(PAYLOAD_SIZE_MIN).chain(dns).collect();
            prop_assert!(SignedPacket::parse(key, payload.into()).is_err());
            prop_assert!(SignedPacket::parse(key, with_dns).is_err());
        }
    }
}

#[test]
fn a_changed_bit_anywhere_is_rejected() {
    let (key, payload) = sign(2, 7, &EMPTY_DNS);
    for at in 0..payload.len() {
        let mut forged = payload.to_vec();
        forged[at] ^= 1;
        assert!(
            SignedPacket::parse(key, forged.into()).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn another_key_is_rejected() {
    let (_, payload) = sign(3, 7, &EMPTY_DNS);
    let (other, _) = sign(4, 7, &EMPTY_DNS);
    assert_eq!(
        SignedPacket::parse(other, payload),
        Err(PacketError::Signature(other))
    );
}

#[test]
fn sizes_out_of_range_are_rejected() {
    let key = PublicKey::default();
    for size in [0, 71] {
        let error = SignedPacket::parse(key, vec![0; size].into());
        assert_eq!(error, Err(PacketError::TooShort(size)));
    }
    let error = SignedPacket::parse(key, vec![0; 1073].into());
    assert_eq!(error, Err(PacketError::TooLong(1073)));
}

#[test]
fn undecodable_dns_is_rejected() {
    let claims_a_question = [0, 0, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let garbage = [0xff; 100];
    for dns in [&[][..], &EMPTY_DNS[..11], &claims_a_question, &garbage] {
        let (key, payload) = sign(5, 7, dns);
        let error = SignedPacket::parse(key, payload).unwrap_err();
        assert!(matches!(error, PacketError::Dns(_)), "{dns:?}: {error}");
    }
}

#[test]
fn weak_keys_are_rejected_even_with_a_valid_signature() {
    // The neutral element: R = neutral, s = 0 satisfies the plain equation for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut payload = vec![0; PAYLOAD_SIZE_MIN];
    payload[0] = 1;
    payload.extend_from_slice(&EMPTY_DNS);
    let key = PublicKey::from_bytes(neutral);
    let plain = VerifyingKey::from_bytes(&neutral).unwrap();
    let signature = Signature::from_slice(&payload[..SIGNATURE_SIZE]).unwrap();
    let message = signable(Timestamp::from_micros(0), &EMPTY_DNS);
    ed25519_dalek::Verifier::verify(&plain, &message, &signature).expect("a forgery for anyone");
    assert_eq!(
        SignedPacket::parse(key, payload.into()),
        Err(PacketError::Key(InvalidKeyError::Weak(key)))
    );
}

#[test]
fn bytes_that_are_not_a_curve_point_are_rejected() {
    let key = PublicKey::from_bytes([2; 32]);
    let (_, payload) = sign(6, 7, &EMPTY_DNS);
    assert_eq!(
        SignedPacket::parse(key, payload),
        Err(PacketError::Key(InvalidKeyError::NotOnCurve(key)))
    );
}

#[test]
fn the_later_timestamp_wins_then_the_larger_packet() {
    let parse = |micros, dns: &[u8]| {
        let (key, payload) = sign(8, micros, dns);
        SignedPacket::parse(key, payload).unwrap()
    };
    let mut larger_dns = EMPTY_DNS;
    larger_dns[0] = 1;
    let first = parse(7, &EMPTY_DNS);
    assert_eq!(first.recency(&first.clone()), Ordering::Equal);
    assert_eq!(
        parse(8, &EMPTY_DNS).recency(&parse(7, &larger_dns)),
        Ordering::Greater
    );
    assert_eq!(parse(7, &larger_dns).recency(&first), Ordering::Greater);
    assert_eq!(first.recency(&parse(7, &larger_dns)), Ordering::Less);
}
