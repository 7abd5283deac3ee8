//! DNAME records (RFC 6672).

use super::*;
use crate::fixture::{answer, authority, check, packet, record, text};

const ZONE: [&str; 4] = [
    "old.KEY. 60 DNAME new.KEY.",
    "a.new.KEY. 30 A 192.0.2.9",
    "b.new.KEY. 30 CNAME c.old.KEY.",
    "c.new.KEY. 30 TXT c",
];
const DNAME: &str = "old.KEY.dns.test. 60 IN DNAME new.KEY.dns.test.";

/// Section 3.1: the synthesized CNAME has the TTL of the DNAME.
#[test]
fn a_name_below_a_dname_is_moved_below_its_target() {
    let alias = "a.old.KEY.dns.test. 60 IN CNAME a.new.KEY.dns.test.";
    let found = "a.new.KEY.dns.test. 30 IN A 192.0.2.9";
    check(
        &ZONE,
        "a.old.KEY.dns.test. A",
        &["records", DNAME, alias, found],
    );
    let no_data = ["no data", DNAME, alias, "SOA dns.test. 30"];
    check(&ZONE, "a.old.KEY.dns.test. TXT", &no_data);
    let alias = "x.old.KEY.dns.test. 60 IN CNAME x.new.KEY.dns.test.";
    let nxdomain = ["nxdomain", DNAME, alias, "SOA dns.test. 30"];
    check(&ZONE, "x.old.KEY.dns.test. TXT", &nxdomain);
}

/// Section 3.2, step 3c: questions of every type are redirected.
#[test]
fn every_type_is_redirected() {
    let alias = "b.old.KEY.dns.test. 60 IN CNAME b.new.KEY.dns.test.";
    let next = "b.new.KEY.dns.test. 30 IN CNAME c.old.KEY.dns.test.";
    check(
        &ZONE,
        "b.old.KEY.dns.test. CNAME",
        &["records", DNAME, alias, next],
    );
    let last = "c.old.KEY.dns.test. 60 IN CNAME c.new.KEY.dns.test.";
    let found = "c.new.KEY.dns.test. 30 IN TXT c";
    // A set occurs only once in an answer.
    let records = ["records", DNAME, alias, next, last, found];
    check(&ZONE, "b.old.KEY.dns.test. TXT", &records);
}

/// Section 2.3: it redirects the names below it, but not its owner.
#[test]
fn the_owner_of_a_dname_is_not_redirected() {
    check(&ZONE, "old.KEY.dns.test. DNAME", &["records", DNAME]);
    check(
        &ZONE,
        "old.KEY.dns.test. A",
        &["no data", "SOA dns.test. 30"],
    );
}

/// Section 2.4: records below a DNAME are not part of the zone.
#[test]
fn records_below_a_dname_are_hidden() {
    let records = [
        &ZONE[..],
        &["a.old.KEY. 30 A 192.0.2.66", "x.a.old.KEY. 5 NS ns.test."],
    ];
    let alias = "a.old.KEY.dns.test. 60 IN CNAME a.new.KEY.dns.test.";
    let found = "a.new.KEY.dns.test. 30 IN A 192.0.2.9";
    let expected = ["records", DNAME, alias, found];
    check(&records.concat(), "a.old.KEY.dns.test. A", &expected);
}

/// Section 2.2.
#[test]
fn a_name_that_becomes_too_long_is_yxdomain() {
    let long = format!("{}.{}.{}", "x".repeat(60), "y".repeat(60), "z".repeat(60));
    let records = [format!("a.KEY. 60 DNAME {long}.KEY.")];
    let dname = format!("a.KEY.dns.test. 60 IN DNAME {long}.KEY.dns.test.");
    let query = format!("{}.a.KEY.dns.test. A", "b".repeat(20));
    let packet = packet(records.iter().map(|text| record(text)).collect());
    let answer = answer(&authority(&["dns.test."]), Some(&packet), &query);
    assert_eq!(text(&answer), ["yxdomain", &dname]);
    assert!(answer.is_authoritative);
}

#[test]
fn a_target_outside_the_zone_is_not_followed() {
    let records = ["KEY. 60 DNAME example.org."];
    let dname = "KEY.dns.test. 60 IN DNAME example.org.";
    let alias = "a.b.KEY.dns.test. 60 IN CNAME a.b.example.org.";
    check(&records, "a.b.KEY.dns.test. A", &["records", dname, alias]);
}

#[test]
fn a_circle_of_dnames_ends() {
    let records = ["a.KEY. 60 DNAME b.KEY.", "b.KEY. 60 DNAME a.KEY."];
    let expected = [
        "records",
        "a.KEY.dns.test. 60 IN DNAME b.KEY.dns.test.",
        "x.a.KEY.dns.test. 60 IN CNAME x.b.KEY.dns.test.",
        "b.KEY.dns.test. 60 IN DNAME a.KEY.dns.test.",
        "x.b.KEY.dns.test. 60 IN CNAME x.a.KEY.dns.test.",
    ];
    check(&records, "x.a.KEY.dns.test. A", &expected);
    let growing = ["a.KEY. 60 DNAME b.a.KEY."];
    let packet = packet(growing.map(record).to_vec());
    let answer = answer(
        &authority(&["dns.test."]),
        Some(&packet),
        "x.a.KEY.dns.test. A",
    );
    let aliases_and_dname = ALIAS_COUNT_MAX + 1;
    assert_eq!(answer.records().len(), aliases_and_dname);
}

/// Section 3.2, step 3b before 3c.
#[test]
fn a_cut_at_the_same_name_takes_precedence() {
    let records = ["a.KEY. 60 DNAME b.KEY.", "a.KEY. 60 NS ns.test."];
    let expected = ["referral", "authority a.KEY.dns.test. 60 IN NS ns.test."];
    check(&records, "x.a.KEY.dns.test. A", &expected);
}
