use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use hickory_proto::op::Message;
use quinn::{
    ApplicationClose, ClientConfig, Connection, ConnectionError, Endpoint, VarInt,
    crypto::rustls::QuicClientConfig,
};
use tokio::time::timeout;

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

fn endpoint(last: u8, encryption: &Encryption) -> Endpoint {
    let mut endpoint = Endpoint::client(([127, 0, 0, last], 0).into()).unwrap();
    let crypto = QuicClientConfig::try_from(encryption.client(b"doq")).unwrap();
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
    endpoint
}

async fn connect(endpoint: &Endpoint, server: &DnsServer) -> Connection {
    let connecting = endpoint
        .connect(server.quic_addrs()[0], "localhost")
        .unwrap();
    let connected = timeout(LONG, connecting).await;
    connected.expect("a handshake").unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&length[..], message].concat()
}

/// A query that has an answer, with the ID 0 that QUIC requires.
fn query_with_id_0() -> Vec<u8> {
    let mut query = alice_query();
    query[..2].fill(0);
    query
}

async fn ask(connection: &Connection, message: &[u8]) -> Option<Message> {
    let exchange = async {
        let (mut send, mut receive) = connection.open_bi().await.ok()?;
        send.write_all(&framed(message)).await.ok()?;
        send.finish().ok()?;
        receive.read_to_end(70_000).await.ok()
    };
    let response = timeout(LONG, exchange)
        .await
        .expect("an answer or an end")?;
    let (length, message) = response.split_first_chunk::<2>().expect("a length");
    assert_eq!(message.len(), usize::from(u16::from_be_bytes(*length)));
    Some(parse(message))
}

/// The code with which the server closes the connection.
async fn close_code(connection: &Connection) -> u64 {
    match timeout(LONG, connection.closed()).await.expect("an end") {
        ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. }) => {
            error_code.into_inner()
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn queries_over_quic_are_answered_until_shutdown() {
    let (server, fixture, encryption) = serve(config()).await;
    let endpoint = endpoint(1, &encryption);
    let connection = connect(&endpoint, &server).await;
    // More queries than a connection may have in progress: first in sequence, then together.
    for _ in 0..40 {
        let answer = ask(&connection, &query_with_id_0()).await;
        assert_eq!(answer.unwrap().answers.len(), 1);
    }
    let query = query_with_id_0();
    let all = (0..40).map(|_| ask(&connection, &query));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.unwrap().answers.len(), 1);
    }
    let counted =
        "quorate_dns_queries_total{origin=\"dns.test.\",rcode=\"noerror\",transport=\"quic\"}";
    assert_eq!(fixture.metric(counted), 80);
    let open = "quorate_listener_connections_open{listener=\"dns_quic\"}";
    assert_eq!(fixture.metric(open), 1);
    timeout(LONG, server.shutdown()).await.expect("an end");
    assert_eq!(close_code(&connection).await, 0);
    assert_eq!(fixture.metric(open), 0);
}

