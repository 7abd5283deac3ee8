use crate::fixture::{answer, authority, check, packet, record, text};

const HOSTS: [&str; 3] = [
    "h.KEY. 20 A 192.0.2.9",
    "h.KEY. 20 AAAA 2001:db8::9",
    "i.KEY. 30 A 192.0.2.10",
];
const ADDRESSES: [&str; 3] = [
    "additional h.KEY.dns.test. 20 IN A 192.0.2.9",
    "additional h.KEY.dns.test. 20 IN AAAA 2001:db8::9",
    "additional i.KEY.dns.test. 30 IN A 192.0.2.10",
];

fn check_hosts(data: &[&str], expected: &[&str]) {
    let record_type = data[0].split(' ').next().unwrap();
    let owner = data.iter().map(|data| format!("s.KEY. 60 {data}"));
    let owner: Vec<String> = owner.collect();
    let records = owner.iter().map(String::as_str).chain(HOSTS);
    let records: Vec<&str> = records.collect();
    let answered = expected
        .iter()
        .map(|data| format!("s.KEY.dns.test. 60 IN {data}"));
    let answered: Vec<String> = answered.collect();
    let lines = answered.iter().map(String::as_str).chain(ADDRESSES);
    let lines: Vec<&str> = std::iter::once("records").chain(lines).collect();
    check(&records, &format!("s.KEY.dns.test. {record_type}"), &lines);
}

/// RFC 1035, section 3.3.9; RFC 2782; RFC 9460, section 4.1.
#[test]
fn addresses_of_hosts_are_additional_records() {
    check_hosts(
        &["MX 10 h.KEY.", "MX 20 i.KEY.dns.test.", "MX 30 mx.test."],
        &[
            "MX 10 h.KEY.dns.test.",
            "MX 20 i.KEY.dns.test.",
            "MX 30 mx.test.",
        ],
    );
    check_hosts(
        &["SRV 1 2 3 h.KEY.", "SRV 1 2 4 h.KEY.", "SRV 2 2 3 i.KEY."],
        &[
            "SRV 1 2 3 h.KEY.dns.test.",
            "SRV 1 2 4 h.KEY.dns.test.",
            "SRV 2 2 3 i.KEY.dns.test.",
        ],
    );
    check_hosts(
        &["HTTPS 1 h.KEY. alpn=h2", "HTTPS 2 i.KEY."],
        &[
            "HTTPS 1 h.KEY.dns.test. alpn=h2,",
            "HTTPS 2 i.KEY.dns.test.",
        ],
    );
}

/// Names in the data of other types are plain data, and are not changed.
#[test]
fn names_in_data_of_other_types_are_not_changed() {
    check(
        &["p.KEY. 60 PTR h.KEY.", HOSTS[0]],
        "p.KEY.dns.test. PTR",
        &["records", "p.KEY.dns.test. 60 IN PTR h.KEY."],
    );
}

#[test]
fn two_spellings_of_a_host_are_one_record() {
    let records = [
        "KEY. 60 MX 1 h.KEY.",
        "KEY. 60 MX 1 H.KEY.dns.test.",
        HOSTS[2],
    ];
    let one = ["records", "KEY.dns.test. 60 IN MX 1 h.KEY.dns.test."];
    check(&records, "KEY.dns.test. MX", &one);
    let packet = packet(records.map(record).to_vec());
    let answer = answer(
        &authority(&["two.test."]),
        Some(&packet),
        "KEY.two.test. MX",
    );
    assert_eq!(answer.records().len(), 2, "{:?}", text(&answer));
}

/// RFC 2181, section 5.4.1: records that a cut hides are not data of the zone.
#[test]
fn hidden_addresses_stay_hidden() {
    let records = [
        "KEY. 60 MX 1 h.s.KEY.",
        "s.KEY. 60 NS ns.test.",
        "h.s.KEY. 5 A 192.0.2.1",
    ];
    let expected = ["records", "KEY.dns.test. 60 IN MX 1 h.s.KEY.dns.test."];
    check(&records, "KEY.dns.test. MX", &expected);
}
