use std::future::Future;

use prometheus::Registry;
use quorate_packet::SignedPacket;

use super::*;
use crate::{
    Config, Listener,
    fake::{FakeReplica, metrics, packet},
    router, with_cors,
};

/// How long a test waits for what must happen, before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A timeout that a test lets pass.
const SHORT: Duration = Duration::from_millis(150);

/// A relay on a real socket.
struct Fixture {
    replica: Arc<FakeReplica>,
    metrics: ServerMetrics,
    server: Server,
}

impl Fixture {
    async fn new(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::new("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        let replica = FakeReplica::new();
        let router = with_cors(router(replica.clone(), Config::default(), metrics()));
        let metrics = ServerMetrics::register(&Registry::new(), Listener::Public).unwrap();
        let server = config.bind().await.unwrap().serve(router, metrics.clone());
        Self {
            replica,
            metrics,
            server,
        }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.server.local_addr()).await.unwrap())
    }
}

/// A client that speaks byte by byte.
struct Client(TcpStream);

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// All until the server closes the connection.
    async fn read_to_end(&mut self) -> String {
        let mut answer = Vec::new();
        let read = self.0.read_to_end(&mut answer);
        // A reset ends the connection too.
        let _ = within("the server closes the connection", read).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The head of one answer, whose body has `Content-Length` bytes.
    async fn read_answer(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let byte = within("an answer comes", self.0.read_u8()).await;
            head.push(char::from(byte.unwrap()));
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        within("the body comes", self.0.read_exact(&mut body))
            .await
            .unwrap();
        head
    }

    async fn get(&mut self) -> String {
        self.send(GET).await;
        self.read_answer().await
    }
}

const GET: &str =
    "GET /yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy HTTP/1.1\r\nHost: a\r\n\r\n";

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("in vain waited until {what}"),
    }
}

