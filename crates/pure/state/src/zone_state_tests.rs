use bytes::{Bytes, BytesMut};

use super::*;
use crate::{
    codec::Codec,
    fixture::{name, zone_state},
};

fn encoded(state: &ZoneState) -> Bytes {
    let mut out = BytesMut::new();
    state.put(&mut out);
    out.freeze()
}

#[test]
fn zones_are_read_as_they_were_written() {
    for state in [ZoneState::default(), zone_state()] {
        let bytes = encoded(&state);
        let mut whole = Bytes::from([&bytes[..], b"more"].concat());
        assert_eq!(ZoneState::take(&mut whole), Ok(state));
        assert_eq!(&whole[..], b"more");
        for size in 0..bytes.len() {
            let read = ZoneState::take(&mut bytes.slice(..size));
            assert!(read.is_err(), "{size} bytes");
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
    };
    let zones = b"\0\0\0\x01\x01a\0\0\0\0\x07\0\0\0\x01\x01w\x01a\0\0\x01\0\0\x01\x2c\0\0\0\x01\
        \0\0\0\x04\xc0\0\x02\x01";
    let whole = [&zones[..], &[0; 10]].concat();
    assert_eq!(encoded(&state), whole);
    // An older program has written secrets of DNS cookies there.
    let secrets = [b"\x01", &[0xcc; 16][..], b"\0", b"\0\0\0\0\0\0\0\x09"].concat();
    let mut older = Bytes::from([&zones[..], &secrets].concat());
    assert_eq!(ZoneState::take(&mut older), Ok(state));
    assert!(older.is_empty());
}

#[test]
fn the_size_is_what_the_zones_take_encoded() {
    let state = zone_state();
    let mut bare = state.clone();
    bare.zones.clear();
    let [with, without] = [&state, &bare].map(|state| encoded(state).len());
    assert_eq!(state.size(), with - without);
}
