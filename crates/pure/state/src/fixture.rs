//! What several tests need.

use bytes::Bytes;

use quorate_packet::{PublicKey, Timestamp};

use crate::{
    Deletion, KeyId, LogIndex, NamedSet, PublishMode, PublishState, RecordSet, Renewal,
    ReplicatedZone, SealedSecret, SecretKind, SecretState, StoredSecret, TokenHash, UnixMillis,
    WireName, ZoneChange, ZoneState,
};

pub(crate) fn name(text: &str) -> WireName {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let label = |label: &str| [&[label.len() as u8], label.as_bytes()].concat();
    let bytes: Vec<u8> = labels.flat_map(label).chain([0]).collect();
    WireName::parse(bytes.into()).unwrap()
}

pub(crate) fn set(owner: &str, record_type: u16, rdata: &[&'static [u8]]) -> NamedSet {
    NamedSet {
        owner: name(owner),
        record_type,
        records: RecordSet {
            ttl_secs: 300,
            rdata: rdata.iter().map(|data| Bytes::from_static(data)).collect(),
        },
    }
}

pub(crate) fn change(zone: &str, sets: Vec<NamedSet>) -> ZoneChange {
    ZoneChange {
        zone: name(zone),
        clear: false,
        unset: Vec::new(),
        set: sets,
    }
}

/// Two zones, one of them empty, and two secrets.
pub(crate) fn zone_state() -> ZoneState {
    let sets = [
        set("www.a.", 1, &[b"\xc0\0\x02\x01", b"\xc0\0\x02\x02"]),
        set("a.", 16, &[b"\x01x"]),
    ];
    let sets = sets.map(|set| ((set.owner, set.record_type), set.records));
    let zone = |serial, sets| ReplicatedZone { serial, sets };
    ZoneState {
        zones: [
            (name("a."), zone(u32::MAX, sets.into())),
            (name("."), zone(2, [].into())),
        ]
        .into(),
    }
}

pub(crate) fn secret_state() -> SecretState {
    let stored = |key, byte| StoredSecret {
        sealed: SealedSecret {
            key: KeyId([key; _]),
            bytes: vec![byte; 40].into(),
            made: UnixMillis(u64::MAX),
        },
        index: LogIndex(6),
    };
    SecretState {
        key: Some(KeyId([1; _])),
        key_due: Some(LogIndex(u64::MAX)),
        stored: [
            (SecretKind::DnsCookies, stored(1, 0xc1)),
            (SecretKind::Certificate, stored(2, 0xc2)),
        ]
        .into(),
        due: [(SecretKind::AcmeAccount, Renewal::Compromised)].into(),
    }
}

pub(crate) fn publish_state() -> PublishState {
    let key = |byte| PublicKey::from_bytes([byte; 32]);
    let deletion = |micros, blocked_until| Deletion {
        timestamp: Timestamp::from_micros(micros),
        blocked_until,
    };
    PublishState {
        mode: PublishMode::Tokens,
        allowed: [key(1), key(2)].into(),
        denied: [key(3)].into(),
        tokens: [("tenant".to_owned(), TokenHash([0xab; 32]))].into(),
        deleted: [
            (key(4), deletion(u64::MAX, None)),
            (key(5), deletion(7, Some(UnixMillis(9)))),
        ]
        .into(),
    }
}
