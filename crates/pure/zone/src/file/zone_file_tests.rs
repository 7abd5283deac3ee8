use super::super::{rdata_text, type_text};
use super::*;

fn origin() -> WireName {
    parse_name("dns.example.", &WireName::root()).unwrap()
}

fn shown(text: &str) -> Vec<String> {
    let records = parse(text, &origin(), 3600).unwrap().into_iter();
    let shown = records.map(|record| {
        let data = rdata_text(record.record_type, &record.rdata);
        let record_type = type_text(record.record_type);
        format!("{} {} {record_type} {data}", record.owner, record.ttl_secs)
    });
    shown.collect()
}

#[test]
fn a_zone_file_is_what_rfc_1035_says() {
    let text = "\
; the zone of an example
www    300  IN A 192.0.2.1   ; TTL before class
       IN 1h A 192.0.2.2     ; of the same owner
@      MX ( 10
            mail )
$ORIGIN sub.dns.example.
a      TXT ( \"v=DKIM1; k=rsa\"
             \"p=abc\" )
$TTL 1m
b.other.example. CNAME @
*      86400 A 192.0.2.3
c      A 192.0.2.4
";
    assert_eq!(
        shown(text),
        [
            "www.dns.example. 300 A 192.0.2.1",
            "www.dns.example. 3600 A 192.0.2.2",
            "dns.example. 3600 MX 10 mail.dns.example.",
            "a.sub.dns.example. 3600 TXT \"v=DKIM1; k=rsa\" \"p=abc\"",
            "b.other.example. 60 CNAME sub.dns.example.",
            "*.sub.dns.example. 86400 A 192.0.2.3",
            "c.sub.dns.example. 60 A 192.0.2.4",
        ]
    );
}

#[test]
fn the_first_line_that_is_wrong_is_named() {
    for (text, error) in [
        ("a A 192.0.2.1\n\nb A nonsense", "line 3: it is no A"),
        ("a (\nMX\n10 )", "line 1: MX takes 2 words and not 1"),
        (
            "a A 192.0.2.1\nb MX \"10\n",
            "line 2: a quote is not closed",
        ),
        ("  A 192.0.2.1", "line 1: the first record names no owner"),
        (
            "a 300 IN",
            "line 1: the record of a.dns.example. has no type",
        ),
        ("a", "line 1: the record of a.dns.example. has no type"),
        ("@ SOA a. b. 1 2 3 4 5", "line 1: the SOA is configured"),
        ("a CH TXT x", "line 1: CH is a class that is not served"),
        ("a WKS x", "line 1: \"WKS\" is no type of records"),
        (
            "\n$INCLUDE /etc/passwd",
            "line 2: no other file is included",
        ),
        ("$GENERATE 1-9 a A b", "line 1: $GENERATE is no directive"),
        ("$TTL soon", "line 1: \"soon\" is no time"),
        ("a..b A 192.0.2.1", "line 1: \"a..b\" is no domain name"),
    ] {
        let found = parse(text, &origin(), 1).unwrap_err().to_string();
        assert!(found.starts_with(error), "{text:?}: {found}");
    }
}

#[test]
fn records_of_one_owner_and_type_are_a_set_with_the_smallest_ttl() {
    let text = "a 60 A 192.0.2.2\nb A 192.0.2.9\nA 30 A 192.0.2.1\na A 192.0.2.2";
    let sets = record_sets(parse(text, &origin(), 1).unwrap());
    let sizes: Vec<_> = sets
        .iter()
        .map(|set| {
            (
                set.owner.to_string(),
                set.records.ttl_secs,
                set.records.rdata.len(),
            )
        })
        .collect();
    assert_eq!(
        sizes,
        [
            ("a.dns.example.".into(), 30, 2),
            ("b.dns.example.".into(), 60, 1)
        ]
    );
}
