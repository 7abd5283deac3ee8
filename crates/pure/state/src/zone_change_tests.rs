use quorate_packet::PublicKey;

use super::*;
use crate::{
    RECORD_SET_SIZE_MAX, TTL_SECS_MAX,
    fixture::{change, name, set},
};

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const TXT: u16 = 16;
const DNAME: u16 = 39;
const OPT: u16 = 41;

fn changed(state: &ZoneState, change: &ZoneChange) -> ZoneState {
    change.changed(state).unwrap().unwrap()
}

fn sets(state: &ZoneState, zone: &str) -> Vec<(String, u16, usize)> {
    let sets = state.zones[&name(zone)].sets.iter();
    sets.map(|((owner, of_type), set)| (owner.to_string(), *of_type, set.rdata.len()))
        .collect()
}

fn unset(zone: &str, owner: &str, record_type: Option<u16>) -> ZoneChange {
    ZoneChange {
        unset: vec![(name(owner), record_type)],
        ..change(zone, vec![])
    }
}

#[test]
fn a_change_is_read_as_it_was_written_and_nothing_cut_off_it_is() {
    let change = ZoneChange {
        clear: true,
        unset: vec![(name("x.a."), None), (name("y.a."), Some(TXT))],
        ..change("a.", vec![set("w.a.", A, &[b"\x01\x02\x03\x04"])])
    };
    let bytes = change.encode();
    assert_eq!(ZoneChange::decode(bytes.clone()), Ok(change));
    for size in 0..bytes.len() {
        assert!(ZoneChange::decode(bytes.slice(..size)).is_err());
    }
    let longer = Bytes::from([&bytes[..], b"x"].concat());
    assert_eq!(ZoneChange::decode(longer), Err(CommandError::Trailing(1)));
    let huge = Bytes::from(vec![0; CHANGE_SIZE_MAX + 1]);
    assert!(ZoneChange::decode(huge).is_err());
}

#[test]
fn a_set_takes_the_place_of_its_like_and_unsetting_removes_it() {
    let first = set("w.a.", A, &[b"1111", b"2222", b"1111"]);
    let state = changed(&ZoneState::default(), &change("a.", vec![first]));
    assert_eq!(sets(&state, "a."), [("w.a.".into(), A, 2)], "no duplicates");

    let more = vec![set("w.a.", A, &[b"3333"]), set("w.a.", TXT, &[b"\x01x"])];
    let state = changed(&state, &change("a.", more));
    assert_eq!(
        sets(&state, "a."),
        [("w.a.".into(), A, 1), ("w.a.".into(), TXT, 1)]
    );

    let one = changed(&state, &unset("a.", "w.a.", Some(A)));
    assert_eq!(sets(&one, "a."), [("w.a.".into(), TXT, 1)]);
    let none = changed(&state, &unset("a.", "w.a.", None));
    assert_eq!(sets(&none, "a."), []);

    let import = ZoneChange {
        clear: true,
        ..change("a.", vec![set("v.a.", A, &[b"4444"])])
    };
    let imported = changed(&state, &import);
    assert_eq!(sets(&imported, "a."), [("v.a.".into(), A, 1)]);
}

/// Else a resolver or a secondary that has seen the zone before takes the new one for an old one.
#[test]
fn the_serial_grows_with_each_change_and_outlives_the_last_record() {
    let serial = |state: &ZoneState| state.zones[&name("a.")].serial;
    let setting = change("a.", vec![set("w.a.", A, &[b"1111"])]);
    let state = changed(&ZoneState::default(), &setting);
    assert_eq!(serial(&state), 1);
    assert_eq!(setting.changed(&state), Ok(None), "asked twice, done once");
    let state = changed(&state, &unset("a.", "w.a.", None));
    assert_eq!(serial(&state), 2);
    assert_eq!(unset("a.", "w.a.", None).changed(&state), Ok(None));
    let mut state = changed(&state, &setting);
    assert_eq!(serial(&state), 3);
    state.zones.get_mut(&name("a.")).unwrap().serial = u32::MAX;
    assert_eq!(serial(&changed(&state, &unset("a.", "w.a.", None))), 0);
}

