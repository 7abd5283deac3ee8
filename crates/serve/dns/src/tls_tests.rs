//! DNS over TLS.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use hickory_proto::op::Message;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    DnsConfig, DnsServer,
    encryption_fixture::{Encryption, serve},
    fixture::*,
};

/// A timeout that is only reached if something never happens.
const LONG: Duration = Duration::from_secs(20);

fn config() -> DnsConfig {
    DnsConfig::new((Ipv4Addr::LOCALHOST, 0).into())
}

/// A connection from an address of this machine, without a handshake.
async fn connect_from(last: u8, server: &DnsServer) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(server.tls_addrs()[0]).await.unwrap()
}

async fn client(
    last: u8,
    server: &DnsServer,
    encryption: &Encryption,
    protocol: &[u8],
) -> io::Result<TlsStream<TcpStream>> {
    let stream = connect_from(last, server).await;
    let connector = TlsConnector::from(Arc::new(encryption.client(protocol)));
    let name = ServerName::try_from("localhost").unwrap();
    let connected = timeout(LONG, connector.connect(name, stream)).await;
    connected.expect("a handshake or an end")
}

async fn ask(stream: &mut TlsStream<TcpStream>, message: &[u8]) -> Message {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let exchange = async {
        stream.write_all(&length).await.unwrap();
        stream.write_all(message).await.unwrap();
        let mut response = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut response).await.unwrap();
        response
    };
    parse(&timeout(LONG, exchange).await.expect("an answer"))
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = timeout(LONG, stream.read_u8()).await;
    read.expect("an end").is_err()
}

#[tokio::test]
async fn queries_over_tls_are_answered_until_shutdown() {
    let (server, fixture, encryption) = serve(config()).await;
    let mut tls = client(1, &server, &encryption, b"dot").await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"dot"[..]));
    for _ in 0..3 {
        assert_eq!(ask(&mut tls, &alice_query()).await.answers.len(), 1);
    }
    let counted =
        "quorate_dns_queries_total{origin=\"dns.test.\",rcode=\"noerror\",transport=\"tls\"}";
    assert_eq!(fixture.metric(counted), 3);
    // With close_notify, which proves that nothing was cut off (RFC 8446, section 6.1).
    timeout(LONG, server.shutdown()).await.expect("an end");
    let end = timeout(LONG, tls.read(&mut [0])).await.expect("an end");
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn a_client_with_another_protocol_is_rejected() {
    let (server, _, encryption) = serve(config()).await;
    assert!(client(1, &server, &encryption, b"h2").await.is_err());
    let mut plain = connect_from(1, &server).await;
    plain.write_all(&[0, 29]).await.unwrap();
    plain.write_all(&alice_query()).await.unwrap();
    let mut alert = Vec::new();
    let read = timeout(LONG, plain.read_to_end(&mut alert)).await;
    drop(read.expect("an end"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_new_certificate_is_used_and_open_connections_stay() {
    let (server, _, encryption) = serve(config()).await;
    let mut old = client(1, &server, &encryption, b"dot").await.unwrap();
    encryption.replace();
    // The client trusts only the new one.
    let mut new = client(1, &server, &encryption, b"dot").await.unwrap();
    for tls in [&mut old, &mut new] {
        assert_eq!(ask(tls, &alice_query()).await.answers.len(), 1);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn stalled_handshakes_do_not_block_other_clients() {
    let mut config = config();
    config.tls_handshake_timeout = LONG;
    config.tcp_connection_count_max = 8;
    config.tcp_connection_count_per_client_max = 4;
    let (server, _, encryption) = serve(config).await;
    let mut stalled = Vec::new();
    for round in 0..6 {
        for last in 1..=4 {
            stalled.push(connect_from(last, &server).await);
        }
        let mut tls = client(9, &server, &encryption, b"dot").await.unwrap();
        let answer = ask(&mut tls, &alice_query()).await;
        assert_eq!(answer.answers.len(), 1, "round {round}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended() {
    let mut config = config();
    config.tls_handshake_timeout = Duration::from_millis(100);
    config.tcp_idle_timeout = LONG * 2;
    let (server, _, _encryption) = serve(config).await;
    assert!(is_closed(&mut connect_from(1, &server).await).await);
    server.shutdown().await;
}
