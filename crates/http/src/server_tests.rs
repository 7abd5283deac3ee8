use std::{future::Future, io, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use bytes::Bytes;
use quorate_metrics::Registry;
use tokio::{
    io::AsyncReadExt,
    sync::watch,
    time::{interval, timeout},
};

use super::*;
use crate::{BodyError, read_body, text, with_cors};

/// How long a test waits for what must happen, before it fails.
const LONG: Duration = Duration::from_secs(20);

/// A timeout that a test lets pass.
const SHORT: Duration = Duration::from_millis(150);

/// How long a body may be.
const BODY_SIZE_MAX: usize = 1000;

const GET: &str = "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server on a real socket. It takes bodies at `/body`, and at `/plain` as any router does, answers at `/gate` while the gate is open,
/// and refuses unread bodies at `/unread`.
struct Fixture {
    metrics: Metrics,
    gate: Gate,
    server: Server,
}

#[derive(Clone)]
struct Gate {
    is_open: watch::Sender<bool>,
    /// How many requests have come to it.
    count: watch::Sender<usize>,
}

async fn take(request: Request<Body>) -> Response {
    match read_body(request.into_body(), BODY_SIZE_MAX).await {
        Ok(body) => body.into_response(),
        Err(error @ BodyError::TooLong) => text(StatusCode::PAYLOAD_TOO_LARGE, error),
        Err(error) => text(StatusCode::REQUEST_TIMEOUT, error),
    }
}

async fn pass(State(gate): State<Gate>) -> StatusCode {
    gate.count.send_modify(|count| *count += 1);
    let mut is_open = gate.is_open.subscribe();
    is_open.wait_for(|is_open| *is_open).await.unwrap();
    StatusCode::NO_CONTENT
}

impl Fixture {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(([127, 0, 0, 1], 0).into());
        change(&mut config);
        let gate = Gate {
            is_open: watch::Sender::new(true),
            count: watch::Sender::new(0),
        };
        let router = Router::new()
            .route("/body", put(take))
            .route("/plain", put(async |body: Bytes| body))
            .route("/unread", put(async || StatusCode::FORBIDDEN))
            .route("/gate", get(pass))
            .with_state(gate.clone());
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let bound = config.bind().await.unwrap();
        Self {
            server: bound.serve(with_cors(router), Name::Public, &metrics),
            metrics,
            gate,
        }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.server.local_addr()).await.unwrap())
    }

    fn open_count(&self) -> i64 {
        self.metrics.connections_open.of(Name::Public).get()
    }

    /// Makes a request that waits at the gate.
    async fn wait_at_gate(&self) -> Client {
        self.gate.is_open.send_replace(false);
        let mut client = self.connect().await;
        client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut count = self.gate.count.subscribe();
        within("it has come", count.wait_for(|count| *count == 1))
            .await
            .unwrap();
        client
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

    /// The header of one answer, whose body has `Content-Length` bytes.
    async fn read_answer(&mut self) -> String {
        let mut header = String::new();
        while !header.ends_with("\r\n\r\n") {
            let byte = within("an answer comes", self.0.read_u8()).await;
            header.push(char::from(byte.unwrap()));
        }
        let length = header.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        within("the body comes", self.0.read_exact(&mut body))
            .await
            .unwrap();
        header
    }

    async fn get(&mut self) -> String {
        self.send(GET).await;
        self.read_answer().await
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("in vain waited until {what}"),
    }
}

