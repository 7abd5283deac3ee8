use hickory_proto::rr::{DNSClass, RecordType};
use quorate_state::ZoneRejection::*;

use super::*;
use crate::fixture::{
    KEY, add, answer, answer_in, authority, canonical, name, origin, packet, question, record, text,
};

/// Asserts the answer to a question that no packet decides.
#[track_caller]
fn check(authority: &Authority, query: &str, expected: &[&str]) {
    assert_eq!(text(&answer(authority, None, query)), expected, "{query}");
}

#[test]
fn the_apex_has_the_configured_records() {
    let authority = authority(&["dns.test."]);
    check(
        &authority,
        "dns.test. SOA",
        &[
            "records",
            "dns.test. 3600 IN SOA ns1.dns.test. hostmaster.dns.test. 1 7200 900 1209600 30",
        ],
    );
    check(
        &authority,
        "dns.test. NS",
        &[
            "records",
            "dns.test. 600 IN NS ns1.dns.test.",
            "dns.test. 600 IN NS ns.elsewhere.net.",
            "additional ns1.dns.test. 600 IN A 192.0.2.2",
        ],
    );
    check(
        &authority,
        "dns.test. A",
        &["records", "dns.test. 600 IN A 192.0.2.1"],
    );
    check(
        &authority,
        "dns.test. AAAA",
        &["records", "dns.test. 600 IN AAAA 2001:db8::1"],
    );
    check(
        &authority,
        "dns.test. TXT",
        &["no data", "SOA dns.test. 30"],
    );
}

#[test]
fn an_origin_written_without_its_last_dot_has_its_apex() {
    let authority = Authority::new(vec![origin("dns.test")]).unwrap();
    check(
        &authority,
        "dns.test. A",
        &["records", "dns.test. 600 IN A 192.0.2.1"],
    );
    check(
        &authority,
        "ns1.dns.test. A",
        &["records", "ns1.dns.test. 600 IN A 192.0.2.2"],
    );
    let ns = answer(&authority, None, "dns.test. NS");
    assert_eq!(ns.records().len(), 2);
    assert!(
        ns.records()
            .iter()
            .all(|ns| ns.data.to_string().ends_with('.'))
    );
}

#[test]
fn the_address_of_a_name_server_inside_is_found() {
    let authority = authority(&["dns.test."]);
    check(
        &authority,
        "NS1.dns.test. A",
        &["records", "NS1.dns.test. 600 IN A 192.0.2.2"],
    );
    check(
        &authority,
        "ns1.dns.test. AAAA",
        &["no data", "SOA dns.test. 30"],
    );
    check(
        &authority,
        "x.ns1.dns.test. A",
        &["nxdomain", "SOA dns.test. 30"],
    );
}

/// RFC 8020: a name exists if a name below it exists.
#[test]
fn names_above_configured_names_exist() {
    let mut outer = origin("test.");
    add(&mut outer, &record("ns2.servers.test. 600 A 192.0.2.3"));
    let inner = origin("deep.inner.test.");
    let authority = Authority::new(vec![outer, inner]).unwrap();
    check(&authority, "servers.test. A", &["no data", "SOA test. 30"]);
    check(&authority, "inner.test. A", &["no data", "SOA test. 30"]);
    check(&authority, "other.test. A", &["nxdomain", "SOA test. 30"]);
    check(
        &authority,
        "other.inner.test. A",
        &["nxdomain", "SOA test. 30"],
    );
    check(
        &authority,
        "x.deep.inner.test. A",
        &["nxdomain", "SOA deep.inner.test. 30"],
    );
}

#[test]
fn the_soa_of_a_negative_answer_is_that_of_its_own_origin() {
    for origins in [["one.test.", "two.test."], ["two.test.", "one.test."]] {
        let authority = authority(&origins);
        check(
            &authority,
            "nobody.two.test. TXT",
            &["nxdomain", "SOA two.test. 30"],
        );
        check(
            &authority,
            "nobody.one.test. TXT",
            &["nxdomain", "SOA one.test. 30"],
        );
    }
}

/// RFC 2308, section 5: the lesser of the SOA's TTL and MINIMUM; and never more than a minute.
#[test]
fn negative_answers_are_cached_for_a_minute_at_most() {
    for (ttl, minimum, expected) in [(3600, 30, 30), (20, 30, 20), (3600, 3600, 60)] {
        let mut origin = origin("dns.test.");
        origin.soa_ttl_secs = ttl;
        origin.soa.minimum_secs = minimum;
        let authority = Authority::new(vec![origin]).unwrap();
        let soa = format!("SOA dns.test. {expected}");
        check(&authority, "nobody.dns.test. A", &["nxdomain", &soa]);
        check(&authority, "dns.test. TXT", &["no data", &soa]);
    }
}

#[test]
fn the_longest_origin_wins_in_any_order() {
    let mut origins = [".", "test.", "dns.test."];
    for _ in 0..3 {
        origins.rotate_left(1);
        for texts in [origins, [origins[1], origins[0], origins[2]]] {
            let authority = authority(&texts);
            check(
                &authority,
                "x.dns.test. A",
                &["nxdomain", "SOA dns.test. 30"],
            );
            check(&authority, "x.test. A", &["nxdomain", "SOA test. 30"]);
            check(&authority, "KEY. A", &["nxdomain", "SOA . 30"]);
            check(
                &authority,
                "a.KEY.dns.test. A",
                &["nxdomain", "SOA dns.test. 30"],
            );
        }
    }
}

#[test]
fn names_outside_every_zone_are_refused() {
    let authority = authority(&["dns.test."]);
    for query in [
        "google.com. A",
        "test. SOA",
        ". NS",
        "xdns.test. A",
        "KEY. TXT",
    ] {
        check(&authority, query, &["refused"]);
    }
    check(
        &Authority::new(Vec::new()).unwrap(),
        "dns.test. A",
        &["refused"],
    );
}

