use std::thread;

use bytes::Bytes;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, RecordType},
};
use quorate_replica::{Reader, RecordSet, ReplicatedZone, WireName, ZoneChange, ZoneState};
use quorate_zone::file::{parse, parse_name, record_sets};

use super::ConfiguredZones;
use crate::fixture::{Fixture, alice_query, query};

/// The replicated state of `dns.test.` with an address at `www` that ends in this byte.
fn www(last: u8) -> ZoneState {
    imported(&ZoneState::default(), &format!("www A 192.0.2.{last}"))
}

fn built_count(fixture: &Fixture) -> u64 {
    fixture.metric("quorate_dns_zones_built_total ")
}

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
fn replicated_records_are_answered_when_they_are_built() {
    let fixture = Fixture::new();
    assert_eq!(serial(&fixture), 1);
    assert_eq!(addresses(&fixture, "www.dns.test."), [""; 0]);
    let first = imported(
        &ZoneState::default(),
        "www A 192.0.2.7\n@ MX 10 www\n*.w TXT any",
    );
    fixture.serve(first.clone());
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
    assert_eq!(serial(&fixture), 2);
    let mx = ask(&fixture, "dns.test.", RecordType::MX);
    assert_eq!(mx.answers.len(), 1);
    let wild = ask(&fixture, "x.w.dns.test.", RecordType::TXT);
    assert_eq!(wild.answers.len(), 1);

    fixture.serve(imported(&first, "other A 192.0.2.8"));
    let gone = ask(&fixture, "www.dns.test.", RecordType::A);
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(serial(&fixture), 3);
}

/// RFC 4035, section 3.1.4.1.
#[test]
fn the_ds_records_of_a_delegation_are_answered_with_authority() {
    let fixture = Fixture::new();
    let text = "sub NS ns.example.\nsub DS 1 13 2 0102\nunsigned NS ns.example.";
    fixture.serve(imported(&ZoneState::default(), text));
    let found = ask(&fixture, "sub.dns.test.", RecordType::DS);
    assert_eq!((found.answers.len(), found.authorities.len()), (1, 0));
    assert!(found.authoritative);
    let none = ask(&fixture, "unsigned.dns.test.", RecordType::DS);
    assert_eq!(none.metadata.response_code, ResponseCode::NoError);
    assert!(none.authoritative && none.answers.is_empty());
    assert_eq!(none.authorities[0].record_type(), RecordType::SOA);
    let referral = ask(&fixture, "sub.dns.test.", RecordType::A);
    assert!(!referral.authoritative);
    assert_eq!(referral.authorities[0].record_type(), RecordType::NS);
}

/// The configuration may change after records were replicated. Then only records that conflict are
/// not served.
#[test]
fn configured_records_take_precedence_and_others_are_served() {
    let fixture = Fixture::new();
    let state = imported(&ZoneState::default(), "@ A 192.0.2.99\nwww A 192.0.2.7");
    fixture.serve(state);
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
    }
}

/// An error in one zone must not affect other zones, nor published packets.
#[test]
fn invalid_replicated_records_leave_configured_ones_served() {
    let fixture = Fixture::new();
    let apex_alias = unchecked("@", RecordType::CNAME, b"\x01x\0");
    let invalid = unchecked("www", RecordType::A, &[192, 0, 2]);
    for state in [apex_alias, invalid] {
        fixture.serve(state);
        assert_eq!(fixture.ask(&alice_query()).answers.len(), 1);
        assert_eq!(addresses(&fixture, "dns.test."), ["192.0.2.1"]);
    }
    let valid = imported(&ZoneState::default(), "www A 192.0.2.7");
    fixture.serve(valid);
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
}

/// The other zones are shared: `quorate-zone` tests that.
#[test]
fn only_the_zone_that_changed_is_built() {
    let fixture = Fixture::new();
    assert_eq!(built_count(&fixture), 0);
    fixture.serve(www(7));
    assert_eq!(built_count(&fixture), 1);
    fixture.serve(www(7));
    assert_eq!(built_count(&fixture), 1, "nothing changed");
    fixture.serve(ZoneState::default());
    assert_eq!(built_count(&fixture), 2);
    assert_eq!(addresses(&fixture, "www.dns.test."), [""; 0]);
}

