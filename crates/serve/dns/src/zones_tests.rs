use bytes::Bytes;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, RecordType},
};
use quorate_replica::{RecordSet, ReplicatedZone, WireName, ZoneChange, ZoneState};
use quorate_zone::file::{parse, parse_name};

use crate::fixture::{Fixture, alice_query, query};

/// The replicated state after this zone file was imported.
fn imported(before: &ZoneState, text: &str) -> ZoneState {
    let zone = parse_name("dns.test", &WireName::root()).unwrap();
    let change = ZoneChange {
        set: parse(text, &zone, 60)
            .unwrap()
            .into_iter()
            .map(|(_, set)| set)
            .collect(),
        clear: true,
        unset: Vec::new(),
        zone,
    };
    change.changed(before).unwrap().unwrap()
}

fn ask(fixture: &Fixture, owner: &str, record_type: RecordType) -> Message {
    fixture.ask(&query(owner, record_type))
}

fn addresses(fixture: &Fixture, owner: &str) -> Vec<String> {
    let answer = ask(fixture, owner, RecordType::A);
    answer
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

fn serial(fixture: &Fixture) -> u32 {
    match &ask(fixture, "dns.test.", RecordType::SOA).answers[0].data {
        RData::SOA(soa) => soa.serial,
        other => panic!("{other}"),
    }
}

#[test]
fn replicated_records_are_answered_from_the_next_query() {
    let fixture = Fixture::new();
    assert_eq!(serial(&fixture), 1);
    assert_eq!(addresses(&fixture, "www.dns.test."), [""; 0]);
    let first = imported(
        &ZoneState::default(),
        "www A 192.0.2.7\n@ MX 10 www\n*.w TXT any",
    );
    fixture.replica.set_zone_state(first.clone());
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
    assert_eq!(serial(&fixture), 2);
    let mx = ask(&fixture, "dns.test.", RecordType::MX);
    assert_eq!(mx.answers.len(), 1);
    let wild = ask(&fixture, "x.w.dns.test.", RecordType::TXT);
    assert_eq!(wild.answers.len(), 1);

    fixture
        .replica
        .set_zone_state(imported(&first, "other A 192.0.2.8"));
    let gone = ask(&fixture, "www.dns.test.", RecordType::A);
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(serial(&fixture), 3);
}

/// The configuration may change after records were replicated. Then only records that conflict are
/// not served.
#[test]
fn configured_records_take_precedence_and_others_are_served() {
    let fixture = Fixture::new();
    let state = imported(&ZoneState::default(), "@ A 192.0.2.99\nwww A 192.0.2.7");
    fixture.replica.set_zone_state(state);
    assert_eq!(addresses(&fixture, "dns.test."), ["192.0.2.1"]);
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
}

/// A state that no command can create: one unchecked set at a name of `dns.test.`.
fn unchecked(owner: &str, record_type: RecordType, data: &[u8]) -> ZoneState {
    let zone = parse_name("dns.test", &WireName::root()).unwrap();
    let owner = parse_name(owner, &zone).unwrap();
    let set = RecordSet {
        ttl_secs: 77,
        rdata: vec![Bytes::copy_from_slice(data)],
    };
    let records = ReplicatedZone {
        serial: 7,
        sets: [((owner, record_type.into()), set)].into(),
    };
    ZoneState {
        zones: [(zone, records)].into(),
        ..ZoneState::default()
    }
}

/// An error in one zone must not affect other zones, nor published packets.
#[test]
fn invalid_replicated_records_leave_configured_ones_served() {
    let fixture = Fixture::new();
    let apex_alias = unchecked("@", RecordType::CNAME, b"\x01x\0");
    let invalid = unchecked("www", RecordType::A, &[192, 0, 2]);
    for state in [apex_alias, invalid] {
        fixture.replica.set_zone_state(state);
        assert_eq!(fixture.ask(&alice_query()).answers.len(), 1);
        assert_eq!(addresses(&fixture, "dns.test."), ["192.0.2.1"]);
    }
    let valid = imported(&ZoneState::default(), "www A 192.0.2.7");
    fixture.replica.set_zone_state(valid);
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
}