#[test]
fn the_root_does_not_deny_names_of_other_servers() {
    let authority = authority(&["."]);
    check(&authority, "google.com. A", &["refused"]);
    check(&authority, "com. NS", &["refused"]);
    check(&authority, ". A", &["records", ". 600 IN A 192.0.2.1"]);
    check(
        &authority,
        "ns1. A",
        &["records", "ns1. 600 IN A 192.0.2.2"],
    );
    let packet = packet(vec![record("_iroh.KEY. 30 TXT one")]);
    let answer = answer(&authority, Some(&packet), "_iroh.KEY. TXT");
    assert_eq!(text(&answer), ["records", "_iroh.KEY. 30 IN TXT one"]);
}

#[test]
fn only_the_class_internet_is_served() {
    let authority = authority(&["dns.test."]);
    for class in [
        DNSClass::CH,
        DNSClass::ANY,
        DNSClass::NONE,
        DNSClass::Unknown(7),
    ] {
        let mut query = question("dns.test. SOA");
        let class_at = query.len() - 2;
        query[class_at..].copy_from_slice(&u16::from(class).to_be_bytes());
        let answer = answer_in(&authority, None, &query, 512);
        assert_eq!(text(&answer), ["refused"], "{class}");
    }
}

/// RFC 5936, section 2.2.1; an empty NOERROR would mean an empty zone.
#[test]
fn zone_transfers_are_refused() {
    let authority = authority(&["dns.test."]);
    for query in ["dns.test. A", "KEY.dns.test. A"] {
        for transfer in [RecordType::AXFR, RecordType::IXFR] {
            let query = query.replace(" A", &format!(" {transfer}"));
            assert_eq!(text(&answer(&authority, None, &query)), ["refused"]);
        }
    }
}

/// RFC 8482, section 4.2.
#[test]
fn any_is_answered_with_one_small_record() {
    let authority = authority(&["dns.test."]);
    check(
        &authority,
        "dns.test. ANY",
        &["records", "dns.test. 3600 IN HINFO RFC8482 "],
    );
    check(
        &authority,
        "nobody.dns.test. ANY",
        &["nxdomain", "SOA dns.test. 30"],
    );
}

#[test]
fn a_label_is_a_key_in_any_case_and_all_sixteen_spellings() {
    let alphabet = "ybndrfg8ejkmcpqxot1uwisza345h769";
    let authority = authority(&["dns.test."]);
    let canonical = KEY.to_string();
    let (last, rest) = (canonical.chars().last().unwrap(), &canonical[..51]);
    let first = alphabet.find(last).unwrap();
    for alias in alphabet[first..first + 16].chars() {
        for spelling in [
            format!("{rest}{alias}"),
            format!("{rest}{alias}").to_uppercase(),
        ] {
            let query = question(&format!("_iroh.{spelling}.dns.test. TXT"));
            let query = Question::parse(&query).unwrap();
            let LookupResult::NeedsPacket(question) = authority.lookup(&query) else {
                panic!("{spelling} is not a key");
            };
            assert_eq!(question.key(), &KEY);
        }
    }
}

#[test]
fn errors_of_origins_state_the_reason() {
    let problem = |origins: Vec<Origin>| Authority::new(origins).unwrap_err();
    let refused = |origins: Vec<Origin>| match problem(origins) {
        OriginError::Records { reason, .. } => reason,
        other => panic!("{other}"),
    };
    let with_server = |server: &str| {
        let mut origin = origin("test.");
        add(&mut origin, &record(&format!("{server} 600 A 192.0.2.3")));
        origin
    };
    assert_eq!(
        problem(vec![origin("dns.test."), origin("DNS.test")]),
        OriginError::Duplicate(canonical(&name("dns.test.")))
    );
    assert!(matches!(
        refused(vec![with_server("ns.elsewhere.net.")]),
        Outside { owner, .. } if owner.to_string() == "ns.elsewhere.net."
    ));
    assert!(matches!(
        refused(vec![with_server("ns.KEY.test.")]),
        BelowKey(_)
    ));
    for origins in [
        vec![with_server("ns.dns.test."), origin("dns.test.")],
        vec![origin("dns.test."), with_server("ns.dns.test.")],
    ] {
        assert!(matches!(
            refused(origins),
            OfOther { zone, .. } if zone.to_string() == "dns.test."
        ));
    }
}

#[test]
fn only_the_zone_of_a_replaced_origin_is_compiled() {
    let origins = ["dns.test.", "inner.dns.test.", "other."];
    let before = authority(&origins);
    let mut after = before.clone();
    let mut changed = origin("dns.test.");
    add(&mut changed, &record("new.dns.test. 60 A 192.0.2.9"));
    after.replace(&changed).unwrap();
    let is_shared = before.zones.iter().zip(&after.zones);
    let is_shared = is_shared.map(|(before, after)| Arc::ptr_eq(before, after));
    assert_eq!(is_shared.filter(|is_shared| !is_shared).count(), 1);
    let found = ["records", "new.dns.test. 60 IN A 192.0.2.9"];
    let query = "new.dns.test. A";
    assert_eq!(text(&answer(&after, None, query)), found);
    assert_eq!(text(&answer(&before, None, query))[0], "nxdomain");
    assert!(before.origins().eq(after.origins()));

    let unknown = after.replace(&origin("new.")).unwrap_err();
    assert_eq!(unknown.to_string(), "no origin new. is configured");
    add(&mut changed, &record("x.inner.dns.test. 60 A 192.0.2.9"));
    after.replace(&changed).unwrap_err();
    assert_eq!(text(&answer(&after, None, query)), found, "nothing changes");
}
