use quorate_setting::{Findings, KeyPath};
use quorate_zone::file::{parse_name, parse_type};

use super::*;
use crate::{DnsConfig, OriginSettings};

fn name(text: &str) -> WireName {
    parse_name(text, &WireName::root()).unwrap()
}

/// Records at `www`, an alias, an address at the apex; and a nested zone.
fn config(records: &[&str]) -> DnsConfig {
    let origin = |name: &str| OriginSettings {
        name: name.to_owned(),
        ns: vec!["ns1.dns.example".to_owned()],
        ..OriginSettings::default()
    };
    let outer = OriginSettings {
        records: records.iter().map(|&line| line.to_owned()).collect(),
        a: vec![[192, 0, 2, 1].into()],
        ns_addresses: [("ns1.dns.example".to_owned(), vec![[192, 0, 2, 2].into()])].into(),
        ..origin("dns.example")
    };
    DnsConfig {
        origins: vec![outer, origin("in.dns.example")],
        ..DnsConfig::default()
    }
}

fn findings(config: &DnsConfig) -> Findings {
    let mut findings = Findings::default();
    config.origins(&KeyPath::default(), &mut findings);
    findings
}

fn errors(config: &DnsConfig) -> Vec<String> {
    let errors = findings(config).errors.into_iter();
    errors
        .map(|found| format!("{}: {}", found.key, found.reason))
        .collect()
}

#[test]
fn configured_records_take_precedence() {
    let config = config(&[
        "www A 192.0.2.9",
        "alias CNAME www",
        "d DNAME new",
        "x.y TXT x",
    ]);
    let origins = config.origins(&KeyPath::default(), &mut Findings::default());
    let zones = ConfiguredZones::new(&origins.unwrap());
    let zone = name("dns.example");
    let check =
        |owner: &str, of_type: &str| zones.check(&zone, &name(owner), parse_type(of_type).unwrap());
    for (owner, record_type) in [
        ("www.dns.example", "TXT"),
        ("dns.example", "AAAA"),
        ("dns.example", "MX"),
        ("ns1.dns.example", "AAAA"),
        ("x.dns.example", "CNAME"),
        ("d.dns.example", "TXT"),
    ] {
        assert_eq!(check(owner, record_type), Ok(()), "{owner} {record_type}");
    }
    for (owner, record_type, taken) in [
        ("www.dns.example", "A", "A"),
        ("www.dns.example", "CNAME", ""),
        ("alias.dns.example", "TXT", ""),
        ("alias.dns.example", "CNAME", "CNAME"),
        ("dns.example", "A", "A"),
        ("ns1.dns.example", "A", "A"),
    ] {
        let error = check(owner, record_type).unwrap_err();
        let expected = match taken {
            "" => format!("{owner}. would have a CNAME together with other records"),
            taken => format!("{owner}. has records of type {taken} in the configuration"),
        };
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains("dns.origins"), "{error}");
    }
    for (owner, record_type) in [("x.d.dns.example", "TXT"), ("y.dns.example", "DNAME")] {
        let error = check(owner, record_type).unwrap_err();
        assert!(error.contains("hide"), "{error}");
    }
    let inside = check("x.in.dns.example", "TXT").unwrap_err();
    assert_eq!(
        inside,
        "x.in.dns.example. belongs to the zone in.dns.example.: set it there"
    );
    assert!(zones.check(&name("other"), &name("x.other"), 1).is_err());
    assert_eq!(zones.serials()[&zone], 1);
}

