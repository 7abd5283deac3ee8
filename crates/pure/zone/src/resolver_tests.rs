use hickory_proto::rr::{DNSClass, RData, Record, RecordType, rdata::NULL};

use super::*;
use crate::{
    CompiledPacket, LookupResult,
    fixture::{KEY, answer, authority, check, name, packet, packet_of, question, record, text},
};

const IROH: &str = "_iroh.KEY. 30 TXT relay=https://relay.test";

#[test]
fn a_published_record_is_found_below_its_key() {
    check(
        &[IROH],
        "_iroh.KEY.dns.test. TXT",
        &[
            "records",
            "_iroh.KEY.dns.test. 30 IN TXT relay=https://relay.test",
        ],
    );
}

#[test]
fn records_at_the_key_itself_are_found() {
    check(
        &["KEY. 30 A 192.0.2.9"],
        "KEY.dns.test. A",
        &["records", "KEY.dns.test. 30 IN A 192.0.2.9"],
    );
}

#[test]
fn every_origin_serves_the_same_records() {
    let packet = packet(vec![record(IROH)]);
    for origins in [["one.test.", "."], [".", "one.test."]] {
        let authority = authority(&origins);
        for owner in ["_iroh.KEY.one.test.", "_iroh.KEY."] {
            let answer = answer(&authority, Some(&packet), &format!("{owner} TXT"));
            let expected = format!("{owner} 30 IN TXT relay=https://relay.test");
            assert_eq!(text(&answer), ["records", &expected]);
        }
    }
}

/// RFC 4343: letter case does not matter, and the client gets its own case back (draft 0x20).
#[test]
fn the_owner_repeats_the_case_of_the_question() {
    let authority = authority(&["dns.test."]);
    let packet = packet(vec![record(&IROH.replace("_iroh", "_IRoh"))]);
    let query = format!("_iROH.{}.dNs.TeSt.", KEY.to_string().to_uppercase());
    let answer = answer(&authority, Some(&packet), &format!("{query} TXT"));
    assert_eq!(answer.records()[0].name.to_ascii(), query);
}

#[test]
fn a_key_without_a_packet_does_not_exist() {
    let authority = authority(&["dns.test."]);
    for query in [
        "_iroh.KEY.dns.test. TXT",
        "KEY.dns.test. A",
        "KEY.dns.test. ANY",
    ] {
        let answer = answer(&authority, None, query);
        assert_eq!(text(&answer), ["nxdomain", "SOA dns.test. 30"]);
    }
}

/// RFC 2308, section 2.2: NXDOMAIN for a missing type would take the TXT out of caches too.
#[test]
fn a_name_with_other_types_has_no_data() {
    for record_type in ["A", "AAAA", "CNAME", "HTTPS", "SOA", "NS", "DS"] {
        let query = format!("_iroh.KEY.dns.test. {record_type}");
        check(&[IROH], &query, &["no data", "SOA dns.test. 30"]);
    }
}

/// RFC 8020, section 2.
#[test]
fn a_name_with_names_below_it_has_no_data() {
    let no_data = ["no data", "SOA dns.test. 30"];
    let nxdomain = ["nxdomain", "SOA dns.test. 30"];
    check(&[IROH], "KEY.dns.test. TXT", &no_data);
    check(&[IROH], "KEY.dns.test. ANY", &no_data);
    let deep = ["a.b.c.KEY. 30 A 192.0.2.9"];
    check(&deep, "b.c.KEY.dns.test. A", &no_data);
    check(&deep, "c.KEY.dns.test. A", &no_data);
    check(&deep, "x.c.KEY.dns.test. A", &nxdomain);
    check(&deep, "x.a.b.c.KEY.dns.test. A", &nxdomain);
    check(&deep, "b.KEY.dns.test. A", &nxdomain);
    check(&["*.KEY. 30 A 192.0.2.9"], "KEY.dns.test. A", &no_data);
}

/// RFC 8020: neither the key nor any name below it exists.
#[test]
fn a_key_without_servable_records_does_not_exist() {
    let soa = "KEY. 30 SOA ns.KEY. me.KEY. 1 2 3 4 5";
    for records in [&[][..], &["_iroh. 30 TXT outside"], &[soa]] {
        for owner in ["KEY", "x.KEY", "a.x.KEY"] {
            for record_type in ["A", "SOA", "NS", "CNAME", "ANY"] {
                let query = format!("{owner}.dns.test. {record_type}");
                check(records, &query, &["nxdomain", "SOA dns.test. 30"]);
            }
        }
    }
}