#[test]
fn records_that_no_zone_can_have_are_rejected_by_name() {
    let key = PublicKey::from_bytes([7; 32]);
    let below_key = format!("w.{key}.a.");
    let at_key = format!("{key}.a.");
    let check = |of: NamedSet| {
        let cname = set("c.a.", CNAME, &[b"\0"]);
        let state = changed(&ZoneState::default(), &change("a.", vec![cname]));
        let refused = change("a.", vec![of]).changed(&state);
        refused.unwrap_err()
    };
    use ZoneRejection::*;
    assert_eq!(
        check(set("w.b.", A, &[b"1111"])),
        Outside {
            owner: name("w.b."),
            zone: name("a.")
        }
    );
    assert_eq!(
        check(set(&below_key, TXT, &[b""])),
        BelowKey(name(&below_key))
    );
    assert_eq!(check(set(&at_key, A, &[b"1111"])), BelowKey(name(&at_key)));
    assert_eq!(check(set("a.", SOA, &[b""])), Apex(name("a.")));
    assert_eq!(check(set("a.", NS, &[b"\0"])), Apex(name("a.")));
    assert_eq!(check(set("a.", CNAME, &[b"\0"])), Cname(name("a.")));
    assert_eq!(check(set("a.", DNAME, &[b"\0"])), ApexDname(name("a.")));
    assert_eq!(check(set("c.a.", TXT, &[b""])), Cname(name("c.a.")));
    assert_eq!(
        check(set("d.a.", CNAME, &[b"\0", b"\x01x\0"])),
        Cname(name("d.a."))
    );
    assert_eq!(
        check(set("d.a.", DNAME, &[b"\0", b"\x01x\0"])),
        Dname(name("d.a."))
    );
    for record_type in [0, SOA, OPT, 128, 252, 255] {
        assert_eq!(check(set("x.a.", record_type, &[b""])), Type(record_type));
    }
    assert_eq!(check(set("x.a.", A, &[])), Empty(name("x.a.")));
    let mut eternal = set("x.a.", A, &[b"1111"]);
    eternal.records.ttl_secs = TTL_SECS_MAX + 1;
    assert_eq!(check(eternal), Ttl(TTL_SECS_MAX + 1));
    let mut large = set("x.a.", TXT, &[]);
    large.records.rdata = vec![vec![0; RECORD_SET_SIZE_MAX].into()];
    assert!(matches!(check(large), RecordSetSize(_, _)));
}

#[test]
fn nothing_can_be_set_where_a_dname_hides_it() {
    let dname = change("a.", vec![set("d.a.", DNAME, &[b"\0"])]);
    let state = changed(&ZoneState::default(), &dname);
    let below = change("a.", vec![set("x.y.d.a.", A, &[b"1111"])]);
    let hidden = ZoneRejection::BelowDname {
        owner: name("x.y.d.a."),
        dname: name("d.a."),
    };
    assert_eq!(below.changed(&state), Err(hidden.clone()));
    let below_first = changed(&ZoneState::default(), &below);
    assert_eq!(dname.changed(&below_first), Err(hidden));
    for beside in ["d.a.", "a.", "xd.a."] {
        let beside = change("a.", vec![set(beside, A, &[b"1111"])]);
        assert!(beside.changed(&state).is_ok());
    }
}

/// A label that looks like a key is one only where keys stand.
#[test]
fn a_key_further_down_is_a_name_like_any_other() {
    let key = PublicKey::from_bytes([7; 32]);
    let deeper = set(&format!("{key}.x.a."), A, &[b"1111"]);
    assert!(
        change("a.", vec![deeper])
            .changed(&ZoneState::default())
            .is_ok()
    );
}

#[test]
fn a_cname_may_replace_the_other_records_of_its_name() {
    let state = changed(
        &ZoneState::default(),
        &change("a.", vec![set("w.a.", A, &[b"1111"])]),
    );
    let swap = ZoneChange {
        unset: vec![(name("w.a."), None)],
        ..change("a.", vec![set("w.a.", CNAME, &[b"\0"])])
    };
    assert_eq!(
        sets(&changed(&state, &swap), "a."),
        [("w.a.".into(), CNAME, 1)]
    );
}

#[test]
fn zones_have_a_bound_together() {
    let mut state = ZoneState::default();
    let large = |at: usize| {
        let mut large = set(&format!("w{at}.a."), TXT, &[]);
        large.records.rdata = vec![vec![0; RECORD_SET_SIZE_MAX / 2].into()];
        change("a.", vec![large])
    };
    let mut count = 0;
    let refused = loop {
        match large(count).changed(&state) {
            Ok(changed) => state = changed.unwrap(),
            Err(refused) => break refused,
        }
        count += 1;
    };
    assert!(matches!(refused, ZoneRejection::Size(_)), "{refused}");
    assert!(state.size() <= ZONES_SIZE_MAX && count > 20);
    assert!(unset("a.", "w0.a.", None).changed(&state).is_ok());
}

#[test]
fn an_empty_zone_gives_way_to_one_too_many() {
    let mut state = ZoneState::default();
    let setting = |at: usize| {
        change(
            &format!("z{at}."),
            vec![set(&format!("w.z{at}."), A, &[b"1111"])],
        )
    };
    for at in 0..ZONE_COUNT_MAX {
        state = changed(&state, &setting(at));
    }
    let one_more = setting(ZONE_COUNT_MAX);
    assert_eq!(one_more.changed(&state), Err(ZoneRejection::ZoneCount));
    let state = changed(&state, &unset("z3.", "w.z3.", None));
    let state = changed(&state, &one_more);
    assert_eq!(state.zones.len(), ZONE_COUNT_MAX);
    assert!(!state.zones.contains_key(&name("z3.")));
}
