use crate::fixture::{KEY, answer, authority, check, packet, record, text};

const IROH: &str = "_iroh.KEY. 30 TXT relay=https://relay.test";
const SUB: &str = "sub.KEY. 60 NS ns.elsewhere.net.";
const TOP: &str = "KEY. 60 NS ns.elsewhere.net.";

const TO_SUB: [&str; 2] = [
    "referral",
    "authority sub.KEY.dns.test. 60 IN NS ns.elsewhere.net.",
];
const TO_TOP: [&str; 2] = [
    "referral",
    "authority KEY.dns.test. 60 IN NS ns.elsewhere.net.",
];
const NO_DATA: [&str; 2] = ["no data", "SOA dns.test. 30"];
const NXDOMAIN: [&str; 2] = ["nxdomain", "SOA dns.test. 30"];
const FOUND: [&str; 2] = [
    "records",
    "_iroh.KEY.dns.test. 30 IN TXT relay=https://relay.test",
];

/// RFC 1034, section 4.3.2, step 3b.
#[test]
fn names_at_or_below_a_cut_get_a_referral() {
    for record_type in ["A", "NS", "SOA", "CNAME", "ANY"] {
        let query = format!("sub.KEY.dns.test. {record_type}");
        check(&[SUB], &query, &TO_SUB);
    }
    for record_type in ["A", "NS", "DS", "SOA", "CNAME", "ANY"] {
        let expected = TO_SUB.map(|line| line.replace("sub", "SUB"));
        let expected = expected.each_ref().map(String::as_str);
        let query = format!("deep.in.SUB.KEY.dns.test. {record_type}");
        check(&[SUB], &query, &expected);
    }
}

/// RFC 4035, section 3.1.4.1: the zone above the cut has its DS records, or has none.
#[test]
fn the_ds_records_of_a_cut_are_answered_above_it() {
    const DS: &str = "sub.KEY. 60 DS 1 13 2 0102";
    let found = ["records", "sub.KEY.dns.test. 60 IN DS 1 13 2 0102"];
    check(&[SUB, DS], "sub.KEY.dns.test. DS", &found);
    check(&[SUB], "sub.KEY.dns.test. DS", &NO_DATA);
    check(&[SUB, "sub.KEY. 5 TXT x"], "sub.KEY.dns.test. DS", &NO_DATA);
    check(&[SUB, DS], "sub.KEY.dns.test. A", &TO_SUB);
    check(&[SUB, DS], "sub.KEY.dns.test. ANY", &TO_SUB);
    // Those of a cut below the first are not ours.
    let deep = ["a.sub.KEY. 60 NS ns.x.", "a.sub.KEY. 60 DS 1 13 2 0102"];
    check(&[SUB, deep[0], deep[1]], "a.sub.KEY.dns.test. DS", &TO_SUB);
    let alias = "www.KEY. 60 CNAME sub.KEY.";
    let followed = [
        "records",
        "www.KEY.dns.test. 60 IN CNAME sub.KEY.dns.test.",
        found[1],
    ];
    check(&[SUB, DS, alias], "www.KEY.dns.test. DS", &followed);
}

/// The same for NS records at the key. Its DS records do not make the key a name with data.
#[test]
fn the_ds_records_of_a_key_are_answered_with_its_cut() {
    const DS: &str = "KEY. 60 DS 1 13 2 0102";
    let found = ["records", "KEY.dns.test. 60 IN DS 1 13 2 0102"];
    check(&[TOP, DS], "KEY.dns.test. DS", &found);
    check(&[DS], "KEY.dns.test. DS", &found);
    check(&[TOP], "KEY.dns.test. DS", &NO_DATA);
    check(&[TOP, IROH], "KEY.dns.test. DS", &NO_DATA);
    check(&[TOP, DS], "KEY.dns.test. A", &TO_TOP);
    check(&[TOP, DS], "x.KEY.dns.test. DS", &TO_TOP);
}

/// RFC 1034, section 4.3.2: a cut does not affect names above it or its siblings.
#[test]
fn ancestors_and_siblings_of_a_cut_are_answered() {
    let records = [SUB, IROH];
    check(&records, "_iroh.KEY.dns.test. TXT", &FOUND);
    check(&records, "KEY.dns.test. NS", &NO_DATA);
    check(&records, "xsub.KEY.dns.test. A", &NXDOMAIN);
    check(&records, "other.KEY.dns.test. A", &NXDOMAIN);
}

/// RFC 2181, section 6.1: below a cut the child zone has the authority.
#[test]
fn data_at_or_below_a_cut_is_not_answered() {
    let records = [SUB, "sub.KEY. 5 TXT x", "a.sub.KEY. 5 TXT x"];
    check(&records, "sub.KEY.dns.test. TXT", &TO_SUB);
    check(&records, "a.sub.KEY.dns.test. TXT", &TO_SUB);
}

/// RFC 1034, section 4.3.2: the search starts at the apex and goes down label by label.
#[test]
fn the_cut_closest_to_the_apex_counts() {
    let records = ["deep.sub.KEY. 5 NS ns.other.net.", SUB];
    check(&records, "x.deep.sub.KEY.dns.test. A", &TO_SUB);
}