/// A SOA of its own would make the key a separate zone, outside the origin's control.
#[test]
fn a_soa_in_a_packet_is_not_served() {
    let records = ["KEY. 30 SOA ns.KEY. me.KEY. 1 2 3 4 5", IROH];
    check(
        &records,
        "KEY.dns.test. SOA",
        &["no data", "SOA dns.test. 30"],
    );
}

#[test]
fn records_outside_the_signers_zone_are_not_served() {
    let other = quorate_packet::PublicKey::from_bytes([9; 32]);
    let records = [
        format!("_iroh.{other}. 30 TXT other"),
        "_iroh.KEY.dns.test. 30 TXT below".to_owned(),
        "_iroh. 30 TXT top".to_owned(),
        ". 30 TXT root".to_owned(),
        "KEY.evil. 30 TXT evil".to_owned(),
    ];
    let mut records: Vec<_> = records.iter().map(String::as_str).collect();
    let nxdomain = ["nxdomain", "SOA dns.test. 30"];
    check(&records, "_iroh.KEY.dns.test. TXT", &nxdomain);
    check(&records, "KEY.dns.test. TXT", &nxdomain);
    records.push("other.KEY. 30 TXT inside");
    check(&records, "_iroh.KEY.dns.test. TXT", &nxdomain);
    let no_data = ["no data", "SOA dns.test. 30"];
    check(&records, "KEY.dns.test. TXT", &no_data);
}

#[test]
fn records_of_other_classes_are_not_served() {
    let mut chaos = record(IROH);
    chaos.dns_class = DNSClass::CH;
    let packet = packet(vec![chaos]);
    let answer = answer(
        &authority(&["dns.test."]),
        Some(&packet),
        "_iroh.KEY.dns.test. TXT",
    );
    assert_eq!(text(&answer), ["nxdomain", "SOA dns.test. 30"]);
}

/// RFC 2181, sections 5.2 and 5.
#[test]
fn a_record_set_has_one_ttl_and_no_duplicates() {
    check(
        &[
            "_iroh.KEY. 300 TXT a=1",
            "_IROH.KEY. 30 TXT b=2",
            "_iroh.KEY. 60 TXT a=1",
        ],
        "_iroh.KEY.dns.test. TXT",
        &[
            "records",
            "_iroh.KEY.dns.test. 30 IN TXT a=1",
            "_iroh.KEY.dns.test. 30 IN TXT b=2",
        ],
    );
}

/// RFC 2181, section 8.
#[test]
fn a_negative_ttl_counts_as_zero() {
    check(
        &["_iroh.KEY. 2147483648 TXT a=1"],
        "_iroh.KEY.dns.test. TXT",
        &["records", "_iroh.KEY.dns.test. 0 IN TXT a=1"],
    );
}

/// RFC 3597, section 3.
#[test]
fn unknown_types_are_opaque() {
    let data = RData::Unknown {
        code: RecordType::Unknown(65400),
        rdata: NULL::with(vec![0xc0, 0x0c, 0, 255]),
    };
    let packet = packet(vec![Record::from_rdata(name("x.KEY."), 30, data.clone())]);
    let authority = authority(&["dns.test."]);
    let answer = answer(&authority, Some(&packet), "x.KEY.dns.test. TYPE65400");
    assert_eq!(answer.records()[0].data, data);
}

/// RFC 8482, section 4.2.
#[test]
fn any_is_answered_with_one_small_record() {
    check(
        &[IROH, "_iroh.KEY. 30 A 192.0.2.9"],
        "_iroh.KEY.dns.test. ANY",
        &["records", "_iroh.KEY.dns.test. 3600 IN HINFO RFC8482 "],
    );
}

mod aliases {
    use super::*;

    #[test]
    fn an_alias_is_followed_inside_the_keys_zone() {
        let records = ["www.KEY. 60 CNAME web.KEY.", "WEB.KEY. 30 A 192.0.2.9"];
        check(
            &records,
            "www.KEY.dns.test. A",
            &[
                "records",
                "www.KEY.dns.test. 60 IN CNAME web.KEY.dns.test.",
                "web.KEY.dns.test. 30 IN A 192.0.2.9",
            ],
        );
        check(
            &records,
            "www.KEY.dns.test. CNAME",
            &["records", "www.KEY.dns.test. 60 IN CNAME web.KEY.dns.test."],
        );
    }

