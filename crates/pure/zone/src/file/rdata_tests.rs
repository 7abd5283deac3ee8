use proptest::prelude::*;

use super::super::parse_type;
use super::*;

fn origin() -> WireName {
    parse_name("dns.example.", &WireName::root()).unwrap()
}

fn parse(record_type: &str, text: &str) -> Result<Bytes, RdataError> {
    parse_rdata(parse_type(record_type).unwrap(), text, &origin())
}

#[test]
fn data_of_each_type_is_parsed_and_shown_as_it_is_written() {
    for (record_type, text, shown) in [
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
        ("HTTPS", "1 . alpn=\"h2,h3\"", "1 . alpn=\"h2,h3\""),
        ("SVCB", "0 svc", "0 svc.dns.example."),
        ("TYPE4711", "\\# 3 01 02FF", "\\# 3 0102ff"),
        ("TYPE4711", "\\# 0", "\\# 0"),
        ("A", "\\# 4 c0000201", "192.0.2.1"),
        ("DS", "\\# 5 0001080201", "\\# 5 0001080201"),
    ] {
        let number = parse_type(record_type).unwrap();
        let wire = parse(record_type, text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let written = rdata_text(number, &wire);
        assert_eq!(
            parse_rdata(number, &written, &WireName::root()).unwrap(),
            wire
        );
        let plain = |text: &str| text.replace('"', "");
        match record_type {
            "HTTPS" => assert_eq!(plain(&written).trim_end_matches(','), plain(shown)),
            _ => assert_eq!(written, shown),
        }
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
fn what_is_no_data_is_refused_with_its_reason() {
    for (record_type, text, reason) in [
        ("A", "192.0.2.1 192.0.2.2", "A takes 1 words and not 2"),
        ("A", "192.0.2", "it is no A"),
        ("A", "", "A takes 1 words and not 0"),
        ("MX", "mail", "MX takes 2 words and not 1"),
        ("MX", "65536 mail", "\"65536\" is no number"),
        ("CNAME", "a..b", "a label is empty"),
        ("TXT", "", "TXT takes 1 words and not 0"),
        ("TXT", "\\300", "escapes what cannot be escaped"),
        ("TXT", "\"a", "a quote is not closed"),
        ("TXT", "a\nb", "a record is one line"),
        ("A", "\\# 3 010203", "its fields do not end"),
        ("TYPE4711", "\\# 3 0102", "what follows \\# is no number"),
        ("TYPE4711", "x", "TYPE4711 is not known by its fields"),
        ("DS", "1 8 2 00", "DS is not known by its fields"),
    ] {
        let error = parse(record_type, text).unwrap_err().to_string();
        assert!(error.contains(reason), "{record_type} {text}: {error}");
    }
    let long = format!("\"{}\"", "a".repeat(256));
    let error = parse("TXT", &long).unwrap_err().to_string();
    assert_eq!(
        error,
        "a string has 256 bytes: the most is 255; write several"
    );
}

proptest! {
    /// Whatever is stored is shown so that it can be set again.
    #[test]
    fn any_data_comes_back_from_what_is_shown(
        record_type in prop_oneof![Just(5u16), Just(15), Just(16), Just(33), Just(64), Just(257), Just(35), any::<u16>()],
        wire in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let text = rdata_text(record_type, &wire);
        if let Ok(parsed) = parse_rdata(record_type, &text, &WireName::root()) {
            prop_assert_eq!(&parsed[..], &wire[..]);
        }
    }

    #[test]
    fn no_text_makes_it_panic(record_type in 0u16..300, text in "[ -~\\n\\t]{0,40}") {
        let _ = parse_rdata(record_type, &text, &origin());
    }
}
