//! Nodes of tests: Bob listens and admits Alice. Mallory is unknown, unless a test registers it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    Frame, FrameMetadata, Introduction, Link, LinkError, StreamKind, Transport,
    message::{Request, Response},
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use prometheus::{Registry, proto::Metric};
use quorate_http::listener::{Listener, ListenerServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::{
    LinkServer, LinkServerConfig, PeerMetrics, PeerTransport, TransportConfig,
    addresses::Addresses,
    connector::Connector,
    frame::Content,
    greeting::Hello,
    test_service::{Answering, TestService},
};

pub(crate) use crate::test_home::*;

/// Longer than any step takes on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// The hello of a node of the home cluster.
pub(crate) fn hello(stream_kind: StreamKind) -> Hello {
    Hello::new(introduction(), stream_kind)
}

/// A node that serves, and its metrics.
pub(crate) struct Node {
    pub(crate) server: ListenerServer,
    pub(crate) service: Arc<TestService>,
    pub(crate) registry: Registry,
}

impl Node {
    pub(crate) async fn bob(answering: impl Answering) -> Self {
        Self::bob_with(LinkServerConfig::default(), answering).await
    }

    pub(crate) async fn bob_with(config: LinkServerConfig, answering: impl Answering) -> Self {
        Self::bob_at(([127, 0, 0, 1], 0).into(), config, answering).await
    }

    pub(crate) async fn bob_at(
        address: SocketAddr,
        config: LinkServerConfig,
        answering: impl Answering,
    ) -> Self {
        Self::at(address, BOB, config, answering).await
    }

    pub(crate) async fn at(
        address: SocketAddr,
        name: u8,
        config: LinkServerConfig,
        answering: impl Answering,
    ) -> Self {
        let registry = Registry::new();
        let metrics = PeerMetrics::register(&registry).unwrap();
        let listener = Listener::bind("peers", address).unwrap();
        let listener_metrics =
            quorate_http::listener::ListenerMetrics::register(&registry).unwrap();
        let service = Arc::new(TestService::new(answering));
        let server = LinkServer::new(config, &identity(name), service.clone(), metrics)
            .serve(vec![listener], &listener_metrics);
        let server = server.into_iter().next().unwrap();
        Self {
            server,
            service,
            registry,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// How many handshakes had this outcome.
    pub(crate) fn handshakes(&self, outcome: &str) -> u64 {
        self.count("quorate_peer_handshakes_total", outcome)
    }

    /// How many requests to join had this outcome.
    pub(crate) fn joins(&self, outcome: &str) -> u64 {
        self.count("quorate_peer_joins_total", outcome)
    }

    fn count(&self, name: &str, outcome: &str) -> u64 {
        let with = |metric: &Metric| metric.get_label()[0].value() == outcome;
        let count = |metric: &Metric| metric.get_counter().get_value();
        metric_sum(&self.registry, name, with, count) as u64
    }

    /// How many links peers have open.
    pub(crate) fn links_open(&self) -> u64 {
        let value = |metric: &Metric| metric.get_gauge().get_value();
        metric_sum(&self.registry, "quorate_peer_links_open", |_| true, value) as u64
    }

    /// Expects that the node still serves peers.
    pub(crate) async fn expect_alive(&self) {
        let mut link = open(ALICE, self.address()).await.unwrap();
        assert_eq!(ask(&mut link, "alive?").await, "alive?");
    }
}

/// The sum of a metric over the wanted labels.
pub(crate) fn metric_sum(
    registry: &Registry,
    name: &str,
    wanted: impl Fn(&Metric) -> bool,
    value: impl Fn(&Metric) -> f64,
) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metrics = family.expect("it is registered").get_metric();
    metrics
        .iter()
        .filter(|metric| wanted(metric))
        .map(value)
        .sum()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(label: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(TIMEOUT, holds).await.expect(label);
}

pub(crate) fn request(text: &str) -> Frame<Request> {
    numbered(0, text)
}

pub(crate) fn numbered(id: u64, text: &str) -> Frame<Request> {
    Frame {
        id,
        message: Request::Propose(Bytes::copy_from_slice(text.as_bytes())),
        metadata: FrameMetadata::default(),
    }
}

pub(crate) fn metrics() -> PeerMetrics {
    PeerMetrics::register(&Registry::new()).unwrap()
}

pub(crate) fn transport(name: u8) -> PeerTransport {
    PeerTransport::new(identity(name), TransportConfig::default(), metrics())
}

/// A transport of Alice that resolves addresses with `addresses`.
pub(crate) fn alice_with(config: TransportConfig, addresses: Addresses) -> PeerTransport {
    let connector = Connector::new(identity(ALICE), config).with_addresses(addresses);
    PeerTransport::of(connector, metrics())
}

/// A link of this node to Bob.
pub(crate) async fn open(name: u8, address: SocketAddr) -> Result<Link, LinkError> {
    open_as(name, address, introduction()).await
}

/// A link of this node to Bob, with this introduction.
pub(crate) async fn open_as(
    name: u8,
    address: SocketAddr,
    introduction: Introduction,
) -> Result<Link, LinkError> {
    let transport = transport(name);
    let introduce = Box::new(move || introduction);
    let opened = transport.open(id(BOB), address.to_string(), StreamKind::Append, introduce);
    timeout(TIMEOUT, opened).await.expect("a dial ends")
}

pub(crate) async fn ask(link: &mut Link, text: &str) -> String {
    link.requests.send(request(text)).await.unwrap();
    receive(link).await
}

pub(crate) async fn receive(link: &mut Link) -> String {
    match next(link).await {
        Some(Ok(Frame {
            message: Response::Failed(text),
            ..
        })) => text,
        other => panic!("{other:?} instead of an echo"),
    }
}

pub(crate) async fn next(link: &mut Link) -> Option<Result<Frame<Response>, LinkError>> {
    timeout(TIMEOUT, link.responses.next())
        .await
        .expect("a link answers or ends")
}

/// A TLS connection to Bob of a client that a test drives by hand.
pub(crate) async fn tls(name: u8, address: SocketAddr) -> client::TlsStream<TcpStream> {
    let config = crate::client_config(&identity(name), id(BOB).0);
    TlsConnector::from(config)
        .connect(
            crate::server_name(),
            TcpStream::connect(address).await.unwrap(),
        )
        .await
        .unwrap()
}

/// The bytes of a frame with this content.
pub(crate) fn encoded(content: &impl Content) -> Vec<u8> {
    postcard::to_stdvec(content).unwrap()
}

/// The text of an error.
pub(crate) fn text(error: LinkError) -> String {
    error.to_string()
}

pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes(), body].concat()
}

/// Everything received until the other end closes.
pub(crate) async fn rest(
    stream: &mut (impl AsyncReadExt + Unpin),
) -> (Vec<u8>, std::io::Result<usize>) {
    let mut bytes = Vec::new();
    let end = timeout(TIMEOUT, stream.read_to_end(&mut bytes))
        .await
        .expect("the connection is closed");
    (bytes, end)
}

/// A node that accepts one connection, reads the hello and answers with these bytes.
pub(crate) async fn fake_bob(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut stream = accept_as_bob(&listener).await;
        stream.write_all(&answer).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    address
}

pub(crate) async fn accept_as_bob(listener: &TcpListener) -> server::TlsStream<TcpStream> {
    let config = crate::server_config(&identity(BOB));
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = TlsAcceptor::from(config).accept(stream).await.unwrap();
    let size = stream.read_u32().await.unwrap();
    let mut hello = vec![0; size as usize];
    stream.read_exact(&mut hello).await.unwrap();
    stream
}

/// Endless pseudo-random bytes, the same in each run.
pub(crate) fn noise() -> impl FnMut() -> u8 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    }
}
