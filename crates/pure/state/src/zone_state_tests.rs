use super::*;
use crate::fixture::{name, zone_state};

fn encoded(state: &ZoneState, secrecy: Secrecy) -> Vec<u8> {
    let mut out = Vec::new();
    state.encode(&mut out, secrecy);
    out
}

#[test]
fn zones_are_read_as_they_were_written() {
    for state in [ZoneState::default(), zone_state()] {
        let bytes = encoded(&state, Secrecy::Whole);
        let mut whole = Bytes::from([&bytes[..], b"more"].concat());
        assert_eq!(ZoneState::decode(&mut whole), Some(state));
        assert_eq!(&whole[..], b"more");
        for size in 0..bytes.len() {
            let mut cut = Bytes::copy_from_slice(&bytes[..size]);
            assert_eq!(ZoneState::decode(&mut cut), None, "{size} bytes");
        }
    }
}

/// What stands on disks and goes over the wire: it changes with a level only.
#[test]
fn the_encoding_is_this() {
    let set = RecordSet {
        ttl_secs: 300,
        rdata: vec![Bytes::from_static(&[192, 0, 2, 1])],
    };
    let zone = ReplicatedZone {
        serial: 7,
        sets: [((name("w.a."), 1), set)].into(),
    };
    let state = ZoneState {
        zones: [(name("a."), zone)].into(),
        cookie_secrets: CookieSecrets {
            current: Some(CookieSecret([0xcc; 16])),
            previous: None,
            rotated: UnixMillis(9),
        },
    };
    let zones = b"\0\x01\x01a\0\0\0\0\x07\0\0\0\x01\x01w\x01a\0\0\x01\0\0\x01\x2c\0\0\0\x01\
        \0\0\0\x04\xc0\0\x02\x01\0\0\0\0\0\0\0\x09";
    let whole = [&zones[..], b"\x01", &[0xcc; 16], b"\0", &[0; 16]].concat();
    assert_eq!(encoded(&state, Secrecy::Whole), whole);
    assert_eq!(
        encoded(&state, Secrecy::Public),
        [&zones[..], b"\x01\0"].concat()
    );
}

#[test]
fn nothing_that_prints_or_digests_has_a_secret() {
    let state = zone_state();
    let secrets = state.cookie_secrets;
    let mut others = state.clone();
    others.cookie_secrets.current = Some(CookieSecret([0x11; 16]));
    others.cookie_secrets.previous = Some(CookieSecret([0x12; 16]));
    assert_ne!(state, others);
    assert_eq!(format!("{state:?}"), format!("{others:?}"));
    let [ours, theirs] = [&state, &others].map(|state| encoded(state, Secrecy::Public));
    assert_eq!(ours, theirs);
    for secret in [secrets.current, secrets.previous].map(Option::unwrap) {
        assert!(!ours.windows(16).any(|bytes| bytes == secret.0));
    }
}

#[test]
fn the_size_is_what_the_zones_take_encoded() {
    let state = zone_state();
    let mut bare = state.clone();
    bare.zones.clear();
    let [with, without] = [&state, &bare].map(|state| encoded(state, Secrecy::Whole).len());
    assert_eq!(state.size(), with - without);
}