fn put_head(packet: &SignedPacket, length: usize) -> String {
    let key = packet.key();
    format!("PUT /pkarr/{key} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

fn sample() -> SignedPacket {
    packet(1, 1_700_000_000_000_000, "x", 30)
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let relay = Fixture::new(|_| ()).await;
    let packet = sample();
    let mut client = relay.connect().await;
    for _ in 0..3 {
        client.send(put_head(&packet, packet.payload().len())).await;
        client.send(packet.payload()).await;
        assert!(client.read_answer().await.starts_with("HTTP/1.1 204 "));
        assert!(client.get().await.starts_with("HTTP/1.1 404 "));
    }
    assert_eq!(relay.metrics.connections.get(), 1);
}

/// RFC 9110, sections 8.6 and 15.4.5; a pkarr client asks again when it reads 0.
#[tokio::test]
async fn answers_that_have_no_body_claim_no_length() {
    let relay = Fixture::new(|_| ()).await;
    let packet = sample();
    let mut client = relay.connect().await;
    client.send(put_head(&packet, packet.payload().len())).await;
    client.send(packet.payload()).await;
    let stored = client.read_answer().await;
    let get = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n",
        packet.key()
    );
    client.send(get).await;
    let not_modified = client.read_answer().await;
    assert!(stored.contains(" 204 ") && not_modified.contains(" 304 "));
    for head in [stored, not_modified] {
        let head = head.to_lowercase();
        assert!(!head.contains("content-length"), "{head}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_read_whole() {
    let relay = Fixture::new(|_| ()).await;
    let packet = sample();
    let mut client = relay.connect().await;
    let head = format!(
        "PUT /{} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        packet.key()
    );
    client.send(head).await;
    for chunk in packet.payload().chunks(40) {
        client.send(format!("{:x}\r\n", chunk.len())).await;
        client.send(chunk).await;
        client.send("\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    assert!(client.read_answer().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_head_is_cut_off() {
    let relay = Fixture::new(|config| config.header_read_timeout = SHORT).await;
    for begin in ["", "GET", "GET / HTTP/1.1\r\nHost: a\r\nX:"] {
        let mut client = relay.connect().await;
        client.send(begin).await;
        let answer = client.read_to_end().await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    let mut client = relay.connect().await;
    client.get().await;
    assert_eq!(client.read_to_end().await, "", "idle counts as slow");
}

#[tokio::test]
async fn a_client_that_drips_its_head_is_cut_off() {
    let relay = Fixture::new(|config| config.header_read_timeout = SHORT).await;
    let Client(stream) = relay.connect().await;
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        writer.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        let mut tick = tokio::time::interval(SHORT / 5);
        loop {
            tick.tick().await;
            if writer.write_all(b"x").await.is_err() {
                break;
            }
        }
    });
    let mut answer = Vec::new();
    let _ = within("it is cut off", reader.read_to_end(&mut answer)).await;
    within("its writes fail", drip).await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_body_is_told_and_cut_off() {
    let relay = Fixture::new(|config| config.body_read_timeout = SHORT).await;
    let packet = sample();
    let mut client = relay.connect().await;
    client.send(put_head(&packet, packet.payload().len())).await;
    client.send(&packet.payload()[..10]).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("did not arrive"), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let relay = Fixture::new(|config| config.write_timeout = SHORT).await;
    let mut client = relay.connect().await;
    let pushed = async { while client.0.write_all(GET.as_bytes()).await.is_ok() {} };
    within("its writes fail", pushed).await;
}

#[tokio::test]
async fn a_truncated_body_stores_nothing() {
    let relay = Fixture::new(|_| ()).await;
    let packet = sample();
    let mut client = relay.connect().await;
    client.send(put_head(&packet, packet.payload().len())).await;
    client.send(&packet.payload()[..100]).await;
    client.0.shutdown().await.unwrap();
    let answer = client.read_to_end().await;
    assert!(!answer.contains(" 204 "), "{answer}");
    assert_eq!(*relay.replica.put_count.borrow(), 0);
    assert!(relay.connect().await.get().await.contains(" 404 "));
}

#[tokio::test]
async fn a_client_that_sends_too_much_reads_why() {
    let relay = Fixture::new(|_| ()).await;
    for size in [1073, 8_000, 60_000] {
        let mut client = relay.connect().await;
        client.send(put_head(&sample(), size)).await;
        client.send(vec![0; size]).await;
        let answer = client.read_answer().await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{size}: {answer}");
        assert!(client.get().await.contains(" 404 "), "it may go on");
    }
    let mut client = relay.connect().await;
    client.send(put_head(&sample(), 1_000_000_000)).await;
    let answer = client.read_answer().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "unread: {answer}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let relay = Fixture::new(|_| ()).await;
    let mut client = relay.connect().await;
    let field = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(BUFFER_SIZE_MAX));
    client.send(field).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn garbage_is_refused() {
    let relay = Fixture::new(|_| ()).await;
    let mut client = relay.connect().await;
    client.send([0x16, 0x03, 0x01, 0x00, 0xff, 0xff]).await;
    client.send("\r\n\r\n").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn connections_over_the_cap_are_told_and_find_room_later() {
    let relay = Fixture::new(|config| config.connection_count_max = 2).await;
    let mut first = relay.connect().await;
    let mut second = relay.connect().await;
    first.get().await;
    second.get().await;

    let mut third = relay.connect().await;
    let answer = third.read_answer().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Access-Control-Allow-Origin: *"));
    assert!(answer.contains("Retry-After: 1"));
    for _ in 0..3 {
        // A connection closed already would be reset, which can take the answer back.
        third.send(GET).await;
    }
    assert_eq!(relay.metrics.refused.get(), 1);
    assert_eq!(relay.metrics.connections.get(), 2);
    assert!(first.get().await.contains(" 404 "), "the others go on");

    drop(first);
    within("there is room", async {
        while !relay.connect().await.get().await.contains(" 404 ") {}
    })
    .await;
}

#[tokio::test]
async fn a_put_under_way_is_answered_at_shutdown() {
    let relay = Fixture::new(|config| {
        config.drain_timeout = 2 * PATIENCE;
        config.header_read_timeout = 2 * PATIENCE;
    })
    .await;
    let packet = sample();
    let address = relay.server.local_addr();
    let mut idle = relay.connect().await;
    idle.get().await;
    relay.replica.answering.send_replace(false);
    let mut client = relay.connect().await;
    client.send(put_head(&packet, packet.payload().len())).await;
    client.send(packet.payload()).await;
    let mut put_count = relay.replica.put_count.subscribe();
    within("the PUT has come", put_count.wait_for(|count| *count == 1))
        .await
        .unwrap();

    let shutdown = tokio::spawn(relay.server.shutdown());
    assert_eq!(idle.read_to_end().await, "", "idle connections end at once");
    within("the address is free", async {
        while TcpStream::connect(address).await.is_ok() {}
    })
    .await;
    relay.replica.answering.send_replace(true);
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    within("the server has ended", shutdown).await.unwrap();
    assert_eq!(relay.metrics.connections.get(), 0);
}

#[tokio::test]
async fn a_shutdown_waits_no_longer_than_the_drain_limit() {
    let relay = Fixture::new(|config| config.drain_timeout = SHORT).await;
    let packet = sample();
    relay.replica.answering.send_replace(false);
    let mut client = relay.connect().await;
    client.send(put_head(&packet, packet.payload().len())).await;
    client.send(packet.payload()).await;
    let mut put_count = relay.replica.put_count.subscribe();
    within("the PUT has come", put_count.wait_for(|count| *count == 1))
        .await
        .unwrap();
    let begun = std::time::Instant::now();
    within("the server has ended", relay.server.shutdown()).await;
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(client.read_to_end().await, "");
    assert_eq!(relay.metrics.connections.get(), 0);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let relay = Fixture::new(|_| ()).await;
    let address = relay.server.local_addr();
    let error = ServerConfig::new(address).bind().await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn the_pkarr_client_publishes_and_resolves() {
    let relay = Fixture::new(|_| ()).await;
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
