use proptest::prelude::*;

use super::super::{parse_name, parse_type};
use super::*;
use crate::rdata::RdataFormat;

fn origin() -> WireName {
    parse_name("dns.example.", &WireName::root()).unwrap()
}

fn parse(record_type: &str, text: &str) -> Result<Bytes, RdataError> {
    parse_rdata(parse_type(record_type).unwrap(), text, &origin())
}

#[test]
fn data_of_each_type_is_parsed_and_formatted() {
    for (record_type, text, formatted) in [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("AAAA", "2001:DB8::1", "2001:db8::1"),
        ("NS", "ns1", "ns1.dns.example."),
        ("CNAME", "@", "dns.example."),
        ("DNAME", "Other.Example.", "other.example."),
        ("PTR", "a\\.b", "a\\.b.dns.example."),
        ("MX", "10 mail", "10 mail.dns.example."),
        ("MX", "0 .", "0 ."),
        ("SRV", "1 2 5060 sip.example.", "1 2 5060 sip.example."),
        ("TXT", "a \"b c\" \\\"", "\"a\" \"b c\" \"\\\"\""),
        ("TXT", "\"\\000\\255\"", "\"\\000\\255\""),
        (
            "CAA",
            "0 issue \"ca.example; x=1\"",
            "0 issue \"ca.example; x=1\"",
        ),
        ("HTTPS", "1 . alpn=\"h2,h3\"", "1 . alpn=h2,h3"),
        ("SVCB", "0 svc", "0 svc.dns.example."),
        ("TYPE4711", "\\# 3 01 02FF", "\\# 3 0102ff"),
        ("TYPE4711", "\\# 0", "\\# 0"),
        ("A", "\\# 4 c0000201", "192.0.2.1"),
        ("DS", "\\# 5 0001080201", "1 8 2 01"),
        ("DS", "60485 5 1 ( 2bb1 83AF )", "60485 5 1 2BB183AF"),
        (
            "DS",
            "1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "1 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
        ),
        ("TLSA", "3 1 1 0123abcd", "3 1 1 0123ABCD"),
        ("SSHFP", "4 2 0123", "4 2 0123"),
        ("DNSKEY", "256 3 5 AQPSKmyn", "256 3 5 AQPSKmyn"),
        ("SMIMEA", "3 1 1 0123abcd", "3 1 1 0123abcd"),
        ("CERT", "1 2 3 AAAA", "\\# 8 0001000203000000"),
        ("CSYNC", "66 3 A NS", "66 3 A NS"),
        ("RP", "a @", "a.dns.example. dns.example."),
        ("HINFO", "PC \"a b\"", "\"PC\" \"a b\""),
    ] {
        let number = parse_type(record_type).unwrap();
        let wire = parse(record_type, text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let written = rdata_text(number, &wire);
        assert_eq!(
            parse_rdata(number, &written, &WireName::root()).unwrap(),
            wire
        );
        assert_eq!(written, formatted);
    }
}

#[test]
fn known_types_have_these_bytes() {
    for (record_type, text, wire) in [
        ("MX", "10 a.", &b"\0\x0a\x01a\0"[..]),
        ("SRV", "1 2 3 .", b"\0\x01\0\x02\0\x03\0"),
        ("HTTPS", "1 a. port=53", b"\0\x01\x01a\0\0\x03\0\x02\0\x35"),
        (
            "NAPTR",
            "1 2 s SIP+D2U \"\" a.",
            b"\0\x01\0\x02\x01s\x07SIP+D2U\0\x01a\0",
        ),
        ("CAA", "128 issue a\\;b", b"\x80\x05issuea;b"),
        ("TXT", "ab \"\"", b"\x02ab\0"),
    ] {
        assert_eq!(
            parse(record_type, text).unwrap(),
            wire,
            "{record_type} {text}"
        );
    }
}

#[test]
fn invalid_data_is_rejected_with_its_reason() {
    for (record_type, text, reason) in [
        ("A", "192.0.2.1 192.0.2.2", "trailing tokens"),
        ("A", "192.0.2", "expected IPv4 address"),
        ("A", "", "unexpected end of entry"),
        ("MX", "mail", "expected decimal number"),
        ("MX", "65536 mail", "decimal number overflow"),
        ("CNAME", "a..b", "its data is not valid for CNAME"),
        ("TXT", "", "unexpected end of entry"),
        ("TXT", "\\300", "illegal escape sequence"),
        ("TXT", "\"a", "a quote is not closed"),
        ("TXT", "a\nb", "a record must be on one line"),
        ("TXT", "(\na", "a parenthesis is not closed"),
        ("A", "\\# 3 010203", "its data is not valid for A"),
        ("TYPE4711", "\\# 3 0102", "incorrect length"),
        ("TYPE4711", "x", "write \\#, the number of bytes"),
        ("DS", "1 8 2 0", "uneven number of hex digits"),
        ("SMIMEA", "3 1 1 x", "SMIMEA"),
    ] {
        let error = parse(record_type, text).unwrap_err().to_string();
        assert!(error.contains(reason), "{record_type} {text}: {error}");
    }
    assert_eq!(
        parse("A", "192.0.2").unwrap_err().to_string(),
        "\"192.0.2\" is not valid A data: expected IPv4 address"
    );
    let long = format!("\"{}\"", "a".repeat(256));
    let error = parse("TXT", &long).unwrap_err().to_string();
    assert!(error.ends_with("bad charstr"), "{error}");
}

proptest! {
    /// All stored data is formatted so that an operator can set it again.
    #[test]
    fn formatted_data_parses_to_the_same_bytes(
        record_type in prop_oneof![Just(5u16), Just(15), Just(16), Just(33), Just(64), Just(257), Just(35), any::<u16>()],
        wire in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let text = rdata_text(record_type, &wire);
        if let Ok(parsed) = parse_rdata(record_type, &text, &WireName::root()) {
            match RdataFormat::of(record_type) {
                None => prop_assert_eq!(&parsed[..], &wire[..]),
                Some(_) => prop_assert!(parsed.eq_ignore_ascii_case(&wire)),
            }
        }
    }

    #[test]
    fn no_text_causes_a_panic(record_type in 0u16..300, text in "[ -~\\n\\t]{0,40}") {
        let _ = parse_rdata(record_type, &text, &origin());
    }
}
