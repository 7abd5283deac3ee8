//! HTTP over TLS, and HTTP behind proxies that name the client.

use std::{iter, net::SocketAddr, sync::Arc, time::Duration};

use crate::{CertificateFiles, ServerCertificate};
use axum::http::{Request, Version};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use quorate_disk::LinuxDisk;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    HttpConfig, HttpListeners, IsTrusted,
    fixture::{Client, Fixture, LONG, SHORT, within},
};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A certificate, and TLS clients that trust it.
struct TestCertificate {
    _dir: TempDir,
    files: CertificateFiles,
    certificate: ServerCertificate,
}

impl TestCertificate {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate_file: dir.path().join("certificate.pem"),
            key_file: dir.path().join("key.pem"),
        };
        files.make(&LinuxDisk, ["localhost"]).unwrap();
        Self {
            certificate: ServerCertificate::open(Arc::new(LinuxDisk), vec![files.clone()]).unwrap(),
            files,
            _dir: dir,
        }
    }

    async fn connect(
        &self,
        stream: TcpStream,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(&self.files.certificate_file);
        roots.add(certificate.unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

fn tls_listen(config: &mut HttpConfig) {
    config.tls_listen = vec![LOOPBACK].into();
}

async fn fixture(change: impl FnOnce(&mut HttpConfig)) -> (Fixture, TestCertificate) {
    let encryption = TestCertificate::new();
    let certificate = Some(encryption.certificate.clone());
    let change = |config: &mut HttpConfig| {
        tls_listen(config);
        change(config);
    };
    let configure = |listeners: &mut HttpListeners| listeners.certificate = certificate;
    (Fixture::with(change, configure).await, encryption)
}

async fn https(server: &Fixture) -> TcpStream {
    let [address] = server.server.tls_addrs()[..] else {
        panic!("HTTPS listens once")
    };
    TcpStream::connect(address).await.unwrap()
}

/// The answer to a single HTTP/1.1 request, after which the connection is closed.
async fn ask_http1(mut stream: TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    within("the answer and the end arrive", read).await.unwrap();
    answer
}

/// An HTTP/2 client.
async fn http2<S>(stream: S) -> SendRequest<Bytes>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

fn send(requests: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
    let request = Request::get(format!("http://localhost{path}"));
    let request = request.version(Version::HTTP_2).body(()).unwrap();
    requests.send_request(request, true).unwrap().0
}

/// The status of an answer, and its body.
async fn receive(answer: ResponseFuture) -> (u16, Bytes) {
    let all = async {
        let answer = answer.await.unwrap();
        let status = answer.status().as_u16();
        let (mut body, mut read) = (answer.into_body(), Vec::new());
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            read.extend(piece);
        }
        (status, read.into())
    };
    within("it is answered", all).await
}

/// The answers to requests that an HTTP/2 client sends all at the same time.
async fn ask_http2<S>(stream: S, paths: &[&str]) -> Vec<(u16, Bytes)>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut requests = http2(stream).await;
    let answers: Vec<_> = paths.iter().map(|path| send(&mut requests, path)).collect();
    let mut answered = Vec::new();
    for answer in answers {
        answered.push(receive(answer).await);
    }
    answered
}

#[tokio::test]
async fn the_negotiated_protocol_is_used() {
    let (server, encryption) = fixture(|_| ()).await;
    for (offered, agreed) in [
        (&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])),
        (&[b"http/1.1", b"h2"], Some(b"h2")),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = encryption
            .connect(https(&server).await, offered)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        if agreed == Some(b"h2") {
            let paths = ["/large", "/nothing", "/client"];
            let answered = ask_http2(stream, &paths).await;
            assert_eq!(answered[0].1.len(), crate::fixture::LARGE_SIZE);
            assert_eq!(answered[1].0, 404);
            assert!(answered[2].1.starts_with(b"127.0.0.1:"));
        } else {
            let answer = ask_http1(stream, "/client").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(answer.contains("127.0.0.1:"), "{answer}");
        }
    }
    let stream = encryption.connect(https(&server).await, &[b"dot"]).await;
    assert!(stream.is_err(), "no other protocol is accepted");
}

/// For a proxy, or for a client that knows that the server speaks HTTP/2 (RFC 9113, section 3.3).
#[tokio::test]
async fn a_client_can_begin_with_http2_without_tls() {
    let server = Fixture::new(|_| ()).await;
    let Client(stream) = server.connect().await;
    let answered = ask_http2(stream, &["/nothing", "/client", "/large"]).await;
    let statuses: Vec<_> = answered.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [404, 200, 200]);
}

/// Writes during the pause must not make it wait forever.
#[tokio::test]
async fn an_http2_client_over_its_rate_is_served_again_later() {
    let server = Fixture::new(|config| {
        config.connection_bytes_per_sec = 65_536;
        // Nothing else wakes the connection.
        config.http2_ping_interval = 10 * LONG;
    })
    .await;
    let Client(stream) = server.connect().await;
    let mut requests = http2(stream).await;
    // More bytes than it may transfer in a second, and then requests that each wait for those
    // before.
    for (path, expected) in iter::once(("/large", 200)).chain([("/nothing", 404); 10]) {
        let answer = send(&mut requests, path);
        let (status, _) = receive(answer).await;
        assert_eq!(status, expected);
    }
}