fn put_header(path: &str, length: usize) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Fixture::new(|_| ()).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send(put_header("/body", 3)).await;
        client.send("abc").await;
        assert!(client.read_answer().await.starts_with("HTTP/1.1 200 "));
        assert!(client.get().await.starts_with("HTTP/1.1 404 "));
    }
    assert_eq!(server.open_count(), 1);
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_header_is_cut_off() {
    let server = Fixture::new(|config| config.header_read_timeout = SHORT).await;
    for begin in ["", "GET", "GET / HTTP/1.1\r\nHost: a\r\nX:"] {
        let mut client = server.connect().await;
        client.send(begin).await;
        let answer = client.read_to_end().await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    let mut client = server.connect().await;
    client.get().await;
    assert_eq!(client.read_to_end().await, "", "idle counts as slow");
}

#[tokio::test]
async fn a_client_that_drips_its_header_is_cut_off() {
    let server = Fixture::new(|config| config.header_read_timeout = SHORT).await;
    let Client(stream) = server.connect().await;
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        writer.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        let mut tick = interval(SHORT / 5);
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
    let server = Fixture::new(|config| config.body_read_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send(put_header("/body", 100)).await;
    client.send([0; 10]).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("did not arrive"), "{answer}");
}

/// The timeout is the server's: a router that knows nothing of it is safe too.
#[tokio::test]
async fn a_slow_body_is_cut_off_whoever_reads_it() {
    let server = Fixture::new(|config| config.body_read_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send(put_header("/plain", 100)).await;
    client.send([0; 10]).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// The timeout is one for the whole body, whatever it makes of progress.
#[tokio::test]
async fn a_client_that_drips_its_body_is_told_and_cut_off() {
    let server = Fixture::new(|config| config.body_read_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send(put_header("/body", 100)).await;
    let Client(stream) = client;
    let (reader, mut writer) = stream.into_split();
    let mut tick = interval(SHORT / 5);
    let drip = async {
        for _ in 0..20 {
            tick.tick().await;
            let _ = writer.write_all(b"x").await;
        }
    };
    drip.await;
    let mut client = Client(reader.reunite(writer).unwrap());
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let server = Fixture::new(|config| config.write_timeout = SHORT).await;
    let mut client = server.connect().await;
    let pushed = async { while client.0.write_all(GET.as_bytes()).await.is_ok() {} };
    within("its writes fail", pushed).await;
}

#[tokio::test]
async fn a_client_that_sends_too_much_reads_why() {
    let server = Fixture::new(|_| ()).await;
    for size in [BODY_SIZE_MAX + 1, 8_000, 60_000] {
        let mut client = server.connect().await;
        client.send(put_header("/body", size)).await;
        client.send(vec![0; size]).await;
        let answer = client.read_answer().await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{size}: {answer}");
        assert!(client.get().await.contains(" 404 "), "it may go on");
    }
    let mut client = server.connect().await;
    client.send(put_header("/body", 1_000_000_000)).await;
    let answer = client.read_answer().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "unread: {answer}");
}

/// As most clients do: all of the request first, then the answer. A server that closes on what it
/// has not read breaks the pipe, and takes the answer back.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_still_writing_when_it_is_refused_reads_the_whole_answer() {
    const PIECE_SIZE: usize = 64 * 1024;
    const PIECE_COUNT: usize = 64;

    let server = Fixture::new(|_| ()).await;
    let long = put_header("/body", PIECE_SIZE * PIECE_COUNT);
    let unread = put_header("/unread", PIECE_SIZE * PIECE_COUNT);
    let chunked = "PUT /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n";
    let endless = "GET / HTTP/1.1\r\nX: ";
    for (header, status) in [
        (&*long, "413"),
        (&*unread, "403"),
        (chunked, "413"),
        (endless, "431"),
    ] {
        for _ in 0..5 {
            let mut client = server.connect().await;
            client.send(header).await;
            for _ in 0..PIECE_COUNT {
                client.send([b'x'; PIECE_SIZE]).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let answer = client.read_answer().await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            let mut rest = Vec::new();
            let read = client.0.read_to_end(&mut rest);
            within("it is closed in order", read).await.unwrap();
            assert_eq!(rest, b"", "the answer was whole");
        }
    }
}

/// Nothing is left to read where the client was silent, so nobody is waited for. The best of five
/// counts, since a busy machine is slow too.
#[tokio::test]
async fn an_idle_client_is_not_waited_for() {
    let mut shortest = LONG;
    for _ in 0..5 {
        let server = Fixture::new(|config| config.drain_timeout = LONG).await;
        let mut client = server.connect().await;
        client.send(put_header("/body", 3)).await;
        client.send("abc").await;
        client.read_answer().await;
        let begun = std::time::Instant::now();
        server.server.shutdown().await;
        shortest = shortest.min(begun.elapsed());
        assert_eq!(client.read_to_end().await, "");
    }
    assert!(shortest < Duration::from_millis(900), "{shortest:?}");
}

#[tokio::test]
async fn a_header_that_is_too_long_is_refused() {
    let server = Fixture::new(|_| ()).await;
    let mut client = server.connect().await;
    let field = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(BUFFER_SIZE_MAX));
    client.send(field).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn garbage_is_refused() {
    let server = Fixture::new(|_| ()).await;
    let mut client = server.connect().await;
    client.send([0x16, 0x03, 0x01, 0x00, 0xff, 0xff]).await;
    client.send("\r\n\r\n").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn connections_over_the_cap_are_told_and_find_room_later() {
    let server = Fixture::new(|config| config.connection_count_max = 2).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    first.get().await;
    second.get().await;

    let mut third = server.connect().await;
    let answer = third.read_answer().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Access-Control-Allow-Origin: *"));
    assert!(answer.contains("Retry-After: 1"));
    for _ in 0..3 {
        // A connection closed already would be reset, which can take the answer back.
        third.send(GET).await;
    }
    let refused = &server.metrics.connections_refused_total;
    assert_eq!(refused.of(Name::Public).get(), 1);
    assert_eq!(server.open_count(), 2);
    assert!(first.get().await.contains(" 404 "), "the others go on");

    drop(first);
    within("there is room", async {
        while !server.connect().await.get().await.contains(" 404 ") {}
    })
    .await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_at_shutdown() {
    let server = Fixture::new(|config| {
        config.drain_timeout = 2 * LONG;
        config.header_read_timeout = 2 * LONG;
    })
    .await;
    let address = server.server.local_addr();
    let mut idle = server.connect().await;
    idle.get().await;
    let mut client = server.wait_at_gate().await;

    let shutdown = tokio::spawn(server.server.shutdown());
    assert_eq!(idle.read_to_end().await, "", "idle connections end at once");
    within("the address is free", async {
        while TcpStream::connect(address).await.is_ok() {}
    })
    .await;
    server.gate.is_open.send_replace(true);
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    within("the server has ended", shutdown).await.unwrap();
    assert_eq!(server.metrics.connections_open.of(Name::Public).get(), 0);
}

#[tokio::test]
async fn a_shutdown_waits_no_longer_than_the_drain_limit() {
    let server = Fixture::new(|config| config.drain_timeout = SHORT).await;
    let mut client = server.wait_at_gate().await;
    let begun = std::time::Instant::now();
    within("the server has ended", server.server.shutdown()).await;
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(client.read_to_end().await, "");
    assert_eq!(server.metrics.connections_open.of(Name::Public).get(), 0);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = Fixture::new(|_| ()).await;
    let address = server.server.local_addr();
    let error = Config::new(address).bind().await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let server = Fixture::new(|_| ()).await;
    let mut client = server.connect().await;
    let mut ids = Vec::new();
    for given in [
        "",
        "X-Request-Id: \r\n",
        "X-Request-Id: two words\r\n",
        &format!("X-Request-Id: {}\r\n", "x".repeat(65)),
    ] {
        let get = format!("GET /nothing HTTP/1.1\r\nHost: a\r\n{given}\r\n");
        client.send(get).await;
        ids.push(request_id(&client.read_answer().await).to_owned());
    }
    assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");

    let given = "01890a5d-ac96-774b-bcce-b302099a8057";
    let get = format!("GET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-Id: {given}\r\n\r\n");
    client.send(get).await;
    let answer = client.read_answer().await;
    assert_eq!(request_id(&answer), given);
    let exposed = answer
        .lines()
        .find(|line| line.starts_with("access-control-expose-headers"));
    assert!(exposed.unwrap().contains("X-Request-Id"), "{answer}");
}

fn request_id(answer: &str) -> &str {
    let mut lines = answer.lines();
    let id = lines.find_map(|line| line.strip_prefix("x-request-id: "));
    id.expect(answer)
}
