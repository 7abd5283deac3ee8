//! Real clients over TLS: iroh endpoints, the pkarr client, `curl` and `kdig`.

use std::{net::SocketAddr, process::Command, sync::Arc};

use iroh::{address_lookup::PkarrResolver, tls::CaTlsConfig};
use quorate_tests::{Cluster, Node, ORIGIN, ports, voters};
use reqwest::{Certificate as RootCertificate, Client, Url};

use crate::{
    clients::{
        bind, connect_both_ways, curl, endpoint, greeting, pkarr_client_of, wait_until_published,
    },
    encrypted::{Certificate, NAME},
    programs::{need, run},
};

/// A node with HTTPS, and DNS over TLS and QUIC.
struct SecureNode {
    node: Arc<Node>,
    cluster: Cluster,
    certificate: Certificate,
    https: SocketAddr,
    tls: SocketAddr,
    quic: SocketAddr,
}

impl SecureNode {
    async fn start() -> Self {
        let certificate = Certificate::new();
        let cluster = Cluster::prepare(&voters(1).with_config(&certificate.settings()));
        let [https, tls, quic] = std::array::from_fn(|_| ports::take_address());
        let node = cluster.node(1);
        let listen = [
            ("QUORATE_HTTP_TLS_LISTEN", https),
            ("QUORATE_DNS_TLS_LISTEN", tls),
            ("QUORATE_DNS_QUIC_LISTEN", quic),
        ];
        node.set_environment(listen.map(|(name, at)| (name.to_owned(), at.to_string())));
        node.start();
        node.wait_ready().await;
        Self {
            node,
            cluster,
            certificate,
            https,
            tls,
            quic,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.https)
    }
}

impl Drop for SecureNode {
    fn drop(&mut self) {
        [self.https, self.tls, self.quic]
            .into_iter()
            .for_each(ports::give_back);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn iroh_endpoints_find_each_other_over_https() {
    let server = SecureNode::start().await;
    let relay: Url = server.url("/pkarr").parse().expect("it is a URL");
    let bind = || async {
        let resolver = PkarrResolver::builder(relay.clone());
        let endpoint = endpoint(relay.clone()).address_lookup(resolver);
        bind(endpoint.ca_tls_config(CaTlsConfig::custom_roots([server.certificate.der()]))).await
    };
    let (alice, bob) = (bind().await, bind().await);
    for endpoint in [&alice, &bob] {
        wait_until_published(&server.node, endpoint.id()).await;
    }
    connect_both_ways(&alice, &bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pkarr_client_publishes_and_resolves_over_https() {
    let server = SecureNode::start().await;
    let client = || {
        let root = RootCertificate::from_der(&server.certificate.der()).expect("a certificate");
        pkarr_client_of(
            &server.url("/pkarr"),
            Client::builder().tls_certs_only([root]),
        )
    };
    let keys = pkarr::Keypair::random();
    let (older, newer) = (greeting(&keys, "older"), greeting(&keys, "newer"));
    client().publish(&newer).await.expect("the relay takes it");
    let network = pkarr::ResolvePolicy::NetworkOnly;
    let found = client().resolve(&keys.public_key(), network).await;
    let found = found.expect("it is there").to_relay_payload();
    assert_eq!(found, newer.to_relay_payload());
    let rejected = client().publish(&older).await.expect_err("it is older");
    assert!(rejected.to_string().contains("recent"), "{rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_a_packet_over_https_by_either_version_of_http() {
    let server = SecureNode::start().await;
    let alice = server.cluster.publisher("alice");
    alice.put(&server.node, "here").await.expect_acked();
    let plain = server.node.get(&alice.key()).await;
    let plain = plain.found().expect("it is stored");
    let url = server.url(&format!("/pkarr/{}", alice.key()));
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let authority = server.certificate.file();
    let authority = authority.to_str().expect("it is a text");
    for (flag, expected) in [("--http1.1", "http/1.1 200"), ("--http2", "http/2 200")] {
        let read = curl(&url, &[flag, "--cacert", authority], dir.path());
        assert!(read.head.starts_with(expected), "{}", read.head);
        assert_eq!(read.body, plain, "{flag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kdig_finds_records_over_tls_quic_and_https() {
    let server = SecureNode::start().await;
    let alice = server.cluster.publisher("alice");
    alice.put(&server.node, "here").await.expect_acked();
    let name = alice.name_under(ORIGIN);
    let authority = format!("+tls-ca={}", server.certificate.file().display());
    let hostname = format!("+tls-hostname={NAME}");
    for (at, transport) in [
        (server.tls, &["+tls"][..]),
        (server.quic, &["+quic"]),
        (server.https, &["+https"]),
        (server.https, &["+https", "+https-get"]),
    ] {
        let output = run(Command::new(need("kdig", "knot-dnsutils"))
            .args([&format!("@{}", at.ip()), "-p", &at.port().to_string()])
            .args([&authority, &hostname, "+short"])
            .args(transport)
            .args([&name, "TXT"]));
        assert_eq!(output, "\"here\"\n", "{transport:?}");
    }
}
