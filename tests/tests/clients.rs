//! Real clients: iroh endpoints, the pkarr client, `dig` and `curl`.

use std::{path::Path, process::Command, time::Duration};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use iroh::{
    Endpoint, EndpointId, RelayMode,
    address_lookup::{AddrFilter, DnsAddressLookup, PkarrPublisher, PkarrResolver},
    dns::{DnsResolver, NameserverConfig},
    endpoint::{Builder, presets},
};
use quorate_tests::{Cluster, Node, ORIGIN, OTHER_ORIGIN, dns, voters, wait::until};
use reqwest::Url;

use crate::programs::{need, run};

const ALPN: &[u8] = b"quorate-tests/echo/0";

/// How long an endpoint may take to publish, and two of them to connect.
const IROH_WITHIN: Duration = Duration::from_secs(30);

/// The most that an endpoint reads of what the other sends, in bytes.
const ECHO_SIZE_MAX: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn iroh_endpoints_find_each_other_through_the_http_resolver() {
    let cluster = Cluster::start(voters(3)).await;
    let (publishing, resolving) = (cluster.node(1), cluster.node(2));
    let bind = || async {
        let resolver = PkarrResolver::builder(relay_url(&resolving));
        bind(endpoint(relay_url(&publishing)).address_lookup(resolver)).await
    };
    let (alice, bob) = (bind().await, bind().await);
    for endpoint in [&alice, &bob] {
        wait_until_published(&resolving, endpoint.id()).await;
    }
    connect_both_ways(&alice, &bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn iroh_endpoints_find_each_other_through_dns() {
    let cluster = Cluster::start(voters(3)).await;
    let (publishing, resolving) = (cluster.node(1), cluster.node(3));
    let bind = || async {
        let server = resolving.addresses().dns;
        let nameserver = NameserverConfig::udp(server.ip()).with_port(server.port());
        let resolver = DnsResolver::builder()
            .add_nameserver_config(nameserver)
            .disable_fallback()
            .build();
        let lookup = DnsAddressLookup::builder(ORIGIN.to_owned());
        bind(
            endpoint(relay_url(&publishing))
                .dns_resolver(resolver)
                .address_lookup(lookup),
        )
        .await
    };
    let (alice, bob) = (bind().await, bind().await);
    for endpoint in [&alice, &bob] {
        wait_until_published(&resolving, endpoint.id()).await;
    }
    connect_both_ways(&alice, &bob).await;
}

/// Without a lookup service the same endpoints cannot find each other, so the tests above show the work
/// of the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn iroh_endpoints_without_a_lookup_service_stay_strangers() {
    let cluster = Cluster::start(voters(1)).await;
    let bind = || bind(endpoint(relay_url(&cluster.node(1))));
    let (alice, bob) = (bind().await, bind().await);
    wait_until_published(&cluster.node(1), bob.id()).await;
    let connected = alice.connect(bob.id(), ALPN).await;
    assert!(connected.is_err(), "they must have met in some other way");
}

/// An endpoint that publishes through a relay and does no lookups.
pub(crate) fn endpoint(relay: Url) -> Builder {
    let publisher = PkarrPublisher::builder(relay).addr_filter(AddrFilter::unfiltered());
    Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .expect("loopback is an address")
        .alpns(vec![ALPN.to_vec()])
        .address_lookup(publisher)
}

pub(crate) async fn bind(builder: Builder) -> Endpoint {
    builder.bind().await.expect("loopback has free ports")
}

fn relay_url(node: &Node) -> Url {
    node.url("/pkarr").parse().expect("it is a URL")
}

pub(crate) async fn wait_until_published(node: &Node, id: EndpointId) {
    let key = id.to_z32();
    until(
        &format!("the packet of {key} at {}", node.name()),
        IROH_WITHIN,
        async || {
            node.get(&key)
                .await
                .found()
                .map(|_| ())
                .ok_or_else(|| "404".to_owned())
        },
    )
    .await;
}

pub(crate) async fn connect_both_ways(alice: &Endpoint, bob: &Endpoint) {
    talk(alice, bob).await;
    talk(bob, alice).await;
    alice.close().await;
    bob.close().await;
}

/// `from` connects to `to`, of which it knows only the id, and sends bytes that are echoed.
async fn talk(from: &Endpoint, to: &Endpoint) {
    let accept = async {
        let connection = to
            .accept()
            .await
            .expect("it is open")
            .await
            .expect("a handshake");
        let (mut send, mut receive) = connection.accept_bi().await.expect("a stream");
        let bytes = receive
            .read_to_end(ECHO_SIZE_MAX)
            .await
            .expect("some bytes");
        send.write_all(&bytes).await.expect("the other end reads");
        send.finish().expect("it was not finished before");
        connection.closed().await;
        connection.remote_id()
    };
    let connect = async {
        let connection = from
            .connect(to.id(), ALPN)
            .await
            .expect("they find each other");
        let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
        send.write_all(b"over here")
            .await
            .expect("the other end reads");
        send.finish().expect("it was not finished before");
        let echo = receive
            .read_to_end(ECHO_SIZE_MAX)
            .await
            .expect("some bytes");
        connection.close(0u32.into(), b"done");
        echo
    };
    let both = async { tokio::join!(accept, connect) };
    let (caller, echo) = tokio::time::timeout(IROH_WITHIN, both)
        .await
        .expect("they talk in time");
    assert_eq!(
        (caller, echo.as_slice()),
        (from.id(), b"over here".as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pkarr_client_publishes_through_one_node_and_resolves_through_another() {
    let cluster = Cluster::start(voters(3)).await;
    let keys = pkarr::Keypair::random();
    let (first, second) = (greeting(&keys, "first"), greeting(&keys, "second"));
    let publisher = pkarr_client(&cluster.node(1));
    publisher.publish(&first).await.expect("the relay takes it");

    for policy in [
        pkarr::ResolvePolicy::NetworkOnly,
        pkarr::ResolvePolicy::CacheFirst,
    ] {
        // A new client each time, because it has a cache.
        let found = pkarr_client(&cluster.node(2))
            .resolve(&keys.public_key(), policy)
            .await;
        let found = found.unwrap_or_else(|error| panic!("{policy:?}: {error}"));
        assert_eq!(
            found.to_relay_payload(),
            first.to_relay_payload(),
            "{policy:?}"
        );
    }

    publisher
        .publish(&second)
        .await
        .expect("the relay takes a newer one");
    let reader = pkarr_client(&cluster.node(3));
    let found = reader
        .resolve(&keys.public_key(), pkarr::ResolvePolicy::NetworkOnly)
        .await;
    assert_eq!(
        found.expect("it is there").to_relay_payload(),
        second.to_relay_payload()
    );

    let rejected = pkarr_client(&cluster.node(2)).publish(&first).await;
    let rejected = rejected.expect_err("an older packet is rejected");
    assert!(rejected.to_string().contains("recent"), "{rejected}");
    let nobody = pkarr::Keypair::random().public_key();
    let absent = reader
        .resolve(&nobody, pkarr::ResolvePolicy::NetworkOnly)
        .await;
    assert!(
        matches!(absent, Err(pkarr::errors::ResolveError::NotFound)),
        "{absent:?}"
    );
}

fn pkarr_client(node: &Node) -> pkarr::Client {
    pkarr_client_of(&node.url("/pkarr"), reqwest::Client::builder())
}

/// A client of a relay that uses `http`.
pub(crate) fn pkarr_client_of(relay: &str, http: reqwest::ClientBuilder) -> pkarr::Client {
    let http = http.no_proxy().build().expect("it needs nothing");
    let mut builder = pkarr::Client::builder();
    builder.no_default_network().reqwest_client(http);
    builder.relays(&[relay]).expect("it is a URL");
    builder.build().expect("there is a relay")
}

/// The packet that this client publishes.
pub(crate) fn greeting(keys: &pkarr::Keypair, text: &str) -> pkarr::SignedPacket {
    let name = "_greeting".try_into().expect("a name");
    let text = text.try_into().expect("a text");
    let packet = pkarr::SignedPacket::builder().txt(name, text, 30);
    packet.sign(keys).expect("it is short")
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_finds_records_over_udp_and_tcp() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    alice
        .put(&cluster.node(1), "relay=https://relay.example")
        .await
        .expect_acked();
    cluster
        .nodes()
        .expect_txt(&alice, "relay=https://relay.example")
        .await;

    for node in cluster.nodes().iter() {
        for transport in ["+notcp", "+tcp"] {
            for origin in [ORIGIN, OTHER_ORIGIN] {
                let answer = dig(
                    node,
                    &[transport, "+short", "TXT", &alice.name_under(origin)],
                );
                assert_eq!(
                    answer, "\"relay=https://relay.example\"\n",
                    "{transport} {origin}"
                );
            }
        }
    }

    let node = cluster.node(2);
    let upper = alice.name_under(ORIGIN).to_uppercase();
    assert_eq!(
        dig(&node, &["+short", "TXT", &upper]),
        "\"relay=https://relay.example\"\n"
    );
    assert_eq!(dig(&node, &["+short", "A", ORIGIN]), "192.0.2.1\n");
    assert_eq!(dig(&node, &["+short", "AAAA", ORIGIN]), "2001:db8::1\n");
    assert_eq!(
        dig(&node, &["+short", "NS", ORIGIN]),
        format!("ns1.{ORIGIN}\n")
    );
    assert_eq!(
        dig(&node, &["+short", "A", &format!("ns1.{ORIGIN}")]),
        "192.0.2.53\n"
    );
    assert!(dig(&node, &["+short", "SOA", ORIGIN]).contains(&format!("hostmaster.{ORIGIN}")));
}

/// The complete output of dig for negative answers: the status, the SOA and no answer.
#[tokio::test(flavor = "multi_thread")]
async fn dig_distinguishes_no_data_from_no_such_name() {
    let cluster = Cluster::start(voters(1)).await;
    let (node, alice) = (cluster.node(1), cluster.publisher("alice"));
    alice.put(&node, "here").await.expect_acked();
    let key = alice.key();
    for (name, record_type, status) in [
        (format!("_iroh.{key}.{ORIGIN}"), "A", "NOERROR"),
        (format!("{key}.{ORIGIN}"), "TXT", "NOERROR"),
        (format!("nothing.{key}.{ORIGIN}"), "TXT", "NXDOMAIN"),
        (
            format!("_iroh.{}.{ORIGIN}", cluster.publisher("bob").key()),
            "TXT",
            "NXDOMAIN",
        ),
    ] {
        let output = dig(&node, &[record_type, &name]);
        assert!(
            output.contains(&format!("status: {status}")),
            "{name} {record_type}: {output}"
        );
        assert!(
            output.contains("ANSWER: 0, AUTHORITY: 1"),
            "{name} {record_type}: {output}"
        );
        let soa = output
            .lines()
            .find(|line| line.contains("SOA"))
            .expect("a negative has an SOA");
        assert!(soa.starts_with(ORIGIN), "{soa}");
        let flags = output
            .lines()
            .find(|line| line.contains("flags:"))
            .expect("dig shows flags");
        assert!(flags.contains(" aa"), "{flags}");
    }
    let output = dig(&node, &["A", "example.org."]);
    assert!(output.contains("status: REFUSED"), "{output}");
    let flags = output
        .lines()
        .find(|line| line.contains("flags:"))
        .expect("dig shows flags");
    assert!(!flags.contains(" aa"), "{flags}");
}

fn dig(node: &Node, arguments: &[&str]) -> String {
    let server = node.addresses().dns;
    run(Command::new(need("dig", "dnsutils"))
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), "+tries=3", "+time=3"])
        .args(arguments))
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_resolves_by_dns_over_https() {
    let cluster = Cluster::start(voters(1)).await;
    let (node, alice) = (cluster.node(1), cluster.publisher("alice"));
    alice.put(&node, "here").await.expect_acked();
    let question = dns::question(&alice.name_under(ORIGIN), RecordType::TXT);
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let file = dir.path().join("question");
    std::fs::write(&file, &question).expect("the file can be written");

    let data = format!("@{}", file.display());
    let posted = [
        "-H",
        "content-type: application/dns-message",
        "--data-binary",
        &data,
    ];
    let encoded = data_encoding::BASE64URL_NOPAD.encode(&question);
    for (arguments, query) in [
        (posted.as_slice(), String::new()),
        (&[], format!("?dns={encoded}")),
    ] {
        let answered = curl(
            &node.url(&format!("/dns-query{query}")),
            arguments,
            dir.path(),
        );
        assert_eq!(answered.status, 200, "{arguments:?}");
        assert_eq!(
            answered.content_type, "application/dns-message",
            "{arguments:?}"
        );
        assert!(
            answered.head.contains("cache-control: max-age=30"),
            "{}",
            answered.head
        );
        let message = Message::from_vec(&answered.body).expect("it is a message");
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
        assert_eq!(dns::texts(&message), ["here"], "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_gets_the_reason_of_a_bad_request() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let dns_message = "content-type: application/dns-message";
    for (path, arguments, status) in [
        ("/dns-query", &[][..], 400),
        ("/dns-query?dns=***", &[], 400),
        ("/dns-query?dns=AAAA", &[], 400),
        (
            "/dns-query",
            &["-H", "content-type: text/plain", "--data-binary", "hello"],
            415,
        ),
        (
            "/dns-query",
            &["-H", dns_message, "--data-binary", "hello"],
            400,
        ),
        ("/dns-query", &["-X", "DELETE"], 405),
        ("/pkarr/short", &[], 400),
        (
            "/pkarr/yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
            &[],
            404,
        ),
    ] {
        let answered = curl(&node.url(path), arguments, dir.path());
        assert_eq!(answered.status, status, "{path} {arguments:?}");
    }
}

/// The response that curl received.
pub(crate) struct Curled {
    pub(crate) status: u16,
    content_type: String,
    /// Status line and header fields, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn curl(url: &str, arguments: &[&str], dir: &Path) -> Curled {
    let (head, body) = (dir.join("head"), dir.join("body"));
    let output = run(Command::new(need("curl", "curl"))
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "10",
        ])
        .args(["--write-out", "%{http_code} %{content_type}"])
        .arg("--dump-header")
        .arg(&head)
        .arg("--output")
        .arg(&body)
        .args(arguments)
        .arg(url));
    let (status, content_type) = output.split_once(' ').expect("what --write-out asks for");
    Curled {
        status: status.parse().expect("a status is a number"),
        content_type: content_type.to_owned(),
        head: std::fs::read_to_string(head)
            .expect("curl wrote it")
            .to_lowercase(),
        body: std::fs::read(body).unwrap_or_default(),
    }
}