/// RFC 9250, sections 4.2, 4.2.1 and 4.3.3.
#[tokio::test]
async fn a_client_that_breaks_a_rule_gets_the_code_and_is_closed() {
    let (server, _, encryption) = serve(config()).await;
    let endpoint = endpoint(1, &encryption);
    let query = query_with_id_0();
    let mut response = query.clone();
    response[2] = 0x80;
    for (what, bytes) in [
        ("an id", framed(&alice_query())),
        ("two queries", [framed(&query), framed(&query)].concat()),
        ("less than its length", framed(&query)[..20].to_vec()),
        ("half a length", vec![0]),
        ("nothing", vec![]),
        ("no header", framed(&[0; 4])),
        ("a response", framed(&response)),
        ("too long", framed(&[0; 5000])),
    ] {
        let connection = connect(&endpoint, &server).await;
        assert!(ask(&connection, &query).await.is_some());
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
        assert_eq!(close_code(&connection).await, 2, "{what}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_stalled_stream_does_not_delay_others() {
    let (server, _, encryption) = serve(config()).await;
    let endpoint = endpoint(1, &encryption);
    let connection = connect(&endpoint, &server).await;
    let mut stalled = Vec::new();
    for _ in 0..10 {
        let (mut send, receive) = connection.open_bi().await.unwrap();
        send.write_all(&[0]).await.unwrap();
        stalled.push((send, receive));
    }
    assert!(ask(&connection, &query_with_id_0()).await.is_some());
    // If the client cancels it, the other streams are not affected.
    for (send, _) in &mut stalled {
        send.reset(VarInt::from_u32(3)).unwrap();
    }
    assert!(ask(&connection, &query_with_id_0()).await.is_some());
    server.shutdown().await;
}

/// The first datagrams of `count` handshakes.
fn first_datagrams(count: usize, encryption: &Encryption) -> Vec<Vec<u8>> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    receiver.set_read_timeout(Some(LONG)).unwrap();
    let endpoint = endpoint(1, encryption);
    // Kept, because a client that gives up sends that too.
    let mut connecting = Vec::new();
    let mut datagrams = BTreeMap::new();
    while datagrams.len() < count {
        let at = receiver.local_addr().unwrap();
        connecting.push(endpoint.connect(at, "localhost").unwrap());
        let mut datagram = vec![0; 2000];
        let (size, _) = receiver.recv_from(&mut datagram).unwrap();
        datagram.truncate(size);
        // The destination connection ID (RFC 9000, section 17.2), which is the same when the client
        // repeats a datagram.
        let id = datagram[6..14].to_vec();
        datagrams.insert(id, datagram);
    }
    datagrams.into_values().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_handshakes_do_not_block_other_clients() {
    let mut config = config();
    config.tls_handshake_timeout = LONG;
    let (server, _, encryption) = serve(config).await;
    let at = server.quic_addrs()[0];
    let mut datagrams = first_datagrams(320, &encryption).into_iter();
    for last in 1..=20 {
        let stalled = SocketAddr::from(([127, 0, 1, last], 0));
        let stalled = UdpSocket::bind(stalled).unwrap();
        for datagram in datagrams.by_ref().take(16) {
            stalled.send_to(&datagram, at).unwrap();
        }
        let endpoint = endpoint(2, &encryption);
        let connection = connect(&endpoint, &server).await;
        assert!(ask(&connection, &query_with_id_0()).await.is_some());
    }
    timeout(LONG, server.shutdown()).await.expect("an end");
}

/// The datagrams could have a forged source, so little may be sent back (RFC 9000, section 8.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_with_two_handshakes_must_prove_its_address() {
    let mut config = config();
    config.tls_handshake_timeout = LONG;
    let (server, _, encryption) = serve(config).await;
    let source = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    source.set_read_timeout(Some(LONG)).unwrap();
    for datagram in first_datagrams(60, &encryption) {
        source.send_to(&datagram, server.quic_addrs()[0]).unwrap();
    }
    // All others that come back belong to the first two handshakes.
    let mut retry_count = 0;
    while retry_count < 58 {
        let mut datagram = [0; 2000];
        source.recv_from(&mut datagram).unwrap();
        // A long header of the type Retry (section 17.2.5).
        retry_count += usize::from(datagram[0] & 0xf0 == 0xf0);
    }
    timeout(LONG, server.shutdown()).await.expect("an end");
}

/// A datagram with a forged source can begin a handshake and end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_fail_at_once_do_not_make_room_for_more() {
    let mut config = config();
    config.tls_handshake_timeout = LONG;
    let (server, _, encryption) = serve(config).await;
    let source = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    source.set_read_timeout(Some(LONG)).unwrap();
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    receiver.set_read_timeout(Some(LONG)).unwrap();
    let endpoint = endpoint(1, &encryption);
    let mut retry_count = 0;
    for number in 0..6 {
        let at = receiver.local_addr().unwrap();
        let mut connecting = Some(endpoint.connect(at, "localhost").unwrap());
        // The client's hello, and that it gives up.
        for _ in 0..2 {
            let mut datagram = [0; 2000];
            let (size, _) = receiver.recv_from(&mut datagram).unwrap();
            connecting = None;
            source
                .send_to(&datagram[..size], server.quic_addrs()[0])
                .unwrap();
        }
        while retry_count + 2 < number + 1 {
            let mut datagram = [0; 2000];
            source.recv_from(&mut datagram).unwrap();
            retry_count += usize::from(datagram[0] & 0xf0 == 0xf0);
        }
        drop(connecting);
    }
    timeout(LONG, server.shutdown()).await.expect("an end");
}

#[tokio::test]
async fn one_client_cannot_take_all_connections() {
    let mut config = config();
    config.tcp_connection_count_per_client_max = 2;
    let (server, fixture, encryption) = serve(config).await;
    let (first, other) = (endpoint(1, &encryption), endpoint(2, &encryption));
    let other_connection = connect(&other, &server).await;
    assert!(ask(&other_connection, &query_with_id_0()).await.is_some());
    let mut connections = Vec::new();
    for _ in 0..4 {
        let connection = connect(&first, &server).await;
        assert!(ask(&connection, &query_with_id_0()).await.is_some());
        connections.push(connection);
    }
    for connection in &connections[..2] {
        assert_eq!(close_code(connection).await, 4);
    }
    for connection in [&other_connection, &connections[2], &connections[3]] {
        assert!(ask(connection, &query_with_id_0()).await.is_some());
    }
    let evicted = "quorate_listener_connections_evicted_total{listener=\"dns_quic\"}";
    assert_eq!(fixture.metric(evicted), 2);
    server.shutdown().await;
}

#[tokio::test]
async fn a_connection_without_complete_queries_is_closed() {
    let mut config = config();
    config.tcp_idle_timeout = Duration::from_millis(500);
    let (server, _, encryption) = serve(config).await;
    let endpoint = endpoint(1, &encryption);
    let connection = connect(&endpoint, &server).await;
    // The connection is open, but sends no complete query.
    let trickle = async {
        let mut unfinished = Vec::new();
        while let Ok((mut send, receive)) = connection.open_bi().await {
            let _ = send.write_all(&[0]).await;
            unfinished.push((send, receive));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let close = async { assert_eq!(close_code(&connection).await, 0) };
    timeout(LONG, async { tokio::join!(trickle, close) })
        .await
        .expect("an end");
    server.shutdown().await;
}
