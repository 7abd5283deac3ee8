use hickory_proto::rr::{RData, RecordType};

use crate::fixture::{
    KEY, Response, answer_in, authority, name, packet, packet_of, question, record, wire_name,
};

fn ask(records: &[String], query: &str, size_max: usize) -> Response {
    let records = records.iter().map(|text| record(text)).collect();
    let (authority, query) = (authority(&["dns.test."]), question(query));
    answer_in(&authority, Some(&packet(records)), &query, size_max)
}

/// RFC 1035, section 4.1.4: 16 bytes for each record, whatever the case of its name.
#[test]
fn the_owner_is_a_pointer_to_the_question() {
    let records: Vec<String> = (0..26)
        .map(|host| format!("Www.KEY. 30 A 192.0.2.{host}"))
        .collect();
    let answer = ask(&records, "wWW.KEY.dns.test. A", 512);
    assert!(answer.is_complete);
    let question_size = 4 + 53 + 10 + 4;
    assert_eq!(answer.bytes.len(), 12 + question_size + 26 * 16);
    assert_eq!(answer.bytes[12 + question_size..][..2], [0xc0, 12]);
}

/// RFC 2181, section 9: a set is never written partially.
#[test]
fn a_set_that_does_not_fit_is_left_out_completely() {
    let records: Vec<String> = (0..26)
        .map(|host| format!("www.KEY. 30 A 192.0.2.{host}"))
        .chain(["alias.KEY. 30 CNAME www.KEY.".to_owned()])
        .collect();
    let complete = ask(&records, "www.KEY.dns.test. A", 512);
    let cut = ask(&records, "www.KEY.dns.test. A", complete.bytes.len() - 1);
    assert!(!cut.is_complete && cut.records().is_empty());
    let cut = ask(&records, "alias.KEY.dns.test. A", 300);
    assert!(!cut.is_complete);
    assert_eq!(cut.records().len(), 1, "the alias fits");
}

/// RFC 9471, section 3.1; clients can query for other additional records.
#[test]
fn only_required_glue_makes_an_answer_incomplete() {
    let addresses = |host: &str| -> Vec<String> {
        (0..20)
            .map(|at| format!("{host} 30 AAAA 2001:db8::{at}"))
            .collect()
    };
    let mut records = vec!["s.KEY. 30 NS ns.s.KEY.".to_owned()];
    records.extend(addresses("ns.s.KEY."));
    let required = ask(&records, "x.s.KEY.dns.test. A", 300);
    assert!(!required.is_complete && required.message.additionals.is_empty());
    let mut records = vec!["s.KEY. 30 NS ns.KEY.".to_owned()];
    records.extend(addresses("ns.KEY."));
    let optional = ask(&records, "x.s.KEY.dns.test. A", 300);
    assert!(optional.is_complete && optional.message.additionals.is_empty());
    assert_eq!(optional.message.authorities.len(), 1);
    let all = ask(&records, "x.s.KEY.dns.test. A", 1232);
    assert_eq!(all.message.additionals.len(), 20);
}

/// RFC 3597, section 4: only types that every reader knows may have compressed names in their data.
#[test]
fn only_old_types_have_compressed_names_in_data() {
    let size = |record_type: &str, data: &str| {
        let records = [format!("s.KEY. 30 {record_type} {data}h.KEY.")];
        let answer = ask(&records, &format!("s.KEY.dns.test. {record_type}"), 512);
        let question_size = 2 + 53 + 10 + 4;
        answer.bytes.len() - (12 + question_size) - 12
    };
    let compressed = 2 + 2;
    let complete = 2 + 53 + 10;
    assert_eq!(size("CNAME", ""), compressed);
    assert_eq!(size("MX", "1 "), 2 + compressed);
    assert_eq!(size("SRV", "1 2 3 "), 6 + complete);
    assert_eq!(size("SVCB", "1 "), 2 + complete);
    assert_eq!(size("DNAME", ""), complete);
}

