use super::*;
use crate::fixture::name;

fn at(zone: &str, owner: &str) -> CertificateName {
    CertificateName {
        name: owner.to_owned(),
        owner: name(owner),
        zone: name(zone),
    }
}

fn apply(state: &mut ZoneState, records: &[ChallengeRecord], are_wanted: bool) -> usize {
    let changes = changes(state, records, are_wanted);
    for change in &changes {
        assert_eq!(
            change.missing(state),
            None,
            "operators are told of missing records"
        );
        let changed = change.changed(state).unwrap();
        *state = changed.expect("a change that changes something");
    }
    changes.len()
}

fn texts(state: &ZoneState, zone: &str, owner: &str) -> (u32, Vec<Bytes>) {
    let set = state
        .zones
        .get(&name(zone))
        .and_then(|zone| zone.sets.get(&(name(owner), TXT)));
    set.map(|set| (set.ttl_secs, set.rdata.clone()))
        .unwrap_or_default()
}

#[test]
fn values_at_one_name_are_one_set_and_each_zone_is_changed_once() {
    let base = at("example.org", "_acme-challenge.example.org");
    let other = at("example.org", "_acme-challenge.a.example.org");
    let elsewhere = at("example.net", "proof.example.net");
    let records = records([
        (&base, "two".to_owned()),
        (&base, "one".to_owned()),
        (&other, "three".to_owned()),
        (&elsewhere, "four".to_owned()),
    ]);
    assert_eq!(records.len(), 3);
    let mut state = ZoneState::default();
    assert_eq!(apply(&mut state, &records, true), 2);
    let expected = (
        1,
        vec![
            Bytes::from_static(b"\x03one"),
            Bytes::from_static(b"\x03two"),
        ],
    );
    assert_eq!(
        texts(&state, "example.org", "_acme-challenge.example.org"),
        expected
    );
    assert_eq!(apply(&mut state, &records, true), 0, "they are there");
    assert_eq!(apply(&mut state, &records, false), 2);
    assert!(state.zones.values().all(|zone| zone.sets.is_empty()));
    assert_eq!(apply(&mut state, &records, false), 0, "they are gone");
}

/// Another client for ACME proves the same name.
#[test]
fn values_of_others_stay_with_their_ttl() {
    let base = at("example.org", "_acme-challenge.example.org");
    let mut state = ZoneState::default();
    let theirs = NamedSet {
        owner: base.owner.clone(),
        record_type: TXT,
        records: RecordSet {
            ttl_secs: 300,
            rdata: vec![Bytes::from_static(b"\x06theirs")],
        },
    };
    let change = ZoneChange {
        zone: base.zone.clone(),
        clear: false,
        unset: Vec::new(),
        set: vec![theirs],
    };
    state = change.changed(&state).unwrap().unwrap();
    let before = texts(&state, "example.org", "_acme-challenge.example.org");
    let records = records([(&base, "ours".to_owned())]);
    apply(&mut state, &records, true);
    let both = texts(&state, "example.org", "_acme-challenge.example.org");
    assert_eq!((both.0, both.1.len()), (300, 2));
    apply(&mut state, &records, false);
    assert_eq!(
        texts(&state, "example.org", "_acme-challenge.example.org"),
        before
    );
}
