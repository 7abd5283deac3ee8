use proptest::prelude::*;

use super::super::{parse_name, rdata_text, type_text};
use super::*;

fn origin() -> WireName {
    parse_name("dns.example.", &WireName::root()).unwrap()
}

fn formatted(text: &str) -> Vec<String> {
    let records = parse(text, &origin(), 3600).unwrap().into_iter();
    let formatted = records.map(|(_, set)| {
        let data = rdata_text(set.record_type, &set.records.rdata[0]);
        let record_type = type_text(set.record_type);
        format!(
            "{} {} {record_type} {data}",
            set.owner, set.records.ttl_secs
        )
    });
    formatted.collect()
}

/// RFC 4034, section 5.3.
#[test]
fn a_ds_record_is_read_and_written_by_its_fields() {
    let digest = "0123456789ABCDEF".repeat(4);
    let expected = format!("sub.dns.example. 3600 DS 1 13 2 {digest}");
    let lower = digest.to_lowercase();
    let (start, end) = lower.split_at(20);
    for text in [
        format!("sub DS 1 13 2 {digest}"),
        format!("sub IN DS 1 13 2 {lower}"),
        format!("sub 3600 DS 1 13 2 {start} {end}"),
        format!("sub DS ( 1 13 2\n {start}\n {end} )"),
    ] {
        assert_eq!(formatted(&text).join("\n"), expected, "{text}");
    }
}

#[test]
fn a_zone_file_is_parsed_as_rfc_1035_defines() {
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
b.other.dns.example. CNAME @
*      86400 A 192.0.2.3
c      A 192.0.2.4
1h     IN 1H30m TXT 1h ; no TTL
x      TXT (
  1d @ )
y      SMIMEA ( 3 1
       1 00 )
";
    assert_eq!(
        formatted(text),
        [
            "www.dns.example. 300 A 192.0.2.1",
            "www.dns.example. 3600 A 192.0.2.2",
            "dns.example. 3600 MX 10 mail.dns.example.",
            "a.sub.dns.example. 3600 TXT \"v=DKIM1; k=rsa\" \"p=abc\"",
            "b.other.dns.example. 60 CNAME sub.dns.example.",
            "*.sub.dns.example. 86400 A 192.0.2.3",
            "c.sub.dns.example. 60 A 192.0.2.4",
            "1h.sub.dns.example. 5400 TXT \"1h\"",
            "x.sub.dns.example. 60 TXT \"1d\" \"@\"",
            "y.sub.dns.example. 60 SMIMEA 3 1 1 00",
        ]
    );
}

#[test]
fn an_error_has_the_first_invalid_line() {
    for (text, error) in [
        (
            "a A 192.0.2.1\n\nb A nonsense",
            "line 3: \"b A nonsense\": expected IPv4 address",
        ),
        (
            "a (\nMX\n10 )",
            "line 1: \"a (\\nMX\\n10 )\": unexpected end of entry",
        ),
        (
            "a A 192.0.2.1\nb MX \"10\n",
            "line 2: \"b MX \\\"10\": a quote is not closed",
        ),
        (
            "\n\n  A 192.0.2.1",
            "line 3: \"A 192.0.2.1\": the first record has no owner name",
        ),
        ("a 300 IN", "line 1: \"a 300 IN\": unexpected end of entry"),
        ("a", "line 1: \"a\": unexpected end of entry"),
        (
            "a A (\n192.0.2.1\n",
            "line 1: \"a A (\\n192.0.2.1\": a parenthesis is not closed",
        ),
        (
            "a A 192.0.2.1 )",
            "line 1: \"a A 192.0.2.1 )\": unbalanced parens",
        ),
        (
            "@ SOA a. b. 1 2 3 4 5",
            "line 1: dns.example. has its SOA and NS records from configuration",
        ),
        ("a CH TXT x", "line 1: \"a CH TXT x\": different class"),
        ("a WKS x", "line 1: \"a WKS x\": unknown record type"),
        ("a NOSUCH x", "line 1: \"a NOSUCH x\": "),
        (
            "\n$INCLUDE /etc/passwd",
            "line 2: \"$INCLUDE /etc/passwd\": $INCLUDE is not supported",
        ),
        ("$GENERATE 1-9 a A b", "line 1: \"$GENERATE 1-9 a A b\": "),
        ("$TTL soon", "line 1: \"$TTL soon\": "),
        ("$TTL 4294967296", "line 1: \"$TTL 4294967296\": "),
        ("a..b A 192.0.2.1", "line 1: \"a..b A 192.0.2.1\": a label"),
        ("a.example. A 192.0.2.1", "line 1: a.example. is outside"),
        ("a 2147483648 A 192.0.2.1", "line 1: a TTL of 2147483648 s"),
    ] {
        let found = parse(text, &origin(), 1).unwrap_err().to_string();
        assert!(found.starts_with(error), "{text:?}: {found}");
    }
}

#[test]
fn records_of_one_owner_and_type_are_a_set_with_the_smallest_ttl() {
    let text = "a 60 A 192.0.2.2\nb A 192.0.2.9\nA 30 A 192.0.2.1\na A 192.0.2.2";
    let records = parse(text, &origin(), 1).unwrap().into_iter();
    let sets = record_sets(records.map(|(_, set)| set));
    let sizes: Vec<_> = sets
        .iter()
        .map(|((owner, _), set)| (owner.to_string(), set.ttl_secs, set.rdata.len()))
        .collect();
    assert_eq!(
        sizes,
        [
            ("a.dns.example.".into(), 30, 2),
            ("b.dns.example.".into(), 60, 1)
        ]
    );
}

#[test]
fn a_record_has_the_line_on_which_it_starts() {
    let text = "; (\na TXT \"(;\" ; (\nb TXT (\n\n \"x\\\"(\"\n)\nc A 192.0.2.1\r\n\nd TXT \\( x";
    let records = parse(text, &origin(), 1).unwrap().into_iter();
    let lines: Vec<usize> = records.map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 3, 7, 9]);
}

proptest! {
    #[test]
    fn no_zone_file_causes_a_panic(text in "([ -~\\n\\t]{0,3}|@|a|b\\.|\\$ORIGIN|\\$TTL|IN|1h| A| TXT| MX| HTTPS| alpn=| CERT|\\(|\\)|\"|\\\\[0-9]{0,3}|\\\\#|é|192.0.2.1|\\n){0,20}") {
        let _ = parse(&text, &origin(), 1);
    }
}