#[tokio::test]
async fn a_replaced_certificate_is_used_for_the_next_connection() {
    let (server, encryption) = fixture(|_| ()).await;
    let before = encryption.connect(https(&server).await, &[]).await.unwrap();
    encryption.files.make(&LinuxDisk, ["localhost"]).unwrap();
    let connected = encryption.connect(https(&server).await, &[]).await;
    assert!(connected.is_err(), "the new one is not in use yet");
    let read = encryption.certificate.read().unwrap();
    assert!(encryption.certificate.replace(read));
    let after = encryption.connect(https(&server).await, &[]).await.unwrap();
    for stream in [before, after] {
        assert!(ask_http1(stream, "/client").await.contains(" 200 "));
    }
}

#[tokio::test]
async fn stalled_handshakes_end_and_do_not_block_others() {
    let (server, encryption) = fixture(|config| {
        // Long enough for the client that does not stall, on a busy machine.
        config.tls_handshake_timeout = Duration::from_secs(2);
        config.connection_count_max = 4;
    })
    .await;
    // No bytes, the beginning of a handshake, and an incomplete record header.
    let mut stalled = Vec::new();
    for begin in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01"].repeat(4) {
        let mut stream = https(&server).await;
        stream.write_all(begin).await.unwrap();
        stalled.push(stream);
    }
    let stream = encryption
        .connect(https(&server).await, &[b"h2"])
        .await
        .unwrap();
    assert_eq!(ask_http2(stream, &["/nothing"]).await[0].0, 404);
    for stream in &mut stalled {
        let mut rest = Vec::new();
        // A reset ends the connection too.
        let _ = within("it is cut off", stream.read_to_end(&mut rest)).await;
    }
}

/// The signature, the PROXY command, TCP over IPv4, a length of 12 bytes, and the addresses and
/// ports of client and server.
const PROXY_HEADER: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x12\x34\0\x50";

/// A server with listeners for proxies. It trusts proxies on this machine, or none.
async fn proxied(
    is_trusted: bool,
    change: impl FnOnce(&mut HttpConfig),
) -> (Fixture, TestCertificate) {
    let encryption = TestCertificate::new();
    let certificate = Some(encryption.certificate.clone());
    let trust: IsTrusted = Arc::new(move |peer| is_trusted && peer.is_loopback());
    let change = |config: &mut HttpConfig| {
        config.proxy_listen = vec![LOOPBACK].into();
        config.proxy_tls_listen = vec![LOOPBACK].into();
        change(config);
    };
    let configure = |listeners: &mut HttpListeners| {
        listeners.certificate = certificate;
        listeners.is_trusted = trust;
    };
    (Fixture::with(change, configure).await, encryption)
}

async fn by_proxy(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(PROXY_HEADER).await.unwrap();
    stream
}

#[tokio::test]
async fn a_proxy_names_the_client() {
    let (server, encryption) = proxied(true, |_| ()).await;
    let [plain, tls] = server.server.proxy_addrs();
    let mut client = Client(by_proxy(plain[0]).await);
    client
        .send("GET /client HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert!(answer.ends_with("192.0.2.1:4660"), "{answer}");

    let answered = ask_http2(by_proxy(plain[0]).await, &["/client"]).await;
    assert_eq!(&*answered[0].1, b"192.0.2.1:4660");
    let stream = encryption
        .connect(by_proxy(tls[0]).await, &[b"h2"])
        .await
        .unwrap();
    assert_eq!(
        &*ask_http2(stream, &["/client"]).await[0].1,
        b"192.0.2.1:4660"
    );

    // On a listener that is not for proxies, the header is garbage.
    let mut client = Client(by_proxy(server.server.local_addr()).await);
    client.send(crate::fixture::GET).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_peer_that_is_not_a_trusted_proxy_is_rejected() {
    let (server, _encryption) = proxied(false, |_| ()).await;
    let [plain, tls] = server.server.proxy_addrs();
    for address in [plain[0], tls[0]] {
        let mut client = Client(by_proxy(address).await);
        client.send("GET /client HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.read_to_end().await, "");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_name_a_client_is_disconnected() {
    let (server, _encryption) = proxied(true, |config| config.header_read_timeout = SHORT).await;
    let [plain, _] = server.server.proxy_addrs();
    for begin in [
        &b""[..],
        &PROXY_HEADER[..20],
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = Client(TcpStream::connect(plain[0]).await.unwrap());
        // The server may close the connection before.
        let _ = client.0.write_all(begin).await;
        assert_eq!(client.read_to_end().await, "");
    }
}

/// The limit per client applies to all its connections, through any proxy.
#[tokio::test]
async fn connections_through_a_proxy_count_for_the_client() {
    let (server, _encryption) = proxied(true, |config| {
        config.connection_count_per_client_max = 1;
        config.header_read_timeout = LONG;
    })
    .await;
    let [plain, _] = server.server.proxy_addrs();
    let mut first = Client(by_proxy(plain[0]).await);
    assert!(first.get().await.contains(" 404 "));
    let mut second = Client(by_proxy(plain[0]).await);
    assert!(second.get().await.contains(" 404 "));
    assert_eq!(first.read_to_end().await, "");

    // The proxy's own connections have no limit.
    let mut own = Vec::new();
    for _ in 0..3 {
        let mut client = Client(TcpStream::connect(plain[0]).await.unwrap());
        client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await;
        assert!(client.get().await.contains(" 404 "));
        own.push(client);
    }
    assert!(second.get().await.contains(" 404 "));
}
