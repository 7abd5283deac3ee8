//! The relay on a real socket.

use std::{sync::Arc, time::Duration};

use quorate_fake::{FakeReplica, packet};
use quorate_http::listener::ListenerName;
use quorate_http::{Server, with_cors};
use quorate_metrics::Registry;
use quorate_packet::{PAYLOAD_SIZE_MAX, SignedPacket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{RelayConfig, RelayMetrics, router};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

struct Fixture {
    replica: Arc<FakeReplica>,
    server: Server,
}

impl Fixture {
    async fn new() -> Self {
        let (registry, replica) = (Registry::new(), FakeReplica::new());
        let metrics = RelayMetrics::register(&registry).unwrap();
        let router = router(replica.clone(), RelayConfig::default(), metrics);
        let listeners = quorate_http::listener::ListenerMetrics::register(&registry).unwrap();
        let config = quorate_http::HttpConfig::new(([127, 0, 0, 1], 0).into());
        let bound = config.bind().await.unwrap();
        Self {
            replica,
            server: bound.serve(with_cors(router), ListenerName::Public, &listeners),
        }
    }

    /// The relay's answer to these bytes, after which the client closes its side.
    async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.server.local_addr()).await.unwrap();
        stream.write_all(request.as_ref()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(LONG, stream.read_to_end(&mut answer)).await;
        // A reset ends the connection too.
        let _ = read.expect("the server closes the connection");
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, packet: &SignedPacket, field: &str) -> String {
        let path = packet.key();
        self.ask(format!("GET /{path} HTTP/1.1\r\nHost: a\r\n{field}\r\n"))
            .await
    }
}

fn sample() -> SignedPacket {
    packet(1, 1_700_000_000_000_000, "x", 30)
}

/// A PUT of `body`, with a header field that announces its length.
fn put(field: &str, body: &[u8]) -> Vec<u8> {
    let header = format!(
        "PUT /pkarr/{} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n",
        sample().key()
    );
    [header.as_bytes(), body].concat()
}

/// RFC 9110, sections 8.6 and 15.4.5; a pkarr client retries when it reads a length of 0.
#[tokio::test]
async fn answers_without_a_body_have_no_content_length() {
    let relay = Fixture::new().await;
    let packet = sample();
    let length = format!("Content-Length: {}", packet.payload().len());
    let stored = relay.ask(put(&length, packet.payload())).await;
    let not_modified = relay.get(&packet, "If-None-Match: *\r\n").await;
    assert!(stored.contains(" 204 ") && not_modified.contains(" 304 "));
    for header in [stored, not_modified] {
        let header = header.to_lowercase();
        assert!(!header.contains("content-length"), "{header}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_read_completely() {
    let relay = Fixture::new().await;
    let mut chunked = Vec::new();
    for chunk in sample().payload().chunks(40) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = relay.ask(put("Transfer-Encoding: chunked", &chunked)).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

#[tokio::test]
async fn a_truncated_body_stores_nothing() {
    let relay = Fixture::new().await;
    let packet = sample();
    let (payload, size) = (packet.payload(), packet.payload().len());
    // Even a complete packet is truncated if the announced length is larger.
    for (announced, sent) in [(size, 100), (size + 1, size), (PAYLOAD_SIZE_MAX, size)] {
        let length = format!("Content-Length: {announced}");
        let answer = relay.ask(put(&length, &payload[..sent])).await;
        assert!(!answer.contains(" 204 "), "{answer}");
    }
    assert_eq!(*relay.replica.put_count.borrow(), 0);
    assert!(relay.get(&packet, "").await.contains(" 404 "));
}

#[tokio::test]
async fn the_pkarr_client_publishes_and_resolves() {
    let relay = Fixture::new().await;
    let url = format!("http://{}/pkarr", relay.server.local_addr());
    let client = || {
        let mut builder = pkarr::Client::builder();
        builder.no_default_network().relays(&[&url]).unwrap();
        builder.build().unwrap()
    };
    let signer = pkarr::Keypair::from_secret_key(&[1; 32]);
    let sign = |micros: u64| {
        let builder = pkarr::SignedPacket::builder();
        builder.timestamp(micros.into()).sign(&signer).unwrap()
    };
    let packet = sign(1_700_000_000_000_001);
    client().publish(&packet).await.unwrap();
    for policy in [
        pkarr::ResolvePolicy::CacheFirst,
        pkarr::ResolvePolicy::NetworkOnly,
    ] {
        let resolved = client().resolve(&signer.public_key(), policy).await;
        assert_eq!(
            resolved.unwrap().to_relay_payload(),
            packet.to_relay_payload()
        );
    }
    let older = client().publish(&sign(1_700_000_000_000_000)).await;
    let older = older.unwrap_err();
    assert!(
        matches!(older, pkarr::errors::PublishError::NotMostRecent),
        "{older:?}"
    );
    let nobody = pkarr::Keypair::from_secret_key(&[2; 32]).public_key();
    let missing = client()
        .resolve(&nobody, pkarr::ResolvePolicy::CacheFirst)
        .await;
    assert!(
        matches!(missing, Err(pkarr::errors::ResolveError::NotFound)),
        "{missing:?}"
    );
}