    #[test]
    fn an_alias_written_under_the_origin_is_followed_too() {
        check(
            &[
                "www.KEY. 60 CNAME web.KEY.dns.test.",
                "web.KEY. 30 A 192.0.2.9",
            ],
            "www.KEY.dns.test. A",
            &[
                "records",
                "www.KEY.dns.test. 60 IN CNAME web.KEY.dns.test.",
                "web.KEY.dns.test. 30 IN A 192.0.2.9",
            ],
        );
    }

    #[test]
    fn an_alias_that_leads_out_is_the_answer() {
        for target in ["example.org.", "ns1.dns.test.", "dns.test.", "."] {
            let alias = format!("www.KEY. 60 CNAME {target}");
            let expected = format!("www.KEY.dns.test. 60 IN CNAME {target}");
            check(&[&alias], "www.KEY.dns.test. A", &["records", &expected]);
        }
    }

    /// RFC 6604, section 3: the response code is for the last name.
    #[test]
    fn an_alias_to_a_missing_name_is_a_negative_answer() {
        let alias = "www.KEY. 60 CNAME web.KEY.";
        let answered = "www.KEY.dns.test. 60 IN CNAME web.KEY.dns.test.";
        check(
            &[alias],
            "www.KEY.dns.test. A",
            &["nxdomain", answered, "SOA dns.test. 30"],
        );
        check(
            &[alias, "web.KEY. 30 TXT x"],
            "www.KEY.dns.test. A",
            &["no data", answered, "SOA dns.test. 30"],
        );
    }

    #[test]
    fn a_circle_of_aliases_ends() {
        check(
            &["A.KEY. 60 CNAME b.KEY.", "b.KEY. 60 CNAME a.KEY."],
            "a.KEY.dns.test. TXT",
            &[
                "records",
                "a.KEY.dns.test. 60 IN CNAME b.KEY.dns.test.",
                "b.KEY.dns.test. 60 IN CNAME a.KEY.dns.test.",
            ],
        );
    }

    #[test]
    fn a_long_chain_of_aliases_ends() {
        let chain: Vec<_> = (0..12)
            .map(|at| record(&format!("a{at}.KEY. 60 CNAME a{}.KEY.", at + 1)))
            .collect();
        let answer = answer(
            &authority(&["dns.test."]),
            Some(&packet(chain)),
            "a0.KEY.dns.test. A",
        );
        assert_eq!(answer.kind, AnswerKind::Records);
        assert_eq!(answer.records().len(), ALIAS_COUNT_MAX);
    }

    /// RFC 2181, section 10.1.
    #[test]
    fn only_the_first_of_two_aliases_counts() {
        check(
            &["a.KEY. 60 CNAME one.test.", "a.KEY. 60 CNAME two.test."],
            "a.KEY.dns.test. A",
            &["records", "a.KEY.dns.test. 60 IN CNAME one.test."],
        );
    }

    /// A key may occur in names of its own zone.
    #[test]
    fn the_last_label_that_is_the_key_is_the_apex() {
        check(
            &[
                "www.KEY. 60 CNAME web.KEY.KEY.",
                "web.KEY.KEY. 30 A 192.0.2.9",
            ],
            "www.KEY.dns.test. A",
            &[
                "records",
                "www.KEY.dns.test. 60 IN CNAME web.KEY.KEY.dns.test.",
                "web.KEY.KEY.dns.test. 30 IN A 192.0.2.9",
            ],
        );
    }

    #[test]
    fn a_target_that_is_too_long_under_the_origin_is_not_changed() {
        let labels = ["x", "y", "z"].map(|letter| letter.repeat(63));
        let long = format!("w.{}.KEY.", labels.join("."));
        let alias = format!("a.KEY. 60 CNAME {long}");
        let expected = format!("a.KEY.dns.test. 60 IN CNAME {long}");
        check(&[&alias], "a.KEY.dns.test. A", &["records", &expected]);
    }
}

/// RFC 4592; the zone is the one of its section 2.2.1.
mod wildcards {
    use super::*;

