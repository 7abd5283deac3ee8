//! A server on real sockets, and a client that sends byte by byte.

use std::time::Duration;

use crate::listener::{ListenerMetrics, ListenerName};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use bytes::Bytes;
use quorate_metrics::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    sync::watch,
    time::timeout,
};

use crate::{BodyError, HttpConfig, HttpListeners, Server, read_body, text, with_cors};

/// How long a test waits for what must happen, before it fails.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A timeout that tests wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// The longest accepted body, in bytes.
pub(crate) const BODY_SIZE_MAX: usize = 1000;

/// The size of the answer at `/large`.
pub(crate) const LARGE_SIZE: usize = 100_000;

/// How many bytes a flood sends if it is not stopped before.
pub(crate) const FLOOD_SIZE: usize = 8 * 1024 * 1024;

/// How much memory a flood may take, in bytes: a few buffers that do not grow with the flood. They
/// include the streams of a connection, the windows of its bodies, and the waiting answers.
pub(crate) const MEMORY_MAX: u64 = 1024 * 1024;

pub(crate) const GET: &str = "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server on a real socket. `/body` reads a body with `read_body`, and `/plain` with axum.
/// `/gate` answers when the gate is open, and `/stream` streams until then. `/unread` rejects a
/// body without reading it, and `/client` returns the address of the client.
pub(crate) struct Fixture {
    pub(crate) metrics: ListenerMetrics,
    pub(crate) gate: RequestGate,
    pub(crate) server: Server,
}

#[derive(Clone)]
pub(crate) struct RequestGate {
    pub(crate) is_open: watch::Sender<bool>,
    /// How many requests have arrived at it.
    pub(crate) count: watch::Sender<usize>,
    /// How many requests wait at it.
    pub(crate) waiting_count: watch::Sender<usize>,
}

/// A request that waits at the gate.
struct WaitingRequest<'a>(&'a RequestGate);

impl<'a> WaitingRequest<'a> {
    fn at(gate: &'a RequestGate) -> Self {
        gate.count.send_modify(|count| *count += 1);
        gate.waiting_count.send_modify(|count| *count += 1);
        Self(gate)
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.waiting_count.send_modify(|count| *count -= 1);
    }
}

async fn take(request: Request<Body>) -> Response {
    match read_body(request.into_body(), BODY_SIZE_MAX).await {
        Ok(body) => body.into_response(),
        Err(error @ BodyError::TooLong) => text(StatusCode::PAYLOAD_TOO_LARGE, error),
        Err(error) => text(StatusCode::REQUEST_TIMEOUT, error),
    }
}

async fn pass(State(gate): State<RequestGate>) -> StatusCode {
    let _waiting = WaitingRequest::at(&gate);
    let mut is_open = gate.is_open.subscribe();
    is_open.wait_for(|is_open| *is_open).await.unwrap();
    StatusCode::NO_CONTENT
}

async fn stream(State(gate): State<RequestGate>) -> Body {
    let state = (gate, false);
    let pieces = futures_util::stream::unfold(state, async |(gate, is_started)| {
        if is_started {
            let _waiting = WaitingRequest::at(&gate);
            let mut is_open = gate.is_open.subscribe();
            is_open.wait_for(|is_open| *is_open).await.unwrap();
            return None;
        }
        let piece = Ok::<_, std::convert::Infallible>(Bytes::from_static(b"started"));
        Some((piece, (gate, true)))
    });
    Body::from_stream(pieces)
}

async fn client(ConnectInfo(client): ConnectInfo<std::net::SocketAddr>) -> String {
    client.to_string()
}

impl Fixture {
    pub(crate) async fn new(change: impl FnOnce(&mut HttpConfig)) -> Self {
        Self::with(change, |_| {}).await
    }

    pub(crate) async fn with(
        change: impl FnOnce(&mut HttpConfig),
        configure: impl FnOnce(&mut HttpListeners),
    ) -> Self {
        let mut config = HttpConfig::new(([127, 0, 0, 1], 0).into());
        change(&mut config);
        let gate = RequestGate {
            is_open: watch::Sender::new(true),
            count: watch::Sender::new(0),
            waiting_count: watch::Sender::new(0),
        };
        let router = Router::new()
            .route("/body", put(take))
            .route("/plain", put(async |body: Bytes| body))
            .route("/unread", put(async || StatusCode::FORBIDDEN))
            .route("/client", get(client))
            .route("/large", get(async || vec![b'x'; LARGE_SIZE]))
            .route("/gate", get(pass).put(pass))
            .route("/stream", get(stream))
            .with_state(gate.clone());
        let metrics = ListenerMetrics::register(&Registry::new()).unwrap();
        let mut bound = config.bind().await.unwrap();
        configure(&mut bound);
        Self {
            server: bound.serve(with_cors(router), ListenerName::Public, &metrics),
            metrics,
            gate,
        }
    }

    /// A server without a limit of bytes per second, so that floods reach it at full speed.
    pub(crate) async fn for_floods() -> Self {
        let server = Self::new(|config| config.connection_bytes_per_sec = 1 << 40).await;
        server.gate.is_open.send_replace(false);
        server
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.server.local_addr()).await.unwrap())
    }

    pub(crate) fn open_count(&self) -> i64 {
        self.metrics.connections_open.of(ListenerName::Public).get()
    }

    /// Sends a request, and returns when it waits at the gate.
    pub(crate) async fn wait_at_gate(&self) -> Client {
        self.gate.is_open.send_replace(false);
        let mut client = self.connect().await;
        client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
        self.until_waiting_at_gate(1).await;
        client
    }

    /// Waits until `waiting_count` requests are at the gate.
    pub(crate) async fn until_waiting_at_gate(&self, waiting_count: usize) {
        let mut waiting = self.gate.waiting_count.subscribe();
        within(
            "the requests are at the gate",
            waiting.wait_for(|count| *count == waiting_count),
        )
        .await
        .unwrap();
    }
}

/// A client that sends byte by byte.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut answer = Vec::new();
        let read = self.0.read_to_end(&mut answer);
        // A reset ends the connection too.
        let _ = within("the server closes the connection", read).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Reads one answer, whose body has `Content-Length` bytes, and returns its header.
    pub(crate) async fn read_answer(&mut self) -> String {
        let mut header = String::new();
        while !header.ends_with("\r\n\r\n") {
            let byte = within("an answer arrives", self.0.read_u8()).await;
            header.push(char::from(byte.unwrap()));
        }
        let length = header.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        within("the body arrives", self.0.read_exact(&mut body))
            .await
            .unwrap();
        header
    }

    pub(crate) async fn get(&mut self) -> String {
        self.send(GET).await;
        self.read_answer().await
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out waiting until {what}"),
    }
}

pub(crate) fn put_header(path: &str, length: usize) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

/// Runs `run` on one thread. Returns its output, and the most bytes that were allocated at the same
/// time.
pub(crate) fn measured<T>(run: impl Future<Output = T>) -> (T, u64) {
    let mut returned = None;
    let info = allocation_counter::measure(|| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        returned = Some(runtime.unwrap().block_on(run));
    });
    (returned.unwrap(), info.bytes_max)
}