#[test]
fn new_cookie_secrets_build_no_zone() {
    let fixture = Fixture::new();
    fixture.serve(www(7));
    let before = fixture.responder.zones.current();
    fixture.set_cookie_secrets([9; 16], None);
    assert_eq!(built_count(&fixture), 1);
    assert!(fixture.responder.zones.cookies().is_some());
    assert!(fixture.responder.zones.current().version > before.version);
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
}

/// A test that waits for a build would never end.
#[test]
fn a_query_during_a_build_is_answered_from_the_zones_before() {
    let fixture = Fixture::new();
    fixture.serve(www(7));
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
    let building = fixture.responder.zones.build_lock.lock().unwrap();
    fixture.replica.set_zone_state(www(8));
    thread::scope(|scope| {
        let build = scope.spawn(|| fixture.responder.update_zones());
        assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
        drop(building);
        build.join().unwrap();
    });
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.8"]);
}

/// Records of a zone that the node applied before it became ready must not be denied after it.
#[test]
fn a_node_is_not_ready_before_its_zones_are_built() {
    let fixture = Fixture::new();
    fixture.replica.set_zone_state(www(7));
    let refused = ask(&fixture, "www.other.", RecordType::A);
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    for _ in 0..2 {
        for message in [query("www.dns.test.", RecordType::A), alice_query()] {
            let failed = fixture.ask(&message);
            assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
        }
    }
    fixture.responder.update_zones();
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
    assert_eq!(fixture.ask(&alice_query()).answers.len(), 1);
    // Later changes are served when they are built, and the zones before until then.
    fixture.replica.set_zone_state(www(8));
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_during_a_build_are_built_together_after_it() {
    let fixture = Fixture::new();
    let building = fixture.responder.zones.build_lock.lock().unwrap();
    let following = tokio::spawn(fixture.responder.clone().follow_zones());
    (1..=5).for_each(|last| fixture.replica.set_zone_state(www(last)));
    drop(building);
    let version = fixture.replica.zone_version();
    fixture.responder.zones_served(version).await;
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.5"]);
    assert_eq!(built_count(&fixture), 1);
    // And those after it.
    fixture.replica.set_zone_state(www(6));
    fixture.responder.zones_served(version + 1).await;
    assert_eq!(addresses(&fixture, "www.dns.test."), ["192.0.2.6"]);
    following.abort();
}

/// The time for it must not grow with the product of the two: with 20,000 and 4,000 sets a test that
/// compares all pairs takes minutes in a debug build.
#[test]
fn replicated_records_are_merged_with_many_configured_ones() {
    let zone = parse_name("dns.test", &WireName::root()).unwrap();
    let sets = |kind: &str, count: u32| {
        let lines: String = (0..count)
            .map(|n| format!("{kind}{n} A 192.0.2.1\n"))
            .collect();
        let parsed = parse(&lines, &zone, 60).unwrap();
        record_sets(parsed.into_iter().map(|(_, set)| set))
    };
    let mut origin = crate::fixture::origin("dns.test.");
    origin.sets.extend(sets("c", 20_000));
    let mut replicated = ReplicatedZone {
        serial: 1,
        sets: sets("r", 4_000),
    };
    let dnames: String = (0..1_000).map(|n| format!("d{n} DNAME x.\n")).collect();
    let dnames = parse(&(dnames + "c7 DNAME x.\nc DNAME x."), &zone, 60).unwrap();
    replicated
        .sets
        .extend(record_sets(dnames.into_iter().map(|(_, set)| set)));
    let below = parse("x.c TXT x", &zone, 60).unwrap();
    origin
        .sets
        .extend(record_sets(below.into_iter().map(|(_, set)| set)));
    let configured = ConfiguredZones::new(std::slice::from_ref(&origin));
    let merged = configured.with_replicated(&origin, &replicated);
    // All but the DNAME above a configured record: one beside an address is possible.
    assert_eq!(
        merged.sets.len(),
        origin.sets.len() + replicated.sets.len() - 1
    );
}
