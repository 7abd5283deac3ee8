//! Runs the scripts of `quorate-conformance` against a responder in this process.

use std::net::Ipv4Addr;

use quorate_conformance::{Script, Transport, scripts};
use quorate_dns::{DnsClient, DnsConfig, DnsMetrics, DnsTransport, Responder, SharedLimits};
use quorate_fake::{FakeReplica, received_now};
use quorate_metrics::Registry;
use quorate_packet::SignedPacket;
use quorate_replica::{CookieSecret, CookieSecrets};
use quorate_setting::{Findings, KeyPath, Merged, SettingValue, Table};

const TRANSPORTS: [(Transport, DnsTransport); 5] = [
    (Transport::Udp, DnsTransport::Udp),
    (Transport::Tcp, DnsTransport::Tcp),
    (Transport::Tls, DnsTransport::Tls),
    (Transport::Quic, DnsTransport::Quic),
    (Transport::Https, DnsTransport::Https),
];

#[test]
fn every_script_passes() {
    let mut failures = Vec::new();
    let mut count = 0;
    for script in scripts() {
        let responder = responder(&script);
        for case in &script.cases {
            for (transport, of_dns) in TRANSPORTS {
                if !case.is_for(transport) {
                    continue;
                }
                for query in &case.queries {
                    count += 1;
                    let response = respond(&responder, &query.message, of_dns);
                    failures.extend(case.check(query, transport, response.as_deref()).err());
                }
            }
        }
    }
    let failed: Vec<_> = failures.iter().map(ToString::to_string).collect();
    assert!(
        failed.is_empty(),
        "{} of {count} answers are wrong:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn respond(responder: &Responder, message: &[u8], transport: DnsTransport) -> Option<Vec<u8>> {
    let client = DnsClient {
        address: Ipv4Addr::LOCALHOST.into(),
        transport,
    };
    let mut out = Vec::new();
    responder.respond(message, &client, &mut out).map(|_| out)
}

/// A responder with the settings and packets of a script, and a secret for cookies.
fn responder(script: &Script) -> Responder {
    let file: Table = format!("[dns]\n{}", script.config)
        .parse()
        .expect("the settings are TOML");
    let (mut config, mut merged) = (DnsConfig::default(), Merged::default());
    config.merge(&file["dns"], &KeyPath::default(), &mut merged);
    assert!(merged.rejected.is_empty(), "{:?}", merged.rejected);
    let mut findings = Findings::default();
    let origins = config.origins(&KeyPath::default(), &mut findings);
    let origins = origins.unwrap_or_else(|| panic!("{}: {:?}", script.name, findings.errors));

    let replica = FakeReplica::new();
    for packet in &script.packets {
        let key = packet.key.parse().expect("the key is valid");
        let signed = SignedPacket::parse(key, packet.payload.clone());
        let signed =
            signed.unwrap_or_else(|error| panic!("{}, {}: {error}", script.name, packet.key));
        replica.store(received_now(signed));
    }
    replica.set_cookie_secrets(CookieSecrets {
        current: CookieSecret([7; 16]),
        previous: None,
    });
    let metrics = DnsMetrics::register(&Registry::new()).expect("the metrics are new");
    let responder = Responder::new(&config, origins, SharedLimits::default(), replica, metrics);
    responder.expect("the settings are valid")
}