/// A packet's compression is kept: names that the packet has only once are written only once.
#[test]
fn names_outside_the_zone_are_written_once() {
    let records: Vec<String> = (0..10)
        .map(|at| format!("KEY. 30 MX {at} mail.a-provider-of-mail.example."))
        .collect();
    let answer = ask(&records, "KEY.dns.test. MX", 512);
    let target = 5 + 19 + 9;
    let question_size = 53 + 10 + 4;
    assert_eq!(
        answer.bytes.len(),
        12 + question_size + 9 * 16 + 14 + target
    );
}

/// A name below the bare key and the same name below the origin share their labels in the packet,
/// but not in the answer.
#[test]
fn names_under_the_origin_and_others_share_no_pointers() {
    let records = ["a.KEY. 30 CNAME b.KEY.", "b.KEY. 30 PTR b.KEY."].map(str::to_owned);
    let answer = ask(&records, "a.KEY.dns.test. PTR", 512);
    let expected = [
        format!("a.{KEY}.dns.test. 30 IN CNAME b.{KEY}.dns.test."),
        format!("b.{KEY}.dns.test. 30 IN PTR b.{KEY}."),
    ];
    let lines: Vec<String> = answer.records().iter().map(ToString::to_string).collect();
    assert_eq!(lines, expected);
}

/// RFC 3597, section 4: a pointer is only valid in its own message.
#[test]
fn names_in_data_of_old_types_are_unpacked() {
    let name_at = 12 + 4;
    let short = wire_name(&name("KEY."));
    // Type, bytes before the pointers to the key, number of pointers.
    let cases: [(u16, &[u8], usize); 13] = [
        (3, b"", 1),
        (4, b"", 1),
        (7, b"", 1),
        (8, b"", 1),
        (9, b"", 1),
        (14, b"", 2),
        (17, b"", 2),
        (18, &[0, 1], 1),
        (21, &[0, 1], 1),
        (26, &[0, 1], 2),
        (35, b"\0\x01\0\x02\x01s\x02ab\0", 1),
        (36, &[0, 1], 1),
        (23, b"", 1),
    ];
    for (record_type, before, count) in cases {
        let mut dns = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        dns.extend(b"\x03old");
        dns.extend(&short);
        dns.extend(record_type.to_be_bytes());
        dns.extend([0, 1, 0, 0, 0, 30]);
        let pointers = [0xc0, name_at].repeat(count);
        dns.extend(((before.len() + pointers.len()) as u16).to_be_bytes());
        dns.extend(before);
        dns.extend(pointers);
        let query = question(&format!("old.KEY.dns.test. TYPE{record_type}"));
        let authority = authority(&["dns.test."]);
        let answer = answer_in(&authority, Some(&packet_of(&dns)), &query, 512);
        assert_eq!(answer.records().len(), 1, "type {record_type}");
        let unpacked = [before, &short.repeat(count)].concat();
        match &answer.records()[0].data {
            RData::NAPTR(naptr) => assert_eq!(naptr.replacement, name("KEY.")),
            RData::Unknown { rdata, .. } => assert_eq!(rdata.anything, unpacked),
            data => panic!("type {record_type} is {data:?}"),
        }
        assert_eq!(
            answer.records()[0].record_type(),
            RecordType::from(record_type)
        );
    }
}

/// If the names of a record are not where its type has them, readers would misread the record.
#[test]
fn malformed_data_is_left_out() {
    for rdata in [&b"\xc0\x10x"[..], b"\xc0\x80", b"\x05abc", b""] {
        let mut dns = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        dns.extend(b"\x03old");
        dns.extend(wire_name(&name("KEY.")));
        dns.extend([0, 7, 0, 1, 0, 0, 0, 30, 0, rdata.len() as u8]);
        dns.extend(rdata);
        let query = question("old.KEY.dns.test. TYPE7");
        let answer = answer_in(
            &authority(&["dns.test."]),
            Some(&packet_of(&dns)),
            &query,
            512,
        );
        assert!(answer.records().is_empty(), "{rdata:?}");
    }
}
