use hickory_proto::rr::RData;
use quorate_state::{
    RecordSet,
    ZoneRejection::{self, *},
};

use crate::{
    Authority, NEGATIVE_TTL_SECS_MAX, Origin, OriginError,
    fixture::{add, answer, canonical, name, origin, packet, record, text},
};

/// The reason why the records of an origin are rejected.
#[track_caller]
fn rejection(error: &OriginError) -> &ZoneRejection {
    match error {
        OriginError::Records { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

const SOA: &str = "SOA dns.test. 30";

fn with_records(text: &str, records: &[&str]) -> Origin {
    let mut origin = origin(text);
    for text in records {
        add(&mut origin, &record(text));
    }
    origin
}

/// Asserts the answer from these records of the origin `dns.test.`.
#[track_caller]
fn check(records: &[&str], query: &str, expected: &[&str]) {
    let authority = Authority::new(vec![with_records("dns.test.", records)]).unwrap();
    assert_eq!(text(&answer(&authority, None, query)), expected, "{query}");
}

#[test]
fn configured_records_of_every_type_are_answered() {
    for (record_type, data) in [
        ("A", "192.0.2.9"),
        ("AAAA", "2001:db8::9"),
        ("TXT", "x"),
        ("CAA", "0 issue \"ca.test\""),
        ("MX", "10 mail.test."),
        ("SRV", "1 2 3 host.test."),
        ("HTTPS", "1 host.test."),
        ("CNAME", "host.test."),
        ("DNAME", "host.test."),
    ] {
        let line = format!("www.dns.test. 60 {record_type} {data}");
        let expected = format!("www.dns.test. 60 IN {record_type} {data}");
        let query = format!("www.dns.test. {record_type}");
        check(&[&line], &query, &["records", &expected]);
    }
}

#[test]
fn records_at_the_apex_are_added_to_the_soa() {
    let records = ["dns.test. 60 A 192.0.2.7", "dns.test. 60 TXT x"];
    check(
        &records,
        "dns.test. A",
        &[
            "records",
            "dns.test. 60 IN A 192.0.2.1",
            "dns.test. 60 IN A 192.0.2.7",
        ],
    );
    check(
        &records,
        "dns.test. TXT",
        &["records", "dns.test. 60 IN TXT x"],
    );
}

#[test]
fn aliases_wildcards_and_dnames_work_in_an_origin_too() {
    let records = [
        "www.dns.test. 60 CNAME host.dns.test.",
        "*.w.dns.test. 60 CNAME www.dns.test.",
        "host.dns.test. 60 A 192.0.2.9",
        "old.dns.test. 60 DNAME dns.test.",
    ];
    let www = "www.dns.test. 60 IN CNAME host.dns.test.";
    let host = "host.dns.test. 60 IN A 192.0.2.9";
    check(&records, "www.dns.test. A", &["records", www, host]);
    let wild = "x.w.dns.test. 60 IN CNAME www.dns.test.";
    check(&records, "x.w.dns.test. A", &["records", wild, www, host]);
    check(&records, "w.dns.test. A", &["no data", SOA]);
    let dname = "old.dns.test. 60 IN DNAME dns.test.";
    let synthesized = "host.old.dns.test. 60 IN CNAME host.dns.test.";
    check(
        &records,
        "host.old.dns.test. A",
        &["records", dname, synthesized, host],
    );
}

/// RFC 1034, section 4.3.2, step 3b; RFC 9471.
#[test]
fn names_of_an_origin_can_be_delegated() {
    let records = [
        "sub.dns.test. 60 NS ns.sub.dns.test.",
        "sub.dns.test. 60 NS ns1.dns.test.",
        "ns.sub.dns.test. 60 A 192.0.2.9",
    ];
    let referral = [
        "referral",
        "authority sub.dns.test. 60 IN NS ns.sub.dns.test.",
        "authority sub.dns.test. 60 IN NS ns1.dns.test.",
        "additional ns.sub.dns.test. 60 IN A 192.0.2.9",
        "additional ns1.dns.test. 600 IN A 192.0.2.2",
    ];
    for query in [
        "sub.dns.test. NS",
        "x.sub.dns.test. A",
        "ns.sub.dns.test. A",
    ] {
        check(&records, query, &referral);
    }
}

/// RFC 4035, section 3.1.4.1.
#[test]
fn the_ds_records_of_a_delegated_name_are_answered() {
    let records = [
        "sub.dns.test. 60 NS ns.elsewhere.net.",
        "sub.dns.test. 60 DS 1 13 2 0102",
        "unsigned.dns.test. 60 NS ns.elsewhere.net.",
    ];
    let found = ["records", "sub.dns.test. 60 IN DS 1 13 2 0102"];
    check(&records, "sub.dns.test. DS", &found);
    check(&records, "unsigned.dns.test. DS", &["no data", SOA]);
    check(&records, "dns.test. DS", &["no data", SOA]);
    let referral = [
        "referral",
        "authority sub.dns.test. 60 IN NS ns.elsewhere.net.",
    ];
    check(&records, "x.sub.dns.test. DS", &referral);
}

/// The same section, for a server of both zones.
#[test]
fn the_ds_records_of_an_origin_are_those_of_the_origin_above_it() {
    let ds = "inner.dns.test. 60 DS 1 13 2 0102";
    let found = ["records", "inner.dns.test. 60 IN DS 1 13 2 0102"];
    for (records, expected) in [(&[ds][..], found), (&[], ["no data", SOA])] {
        let outer = with_records("dns.test.", records);
        let authority = Authority::new(vec![outer, origin("inner.dns.test.")]).unwrap();
        let answer = answer(&authority, None, "inner.dns.test. DS");
        assert_eq!(text(&answer), expected);
    }
    for (zone, record) in [
        ("dns.test.", "dns.test."),
        ("dns.test.", "x.inner.dns.test."),
    ] {
        let record = format!("{record} 60 DS 1 13 2 0102");
        let outer = with_records(zone, &[&record]);
        let error = Authority::new(vec![outer, origin("inner.dns.test.")]).unwrap_err();
        assert!(
            matches!(rejection(&error), ApexDs(_) | OfOther { .. }),
            "{error}"
        );
    }
}

/// The parent of the inner origin is another server's zone, so this one has no DS records of it.
#[test]
fn an_origin_whose_parent_is_elsewhere_answers_ds_itself() {
    let soa = "a.dns.test.";
    for (outer, records) in [
        (".", &[][..]),
        ("test.", &["dns.test. 60 NS ns.other."]),
        ("test.", &["dns.test. 60 DNAME other."]),
    ] {
        let outer = with_records(outer, records);
        let authority = Authority::new(vec![outer, origin(soa)]).unwrap();
        let answer = answer(&authority, None, &format!("{soa} DS"));
        let text = text(&answer);
        assert_eq!(text[0], "no data", "{text:?}");
        assert!(text[1].starts_with("SOA a.dns.test."), "{text:?}");
    }
}

#[test]
fn an_alias_out_of_the_zone_is_the_answer() {
    let alias = |target: &str| format!("www.dns.test. 60 CNAME {target}");
    for target in ["_x.KEY.dns.test.", "deep.inner.dns.test.", "example.org."] {
        let outer = with_records("dns.test.", &[&alias(target)]);
        let authority = Authority::new(vec![outer, origin("inner.dns.test.")]).unwrap();
        let expected = format!("www.dns.test. 60 IN CNAME {target}");
        let answer = answer(&authority, None, "www.dns.test. A");
        assert_eq!(text(&answer), ["records", &expected]);
    }
    let root = with_records(".", &["www. 60 CNAME example.org."]);
    let authority = Authority::new(vec![root]).unwrap();
    let expected = ["records", "www. 60 IN CNAME example.org."];
    assert_eq!(text(&answer(&authority, None, "www. A")), expected);
}

#[test]
fn configured_records_do_not_answer_for_keys() {
    let origin = with_records(
        "dns.test.",
        &["*.dns.test. 60 TXT wild", "dns.test. 60 TXT x"],
    );
    let authority = Authority::new(vec![origin]).unwrap();
    for query in ["KEY.dns.test. TXT", "_iroh.KEY.dns.test. TXT"] {
        assert_eq!(text(&answer(&authority, None, query)), ["nxdomain", SOA]);
    }
    let packet = packet(vec![record("_iroh.KEY. 30 TXT one")]);
    let answer = answer(&authority, Some(&packet), "KEY.dns.test. TXT");
    assert_eq!(text(&answer), ["no data", SOA]);
}

#[test]
fn a_zone_with_many_names_is_searched_fast() {
    let mut large = origin("dns.test.");
    let address = RecordSet {
        ttl_secs: 60,
        rdata: vec![vec![192, 0, 2, 1].into()],
    };
    for host in 0..20_000 {
        let owner = canonical(&name(&format!("h{host}.dns.test.")));
        large.sets.insert((owner, 1), address.clone());
    }
    let authority = Authority::new(vec![large]).unwrap();
    let steps = crate::work_fixture::of(|| {
        let found = answer(&authority, None, "H19999.dns.test. A");
        assert_eq!(
            text(&found),
            ["records", "H19999.dns.test. 60 IN A 192.0.2.1"]
        );
    });
    assert!(steps < 30, "{steps} steps");
}

#[test]
fn the_configured_serial_is_served() {
    let mut newer = origin("dns.test.");
    newer.soa.serial = u32::MAX;
    let authority = Authority::new(vec![newer]).unwrap();
    let answer = answer(&authority, None, "dns.test. SOA");
    assert!(matches!(&answer.records()[0].data, RData::SOA(soa) if soa.serial == u32::MAX));
    assert!(
        answer.records()[0].ttl > NEGATIVE_TTL_SECS_MAX,
        "it is not a negative answer"
    );
}

#[test]
fn errors_of_records_state_the_reason() {
    let problem = |records: &[&str]| {
        let origins = vec![
            with_records("dns.test.", records),
            origin("inner.dns.test."),
        ];
        Authority::new(origins).unwrap_err()
    };
    let text = |records: &[&str]| problem(records).to_string();
    assert_eq!(
        text(&["www.test. 60 A 192.0.2.1"]),
        "origin dns.test.: www.test. is outside dns.test.: set it in its own zone"
    );
    for owner in ["KEY.dns.test.", "x.KEY.dns.test."] {
        let error = problem(&[&format!("{owner} 60 A 192.0.2.1")]);
        assert!(matches!(rejection(&error), BelowKey(_)), "{error}");
    }
    for owner in ["inner.dns.test.", "x.inner.dns.test."] {
        let error = problem(&[&format!("{owner} 60 A 192.0.2.1")]);
        assert!(
            matches!(rejection(&error), OfOther { zone, .. } if zone.to_string() == "inner.dns.test."),
            "{error}"
        );
    }
    for beside in [
        "www.dns.test. 60 A 192.0.2.1",
        "WWW.dns.test. 60 CNAME b.test.",
    ] {
        let error = problem(&["www.dns.test. 60 CNAME a.test.", beside]);
        assert!(matches!(rejection(&error), Cname(_)), "{error}");
    }
    assert_eq!(
        text(&["dns.test. 60 CNAME a.test."]),
        "origin dns.test.: dns.test. would have a CNAME together with other records, or several CNAMEs"
    );
    assert!(matches!(
        rejection(&problem(&["ns1.dns.test. 60 CNAME a.test."])),
        Cname(owner) if owner.to_string() == "ns1.dns.test."
    ));
    assert!(matches!(
        rejection(&problem(&[
            "a.dns.test. 60 DNAME a.test.",
            "a.dns.test. 60 DNAME b.test."
        ])),
        Dname(_)
    ));
    assert!(matches!(
        rejection(&problem(&["a.dns.test. 60 DNAME a.test.", "x.y.a.dns.test. 60 TXT b"])),
        BelowDname { dname, .. } if dname.to_string() == "a.dns.test."
    ));
    assert!(matches!(
        rejection(&problem(&["dns.test. 60 SOA a. b. 1 2 3 4 5"])),
        Apex(_)
    ));
    assert!(matches!(
        rejection(&problem(&["a.dns.test. 60 SOA a. b. 1 2 3 4 5"])),
        Type(6)
    ));
    assert!(matches!(
        rejection(&problem(&["a.dns.test. 4294967295 TXT x"])),
        Ttl(u32::MAX)
    ));
}

#[test]
fn data_that_cannot_be_encoded_is_rejected() {
    for (record_type, data) in [
        (16, &b""[..]),
        (2, b"\x01a"),
        (2, b"\0\0"),
        (2, b"\xc0\x01"),
    ] {
        let mut invalid = origin("dns.test.");
        let set = RecordSet {
            ttl_secs: 60,
            rdata: vec![data.into()],
        };
        let owner = canonical(&name("a.dns.test."));
        invalid.sets.insert((owner, record_type), set);
        let error = Authority::new(vec![invalid]).unwrap_err();
        assert!(matches!(error, OriginError::Unencodable { .. }), "{error}");
    }
}

#[test]
fn origins_have_names_by_their_index() {
    let authority = Authority::new(vec![origin("test."), origin("Dns.TEST")]).unwrap();
    let names: Vec<String> = authority.origins().collect();
    assert_eq!(names, ["dns.test.", "test."]);
}