#[test]
fn wildcards_do_not_apply_below_a_cut() {
    let records = [SUB, "*.sub.KEY. 5 TXT x", "*.KEY. 5 TXT y"];
    check(&records, "x.sub.KEY.dns.test. TXT", &TO_SUB);
    check(
        &records,
        "x.KEY.dns.test. TXT",
        &["records", "x.KEY.dns.test. 5 IN TXT y"],
    );
}

/// RFC 4592, section 4.2.
#[test]
fn a_wildcard_cut_applies_only_to_its_own_name() {
    let records = ["*.KEY. 60 NS ns.elsewhere.net."];
    let referral = [
        "referral",
        "authority *.KEY.dns.test. 60 IN NS ns.elsewhere.net.",
    ];
    check(&records, "*.KEY.dns.test. A", &referral);
    check(&records, "x.*.KEY.dns.test. A", &referral);
    check(&records, "x.KEY.dns.test. A", &NO_DATA);
    let data = ["records", "x.KEY.dns.test. 60 IN NS ns.elsewhere.net."];
    check(&records, "x.KEY.dns.test. NS", &data);
}

/// RFC 2181, section 5; RFC 1034, section 4.2.1, and RFC 9471, section 3.1, on glue.
#[test]
fn a_referral_has_glue_for_servers_below_the_cut() {
    let records = [
        "sub.KEY. 300 NS a.sub.KEY.",
        "sub.KEY. 60 NS b.sub.KEY.dns.test.",
        "sub.KEY. 60 NS a.sub.KEY.dns.test.",
        "sub.KEY. 60 NS beside.KEY.",
        "a.sub.KEY. 40 A 192.0.2.9",
        "a.sub.KEY. 30 A 192.0.2.10",
        "a.sub.KEY. 20 AAAA 2001:db8::9",
        "a.sub.KEY. 20 TXT x",
        "b.sub.KEY. 20 A 192.0.2.11",
        "beside.KEY. 20 A 192.0.2.12",
        "*.sub.KEY. 20 A 192.0.2.13",
    ];
    let expected = [
        "referral",
        "authority sub.KEY.dns.test. 60 IN NS a.sub.KEY.dns.test.",
        "authority sub.KEY.dns.test. 60 IN NS b.sub.KEY.dns.test.",
        "authority sub.KEY.dns.test. 60 IN NS beside.KEY.dns.test.",
        "additional a.sub.KEY.dns.test. 30 IN A 192.0.2.9",
        "additional a.sub.KEY.dns.test. 30 IN A 192.0.2.10",
        "additional a.sub.KEY.dns.test. 20 IN AAAA 2001:db8::9",
        "additional b.sub.KEY.dns.test. 20 IN A 192.0.2.11",
        // RFC 1034, section 4.3.2, step 3b: all known addresses, even if they are not needed.
        "additional beside.KEY.dns.test. 20 IN A 192.0.2.12",
    ];
    check(&records, "x.sub.KEY.dns.test. A", &expected);
    check(&records, "a.sub.KEY.dns.test. A", &expected);
}

/// RFC 4343: in the letter case of the question, and under its origin.
#[test]
fn a_referral_repeats_the_case_of_the_question() {
    let records = ["sub.KEY. 60 NS ns.sub.KEY.", "ns.sub.KEY. 5 A 192.0.2.9"];
    let packet = packet(records.map(record).to_vec());
    let key = KEY.to_string().to_uppercase();
    for (origin, suffix) in [("one.test.", "oNe.teSt."), (".", "")] {
        let query = format!("x.SuB.{key}.{suffix} A");
        let lines = text(&answer(&authority(&[origin]), Some(&packet), &query));
        let expected = [
            "referral".to_owned(),
            format!("authority SuB.{key}.{suffix} 60 IN NS ns.sub.{key}.{suffix}"),
            format!("additional ns.sub.{key}.{suffix} 5 IN A 192.0.2.9"),
        ];
        assert_eq!(lines, expected);
    }
}

/// RFC 1034, section 4.3.2, step 3a goes back to step 1, and from there to 3b.
#[test]
fn an_alias_into_a_cut_comes_before_the_referral() {
    let records = [
        SUB,
        "www.KEY. 40 CNAME a.sub.KEY.",
        "a.sub.KEY. 5 A 192.0.2.9",
    ];
    let expected = [
        TO_SUB[0],
        "www.KEY.dns.test. 40 IN CNAME a.sub.KEY.dns.test.",
        TO_SUB[1],
    ];
    check(&records, "www.KEY.dns.test. A", &expected);
    let packet = packet(records.map(record).to_vec());
    let authority = authority(&["dns.test."]);
    // RFC 1035, section 4.1.1: AA applies to the first name of the answer.
    for (query, authoritative, ttl_secs) in [
        ("www.KEY.dns.test. A", true, 40),
        ("a.sub.KEY.dns.test. A", false, 60),
    ] {
        let answer = answer(&authority, Some(&packet), query);
        assert_eq!(answer.is_authoritative, authoritative, "{query}");
        assert_eq!(answer.ttl_secs_min, Some(ttl_secs), "{query}");
    }
}