    const ZONE: [&str; 6] = [
        "*.KEY. 3600 TXT this",
        "*.KEY. 3600 MX 10 host1.test.",
        "sub.*.KEY. 3600 TXT not-a-wildcard",
        "host1.KEY. 3600 A 192.0.2.1",
        "_ssh._tcp.host1.KEY. 3600 TXT x",
        "_ssh._tcp.host2.KEY. 3600 TXT x",
    ];

    #[test]
    fn a_wildcard_answers_for_names_that_do_not_exist() {
        check(
            &ZONE,
            "host3.KEY.dns.test. TXT",
            &["records", "host3.KEY.dns.test. 3600 IN TXT this"],
        );
        check(
            &ZONE,
            "foo.bar.KEY.dns.test. TXT",
            &["records", "foo.bar.KEY.dns.test. 3600 IN TXT this"],
        );
        check(
            &ZONE,
            "host3.KEY.dns.test. A",
            &["no data", "SOA dns.test. 30"],
        );
    }

    #[test]
    fn a_wildcard_does_not_apply_to_existing_names_or_names_below_them() {
        let nxdomain = ["nxdomain", "SOA dns.test. 30"];
        let no_data = ["no data", "SOA dns.test. 30"];
        check(&ZONE, "host1.KEY.dns.test. MX", &no_data);
        check(&ZONE, "_telnet._tcp.host1.KEY.dns.test. TXT", &nxdomain);
        check(&ZONE, "host2.KEY.dns.test. TXT", &no_data);
        check(&ZONE, "x.host1.KEY.dns.test. TXT", &nxdomain);
        check(&ZONE, "ghost.*.KEY.dns.test. MX", &nxdomain);
        check(
            &ZONE,
            "sub.*.KEY.dns.test. TXT",
            &["records", "sub.*.KEY.dns.test. 3600 IN TXT not-a-wildcard"],
        );
    }

    #[test]
    fn a_wildcard_can_be_queried_itself() {
        check(
            &ZONE,
            "*.KEY.dns.test. TXT",
            &["records", "*.KEY.dns.test. 3600 IN TXT this"],
        );
    }

    #[test]
    fn a_wildcard_without_records_of_its_own_has_no_data() {
        check(
            &["sub.*.KEY. 30 TXT x"],
            "other.KEY.dns.test. TXT",
            &["no data", "SOA dns.test. 30"],
        );
    }

    #[test]
    fn a_wildcard_alias_is_followed() {
        check(
            &["*.KEY. 60 CNAME web.KEY.", "web.KEY. 30 A 192.0.2.9"],
            "any.KEY.dns.test. A",
            &[
                "records",
                "any.KEY.dns.test. 60 IN CNAME web.KEY.dns.test.",
                "web.KEY.dns.test. 30 IN A 192.0.2.9",
            ],
        );
    }
}

#[test]
fn a_damaged_packet_is_an_error() {
    let packet = CompiledPacket::compile(&packet_of(&[0xff; 40]));
    let authority = authority(&["dns.test."]);
    let query = question("KEY.dns.test. A");
    let query = Question::parse(&query).unwrap();
    let LookupResult::NeedsPacket(question) = authority.lookup(&query) else {
        panic!("not below a key");
    };
    assert_eq!(question.answer(Some(&packet)).unwrap_err().key, KEY);
    assert_eq!(packet.ttl_secs_min(), None);
}

/// The operator limits the TTLs of published records.
#[test]
fn ttls_are_clamped_per_origin() {
    let clamped = |min, max| {
        let mut origin = crate::fixture::origin("dns.test.");
        (origin.ttl_secs_min, origin.ttl_secs_max) = (min, max);
        crate::Authority::new(vec![origin]).unwrap()
    };
    let records = ["a.KEY. 30 TXT x", "b.KEY. 900 CNAME a.KEY."];
    let packet = packet(records.map(record).to_vec());
    for (min, max, expected) in [
        (60, 300, [300, 60]),
        (0, 20, [20, 20]),
        (10, 1000, [900, 30]),
    ] {
        let authority = clamped(min, max);
        let found = answer(&authority, Some(&packet), "b.KEY.dns.test. TXT");
        let ttls: Vec<u32> = found.records().iter().map(|record| record.ttl).collect();
        assert_eq!(ttls, expected);
        assert_eq!(found.ttl_secs_min, expected.into_iter().min());
        let configured = answer(&authority, None, "dns.test. A");
        assert_eq!(configured.records()[0].ttl, 600, "its operator's own");
    }
}
