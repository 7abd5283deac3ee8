//! A responder with a replica in memory.

use std::{net::Ipv4Addr, sync::Arc};

use quorate_dns::{
    DnsClient, DnsConfig, DnsMetrics, DnsTransport, OriginSettings, Responder, SharedLimits,
};
use quorate_fake::{FakeReplica, unverified};
use quorate_metrics::Registry;
use quorate_packet::PublicKey;
use quorate_setting::{Findings, KeyPath};

/// The key whose packet is fuzzed.
pub(crate) const KEY: PublicKey = PublicKey::from_bytes([1; 32]);

/// A zone, the root zone, and a zone inside the first.
pub(crate) const ORIGINS: [&str; 3] = ["dns.test.", ".", "inner.dns.test."];

/// The packet of [`KEY`] for targets that do not fuzz it: `_iroh` with TXT records, an alias to it,
/// a wildcard, a DNAME, a zone cut with glue, a mail host.
const PACKET: &[u8] = include_bytes!("packet.bin");

/// A responder and its replica.
pub(crate) struct Fixture {
    pub(crate) responder: Arc<Responder>,
    replica: Arc<FakeReplica>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let origins = ORIGINS.map(|name| OriginSettings {
            name: name.to_owned(),
            ns: vec![format!("ns1.{}", name.trim_start_matches('.'))],
            a: vec![Ipv4Addr::new(192, 0, 2, 1)],
            ..OriginSettings::default()
        });
        let config = DnsConfig {
            origins: origins.into(),
            ..DnsConfig::default()
        };
        let mut findings = Findings::default();
        let origins = config.origins(&KeyPath::default(), &mut findings);
        let origins = origins.expect("the settings are valid");
        let replica = FakeReplica::new();
        let metrics = DnsMetrics::register(&Registry::new()).expect("the names are new");
        let responder = Responder::new(
            &config,
            origins,
            SharedLimits::default(),
            replica.clone(),
            metrics,
        );
        let fixture = Self {
            responder: Arc::new(responder.expect("the settings are valid")),
            replica,
        };
        fixture.publish(PACKET);
        fixture
    }

    /// Replaces the DNS message that [`KEY`] has published.
    pub(crate) fn publish(&self, dns: &[u8]) {
        self.replica.store(unverified(KEY, dns));
    }

    pub(crate) fn respond(&self, message: &[u8], transport: DnsTransport) -> Option<Vec<u8>> {
        let client = DnsClient::new(Ipv4Addr::LOCALHOST.into(), transport);
        let mut out = b"old bytes".to_vec();
        let summary = self.responder.respond(message, &client, &mut out);
        summary.map(|_| out)
    }
}