mod at_the_key {
    use super::*;

    #[test]
    fn a_key_with_only_ns_records_is_delegated_completely() {
        for owner in ["KEY", "x.KEY", "_iroh.KEY"] {
            for record_type in ["A", "NS", "TXT", "ANY"] {
                check(&[TOP], &format!("{owner}.dns.test. {record_type}"), &TO_TOP);
            }
        }
    }

    /// If the key were delegated, nobody could find its endpoint.
    #[test]
    fn data_in_the_packet_is_answered_first() {
        let records = [TOP, IROH];
        check(&records, "_iroh.KEY.dns.test. TXT", &FOUND);
        check(&records, "_iroh.KEY.dns.test. A", &NO_DATA);
        check(&records, "x.KEY.dns.test. A", &TO_TOP);
        check(&records, "x._iroh.KEY.dns.test. A", &TO_TOP);
        check(&records, "KEY.dns.test. NS", &TO_TOP);
    }

    /// RFC 9156, section 3: a resolver that minimises query names asks for the key before `_iroh`,
    /// and would follow a referral.
    #[test]
    fn a_key_with_names_below_it_exists() {
        check(&[TOP, IROH], "KEY.dns.test. A", &NO_DATA);
    }

    #[test]
    fn wildcards_and_cuts_below_the_key_count_as_data() {
        let records = [TOP, "*.w.KEY. 5 TXT x", "sub.KEY. 60 NS ns.other.net."];
        check(
            &records,
            "a.w.KEY.dns.test. TXT",
            &["records", "a.w.KEY.dns.test. 5 IN TXT x"],
        );
        check(
            &records,
            "a.sub.KEY.dns.test. A",
            &[
                "referral",
                "authority sub.KEY.dns.test. 60 IN NS ns.other.net.",
            ],
        );
        check(&records, "x.KEY.dns.test. A", &TO_TOP);
    }

    /// RFC 2181, section 5.4.1: glue is not data of the zone.
    #[test]
    fn names_with_only_glue_belong_to_the_cut() {
        for (record_type, address) in [("A", "192.0.2.9"), ("AAAA", "2001:db8::9")] {
            check_glue(record_type, address);
        }
    }

    fn check_glue(record_type: &str, address: &str) {
        let glue = format!("ns.KEY. 5 {record_type} {address}");
        let found = format!("ns.KEY.dns.test. 5 IN {record_type} {address}");
        let additional = format!("additional {found}");
        for target in ["ns.KEY.", "ns.KEY.dns.test."] {
            let top = format!("KEY. 60 NS {target}");
            let expected = [
                "referral",
                "authority KEY.dns.test. 60 IN NS ns.KEY.dns.test.",
                &additional,
            ];
            for query in ["KEY", "ns.KEY", "x.ns.KEY", "www.KEY"] {
                let query = format!("{query}.dns.test. {record_type}");
                check(&[&top, &glue], &query, &expected);
            }
            let records = [&top, &glue, "ns.KEY. 5 TXT x"];
            let query = format!("ns.KEY.dns.test. {record_type}");
            check(&records, &query, &["records", &found]);
        }
    }

    #[test]
    fn an_alias_to_glue_gets_a_referral() {
        let records = [
            "KEY. 60 NS ns.KEY.",
            "ns.KEY. 5 A 192.0.2.9",
            "www.KEY. 40 CNAME ns.KEY.",
        ];
        let expected = [
            "referral",
            "www.KEY.dns.test. 40 IN CNAME ns.KEY.dns.test.",
            "authority KEY.dns.test. 60 IN NS ns.KEY.dns.test.",
            "additional ns.KEY.dns.test. 5 IN A 192.0.2.9",
        ];
        check(&records, "www.KEY.dns.test. A", &expected);
    }

    #[test]
    fn an_alias_to_the_key_is_answered_like_the_key() {
        let records = [TOP, IROH, "www.KEY. 40 CNAME KEY."];
        let alias = "www.KEY.dns.test. 40 IN CNAME KEY.dns.test.";
        check(
            &records,
            "www.KEY.dns.test. NS",
            &[TO_TOP[0], alias, TO_TOP[1]],
        );
        check(
            &records,
            "www.KEY.dns.test. A",
            &[NO_DATA[0], alias, NO_DATA[1]],
        );
    }

    #[test]
    fn a_wildcard_that_is_glue_is_not_data() {
        let records = ["KEY. 60 NS *.KEY.", "*.KEY. 5 A 192.0.2.9", IROH];
        let expected = [
            "referral",
            "authority KEY.dns.test. 60 IN NS *.KEY.dns.test.",
            "additional *.KEY.dns.test. 5 IN A 192.0.2.9",
        ];
        check(&records, "x.KEY.dns.test. A", &expected);
    }
}