#[test]
fn records_in_zone_file_syntax_are_served() {
    let lines = [
        "www 300 A 192.0.2.1",
        "www 600 A 192.0.2.2",
        "@ MX 10 mail",
        "@ CAA 0 issue \"ca.example\"",
        "_sip._tcp SRV 1 2 5060 sip.example.org.",
        "svc HTTPS 1 . alpn=h2",
        "*.wild TXT \"a b\" c",
        "sub NS ns.example.org.",
        "old DNAME new",
        "any TYPE4711 \\# 2 0102",
    ];
    let config = config(&lines);
    assert_eq!(errors(&config), [""; 0]);
    let origins = config.origins(&KeyPath::default(), &mut Findings::default());
    let origin = &origins.unwrap()[0];
    let counts = origin.sets.values().map(|set| set.rdata.len());
    // The name server and its address, and an address of the apex.
    assert_eq!(counts.sum::<usize>(), lines.len() + 3);
    let www = &origin.sets[&(name("www.dns.example"), 1)];
    assert_eq!(
        (www.ttl_secs, www.rdata.len()),
        (300, 2),
        "a set has one TTL"
    );
    assert_eq!((origin.ttl_secs_min, origin.ttl_secs_max), (0, 604_800));
}

#[test]
fn an_error_in_a_record_is_reported_at_its_key() {
    let key = "y".repeat(52);
    for (lines, error) in [
        (
            &["a TXT x", "b A x"][..],
            "origins[0].records[1]: \"b A x\": expected IPv4 address",
        ),
        (
            &["@ SOA a b 1 2 3 4 5"],
            "origins[0].records[0]: dns.example. has its SOA and NS",
        ),
        (
            &["@ NS ns1"],
            "origins[0].records[0]: dns.example. has its SOA and NS",
        ),
        (
            &["a.example. TXT x"],
            "origins[0].records[0]: a.example. is outside dns.example.",
        ),
        (&[&format!("a.{key} TXT x")], "origins[0].records[0]: a."),
        (
            &["a CNAME b", "a TXT x"],
            "origins[0]: a.dns.example. would have a CNAME",
        ),
        (
            &["a.in TXT x"],
            "origins: origin dns.example.: a.in.dns.example. belongs to the zone in.dns.example.",
        ),
        (
            &["@ DS 1 13 2 0102"],
            "origins: origin dns.example.: the DS records of dns.example. belong to the zone above it",
        ),
        (
            &["TXT"],
            "origins[0].records[0]: \"TXT\": unexpected end of entry",
        ),
    ] {
        let found = errors(&config(lines));
        assert!(
            matches!(&found[..], [found] if found.starts_with(error)),
            "{lines:?}: {found:?}"
        );
    }
}

#[test]
fn an_error_in_a_zone_file_is_reported_with_its_line() {
    let dir = std::env::temp_dir().join(format!("quorate-zone-file-{}", std::process::id()));
    std::fs::write(&dir, "a TXT x\n\nb A nonsense\n").unwrap();
    let mut config = config(&[]);
    config.origins[0].zone_file = dir.clone();
    let found = errors(&config);
    let expected = format!(
        "origins[0].zone_file: {}: line 3: \"b A nonsense\": expected IPv4 address",
        dir.display()
    );
    assert!(found[0].starts_with(&expected), "{found:?}");
    std::fs::write(&dir, "a TXT x\nb 60 A 192.0.2.1\n").unwrap();
    let origins = config.origins(&KeyPath::default(), &mut Findings::default());
    let sets = &origins.unwrap()[0].sets;
    assert!(sets.contains_key(&(name("a.dns.example"), 16)));
    assert!(sets.contains_key(&(name("b.dns.example"), 1)));
    std::fs::remove_file(&dir).unwrap();
    let found = errors(&config);
    assert!(found[0].contains("it cannot be read"), "{found:?}");
}

#[test]
fn a_zone_without_name_servers_is_a_warning() {
    let mut config = config(&[]);
    assert_eq!(findings(&config).warnings, []);
    config.origins[1].ns.clear();
    let warnings = findings(&config).warnings;
    assert_eq!(warnings[0].key.to_string(), "origins[1].ns");
    assert!(
        warnings[0].reason.contains("cannot delegate"),
        "{warnings:?}"
    );
}
