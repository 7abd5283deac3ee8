use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicUsize, Ordering},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use quorate_http::BandwidthLimiter;
use quorate_limit::{LimitConfig, LimitMetrics, RequestLimits};
use quorate_metrics::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};

use super::*;
use crate::fixture::*;

/// A timeout that is only reached if something never happens.
const LONG: Duration = Duration::from_secs(20);

const UDP_QUERIES: &str =
    "quorate_dns_queries_total{origin=\"dns.test.\",rcode=\"noerror\",transport=\"udp\"}";
const TCP_QUERIES: &str =
    "quorate_dns_queries_total{origin=\"dns.test.\",rcode=\"noerror\",transport=\"tcp\"}";
const OPEN: &str = "quorate_listener_connections_open{listener=\"dns\"}";
const EVICTED: &str = "quorate_listener_connections_evicted_total{listener=\"dns\"}";
const REFUSED: &str = "quorate_listener_connections_refused_total{listener=\"dns\"}";

fn config() -> DnsConfig {
    DnsConfig::new((Ipv4Addr::LOCALHOST, 0).into())
}

async fn serve(config: DnsConfig) -> (DnsServer, Fixture) {
    let fixture = Fixture::new();
    let server = config.bind().await.unwrap();
    let server = server.serve(
        fixture.responder.clone(),
        None,
        &ConnectionRules::default(),
        &fixture.connections,
    );
    let server = server.unwrap();
    (server, fixture)
}

async fn udp_client(server: &DnsServer) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(server.local_addr()).await.unwrap();
    socket
}

async fn receive(socket: &UdpSocket) -> Message {
    let mut datagram = [0; 2048];
    let size = timeout(LONG, socket.recv(&mut datagram)).await;
    parse(&datagram[..size.expect("a datagram").unwrap()])
}

async fn tcp_client(server: &DnsServer) -> TcpStream {
    TcpStream::connect(server.local_addr()).await.unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&length[..], message].concat()
}

async fn read_message(stream: &mut TcpStream) -> Message {
    let read = async {
        let size = stream.read_u16().await.unwrap();
        let mut message = vec![0; size.into()];
        stream.read_exact(&mut message).await.unwrap();
        message
    };
    parse(&timeout(LONG, read).await.expect("a message"))
}

/// Whether the server has ended the connection, by a close or a reset.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = timeout(LONG, stream.read_u8()).await;
    read.expect("an end").is_err()
}

#[tokio::test]
async fn udp_and_tcp_answer_on_one_port() {
    let (server, _) = serve(config()).await;
    let udp = udp_client(&server).await;
    udp.send(&alice_query()).await.unwrap();
    assert_eq!(receive(&udp).await.answers.len(), 1);
    let mut tcp = tcp_client(&server).await;
    tcp.write_all(&framed(&alice_query())).await.unwrap();
    assert_eq!(read_message(&mut tcp).await.answers.len(), 1);
    server.shutdown().await;
}

/// Of messages with 0 to 12 bytes, only a header gets a response: FORMERR (no question).
#[tokio::test]
async fn short_and_garbled_datagrams_leave_the_server_alive() {
    let (server, fixture) = serve(config()).await;
    let udp = udp_client(&server).await;
    for size in 0..12 {
        udp.send(&vec![0; size]).await.unwrap();
        udp.send(&vec![0xff; size]).await.unwrap();
    }
    udp.send(&[0xff; 600]).await.unwrap();
    udp.send(&[0; 12]).await.unwrap();
    assert_eq!(receive(&udp).await.response_code, ResponseCode::FormErr);
    udp.send(&[&[0; 12][..], &[0xc0; 5000]].concat())
        .await
        .unwrap();
    assert_eq!(receive(&udp).await.response_code, ResponseCode::FormErr);
    udp.send(&alice_query()).await.unwrap();
    assert_eq!(receive(&udp).await.answers.len(), 1);
    assert_eq!(fixture.metric("quorate_dns_messages_ignored_total"), 25);
    server.shutdown().await;
}

#[tokio::test]
async fn a_truncated_answer_is_complete_over_tcp() {
    let (server, _) = serve(config()).await;
    let message = query(&format!("txt.{BIG}.dns.test."), RecordType::TXT);
    let udp = udp_client(&server).await;
    udp.send(&message).await.unwrap();
    assert!(receive(&udp).await.truncation);
    let mut tcp = tcp_client(&server).await;
    tcp.write_all(&framed(&message)).await.unwrap();
    assert_eq!(read_message(&mut tcp).await.answers.len(), 3);
    server.shutdown().await;
}

/// RFC 7766, section 6.2.1.1.
#[tokio::test]
async fn pipelined_queries_are_all_answered() {
    let (server, _) = serve(config()).await;
    let mut tcp = tcp_client(&server).await;
    let mut queries = Vec::new();
    for id in 0..1000u16 {
        let mut message = query(&srv_owner(), RecordType::SRV);
        message[..2].copy_from_slice(&id.to_be_bytes());
        queries.extend(framed(&message));
    }
    let (mut reader, mut writer) = tcp.split();
    let write = async { writer.write_all(&queries).await.unwrap() };
    let read = async {
        for id in 0..1000 {
            let size = reader.read_u16().await.unwrap();
            let mut message = vec![0; size.into()];
            reader.read_exact(&mut message).await.unwrap();
            let response = parse(&message);
            assert_eq!((response.id, response.answers.len()), (id, 5));
        }
    };
    let both = async { tokio::join!(write, read) };
    timeout(LONG, both).await.expect("all responses");
    server.shutdown().await;
}

/// RFC 7766, section 8: a message may come in any number of pieces.
#[tokio::test]
async fn a_query_in_pieces_is_answered() {
    let (server, _) = serve(config()).await;
    let mut tcp = tcp_client(&server).await;
    tcp.set_nodelay(true).unwrap();
    for byte in framed(&alice_query()) {
        tcp.write_u8(byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read_message(&mut tcp).await.answers.len(), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn garbage_over_tcp_ends_only_its_connection() {
    let (server, _) = serve(config()).await;
    let mut other = tcp_client(&server).await;
    let response = {
        let mut message = alice_query();
        message[2] = 0x80;
        framed(&message)
    };
    for garbage in [
        &[0xff; 300][..],
        &[0, 0],
        &[0, 5, 1, 2, 3, 4, 5],
        b"GET / HTTP/1.1\r\n\r\n",
        &response,
    ] {
        let mut tcp = tcp_client(&server).await;
        tcp.write_all(garbage).await.unwrap();
        assert!(is_closed(&mut tcp).await, "{garbage:?}");
    }
    // A frame with a header gets an error response, and the next frame may be valid.
    other.write_all(&framed(&[0; 40])).await.unwrap();
    assert_eq!(
        read_message(&mut other).await.response_code,
        ResponseCode::FormErr
    );
    other.write_all(&framed(&alice_query())).await.unwrap();
    assert_eq!(read_message(&mut other).await.answers.len(), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn queries_before_garbage_are_answered() {
    let (server, _) = serve(config()).await;
    let mut tcp = tcp_client(&server).await;
    let message = [framed(&alice_query()), vec![0xff; 2]].concat();
    tcp.write_all(&message).await.unwrap();
    assert_eq!(read_message(&mut tcp).await.answers.len(), 1);
    assert!(is_closed(&mut tcp).await);
    server.shutdown().await;
}

/// Bytes that never become a query do not count as activity.
#[tokio::test]
async fn an_idle_connection_is_closed_even_if_it_sends_single_bytes() {
    let mut config = config();
    config.tcp_idle_timeout = Duration::from_millis(100);
    let (server, fixture) = serve(config).await;
    let mut idle = tcp_client(&server).await;
    assert!(is_closed(&mut idle).await);
    let (mut reader, mut writer) = tcp_client(&server).await.into_split();
    let trickle = async {
        let message = framed(&[0; 4000]);
        for byte in message {
            if writer.write_u8(byte).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let closed = async { assert!(reader.read_u8().await.is_err()) };
    tokio::select! {
        () = trickle => {}
        closed = timeout(LONG, closed) => closed.expect("an end"),
    }
    server.shutdown().await;
    assert_eq!(fixture.metric(OPEN), 0);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed() {
    let mut config = config();
    config.tcp_write_timeout = Duration::from_millis(100);
    let (server, fixture) = serve(config).await;
    let mut tcp = tcp_client(&server).await;
    let batch = framed(&query(&srv_owner(), RecordType::SRV)).repeat(100);
    let flood = async { while tcp.write_all(&batch).await.is_ok() {} };
    timeout(LONG, flood)
        .await
        .expect("the server closes the connection");
    server.shutdown().await;
    assert_eq!(fixture.metric(OPEN), 0);
}

/// Sends a query, and returns the response, or `None` if the connection was closed.
async fn ask(tcp: &mut TcpStream) -> Option<Message> {
    tcp.write_all(&framed(&alice_query())).await.ok()?;
    let read = async {
        let size = tcp.read_u16().await.ok()?;
        let mut message = vec![0; size.into()];
        tcp.read_exact(&mut message).await.ok()?;
        Some(parse(&message))
    };
    timeout(LONG, read).await.expect("an answer or an end")
}

/// A connection to a server from one address of this machine.
async fn tcp_client_from(last: u8, server: &DnsServer) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(server.local_addr()).await.unwrap()
}

#[tokio::test]
async fn one_client_cannot_block_others() {
    let mut config = config();
    // A network gets half of all.
    config.tcp_connection_count_max = 16;
    config.tcp_connection_count_per_client_max = 4;
    let (server, fixture) = serve(config).await;
    let mut other = tcp_client_from(2, &server).await;
    ask(&mut other).await.expect("an answer");
    let mut many = Vec::new();
    for _ in 0..20 {
        many.push(tcp_client_from(1, &server).await);
    }
    // All but the last four were closed, because each new connection closes an older one.
    for tcp in &mut many[..16] {
        assert!(is_closed(tcp).await);
    }
    ask(&mut other).await.expect("the connection is still open");
    let mut late = tcp_client_from(3, &server).await;
    ask(&mut late).await.expect("a connection is free");
    for tcp in &mut many[16..] {
        ask(tcp).await.expect("its last four are open");
    }
    assert_eq!(fixture.metric(EVICTED), 16);
    assert_eq!(fixture.metric(REFUSED), 0);
    server.shutdown().await;
}

#[tokio::test]
async fn the_connection_idle_the_longest_is_closed_for_a_new_one() {
    let mut config = config();
    config.tcp_connection_count_max = 3;
    let (server, fixture) = serve(config).await;
    let mut open = Vec::new();
    for last in 1..=3 {
        let mut tcp = tcp_client_from(last, &server).await;
        ask(&mut tcp).await.expect("an answer");
        open.push(tcp);
    }
    ask(&mut open[0]).await.expect("an answer");
    let mut fourth = tcp_client_from(4, &server).await;
    ask(&mut fourth).await.expect("an answer");
    assert!(is_closed(&mut open[1]).await);
    for tcp in [0, 2] {
        ask(&mut open[tcp]).await.expect("it was used later");
    }
    assert_eq!((fixture.metric(EVICTED), fixture.metric(OPEN)), (1, 3));
    server.shutdown().await;
}

#[tokio::test]
async fn shutdown_closes_connections_and_frees_the_address() {
    let (server, _) = serve(config()).await;
    let address = server.local_addr();
    let mut tcp = tcp_client(&server).await;
    tcp.write_all(&framed(&alice_query())).await.unwrap();
    read_message(&mut tcp).await;
    timeout(LONG, server.shutdown()).await.expect("an end");
    assert!(is_closed(&mut tcp).await);
    let rebound = DnsConfig::new(address).bind().await.unwrap();
    assert_eq!(rebound.local_addr(), address);
}

#[tokio::test]
async fn the_error_of_an_address_in_use_names_it() {
    let bound = config().bind().await.unwrap();
    let address = bound.local_addr();
    let error = DnsConfig::new(address).bind().await.unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()));
}

#[tokio::test]
async fn every_listen_address_answers() {
    let listen = vec![
        (Ipv4Addr::LOCALHOST, 0).into(),
        (Ipv6Addr::LOCALHOST, 0).into(),
        (Ipv4Addr::new(127, 0, 0, 2), 0).into(),
    ];
    let config = DnsConfig {
        listen: listen.into(),
        ..DnsConfig::default()
    };
    let (server, _) = serve(config).await;
    let all = server.local_addrs();
    assert_eq!(all.len(), 3);
    for address in &all {
        let any = match address.is_ipv4() {
            true => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            false => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let udp = UdpSocket::bind(any).await.unwrap();
        udp.connect(address).await.unwrap();
        udp.send(&alice_query()).await.unwrap();
        assert_eq!(receive(&udp).await.answers.len(), 1);
        let mut tcp = TcpStream::connect(address).await.unwrap();
        ask(&mut tcp).await.expect("an answer");
    }
    server.shutdown().await;
    for address in all {
        DnsConfig::new(address).bind().await.unwrap();
    }
}

/// Both families can use one port: neither socket receives the other's packets.
#[tokio::test]
async fn both_wildcard_addresses_can_use_one_port() {
    let free = DnsConfig::new((Ipv4Addr::UNSPECIFIED, 0).into());
    let port = free.bind().await.unwrap().local_addr().port();
    let listen = vec![
        (Ipv4Addr::UNSPECIFIED, port).into(),
        (Ipv6Addr::UNSPECIFIED, port).into(),
    ];
    let config = DnsConfig {
        listen: listen.into(),
        ..DnsConfig::default()
    };
    config.bind().await.unwrap();
}

#[tokio::test]
async fn a_second_server_cannot_share_the_port() {
    let (server, _) = serve(config()).await;
    // Neither can it over UDP alone, where the threads of one server share the port.
    for socket_count in [1, 2] {
        let error = udp::bind(server.local_addr(), socket_count).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn encrypted_listeners_need_a_certificate() {
    let mut config = config();
    config.tls_listen = vec![(Ipv4Addr::LOCALHOST, 0).into()].into();
    let fixture = Fixture::new();
    let listeners = config.bind().await.unwrap();
    let served = listeners.serve(
        fixture.responder.clone(),
        None,
        &ConnectionRules::default(),
        &fixture.connections,
    );
    assert!(served.unwrap_err().to_string().contains("certificate"));
}

/// The header of version 2 of the PROXY protocol for a client at 192.0.2.1.
fn proxy_header(transport: u8) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x34, 0, 53];
    let fixed = [0x21, 0x10 | transport, 0, addresses.len() as u8];
    [b"\r\n\r\n\0\r\nQUIT\n", &fixed[..], &addresses].concat()
}

const STREAM: u8 = 1;
const DATAGRAM: u8 = 2;

/// A server for proxies, that trusts 127.0.0.1.
async fn serve_proxies(limits: Option<&LimitConfig>) -> (DnsServer, Fixture) {
    serve_proxies_with(limits, None).await
}

async fn serve_proxies_with(
    limits: Option<&LimitConfig>,
    charge: Option<BandwidthLimiter>,
) -> (DnsServer, Fixture) {
    let fixture = Fixture::with(&DnsConfig::default(), limits);
    let mut config = config();
    config.proxy_listen = vec![(Ipv4Addr::LOCALHOST, 0).into()].into();
    let rules = ConnectionRules {
        is_trusted: Arc::new(|peer| peer == Ipv4Addr::LOCALHOST),
        charge,
        ..ConnectionRules::default()
    };
    let server = config.bind().await.unwrap();
    let server = server.serve(
        fixture.responder.clone(),
        None,
        &rules,
        &fixture.connections,
    );
    (server.unwrap(), fixture)
}

#[tokio::test]
async fn a_proxy_names_the_client_of_each_datagram() {
    let (server, fixture) = serve_proxies(None).await;
    let at = server.proxy_addrs()[0][0];
    let [proxy, stranger] =
        [1, 2].map(|last| std::net::UdpSocket::bind(SocketAddr::from(([127, 0, 0, last], 0))));
    let [proxy, stranger] = [proxy, stranger].map(|socket| {
        let socket = socket.unwrap();
        socket.set_nonblocking(true).unwrap();
        UdpSocket::from_std(socket).unwrap()
    });
    // These are dropped: without a header, cut off, and from a stranger.
    let query = alice_query();
    let proxied = [proxy_header(DATAGRAM), query.clone()].concat();
    proxy.send_to(&query, at).await.unwrap();
    proxy.send_to(&proxied[..20], at).await.unwrap();
    stranger.send_to(&proxied, at).await.unwrap();
    proxy.send_to(&proxied, at).await.unwrap();
    assert_eq!(receive(&proxy).await.answers.len(), 1);
    assert_eq!(fixture.metric(UDP_QUERIES), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn a_proxy_names_the_client_of_each_connection() {
    let charged = Arc::new(AtomicUsize::new(0));
    let bytes = charged.clone();
    let charge: BandwidthLimiter = Arc::new(move |client, byte_count| {
        assert_eq!(client.to_string(), "192.0.2.1");
        bytes.fetch_add(byte_count, Ordering::Relaxed);
        Duration::ZERO
    });
    let (server, fixture) = serve_proxies_with(None, Some(charge)).await;
    let at = server.proxy_addrs()[0][0];
    for (transport, counted) in [(STREAM, TCP_QUERIES), (DATAGRAM, UDP_QUERIES)] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let bytes = [proxy_header(transport), framed(&alice_query())].concat();
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(read_message(&mut stream).await.answers.len(), 1);
        assert_eq!(fixture.metric(counted), 1, "{transport}");
        drop(stream);
        let closed = async {
            while fixture.metric(OPEN) > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, closed).await.expect("the connection ends");
        // The address of a client over UDP may be forged, so it takes nothing from its owner.
        let charged = charged.swap(0, Ordering::Relaxed);
        assert_eq!(charged > 0, transport == STREAM, "{charged}");
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let mut stranger = socket.connect(at).await.unwrap();
    let bytes = [proxy_header(STREAM), framed(&alice_query())].concat();
    // The server may have closed the connection already.
    let _ = stranger.write_all(&bytes).await;
    let mut nothing = Vec::new();
    let _ = timeout(LONG, stranger.read_to_end(&mut nothing))
        .await
        .expect("an end");
    assert_eq!(nothing, b"");
    server.shutdown().await;
}

/// The limits of answers over UDP are those of the client, whom the proxy may not know.
#[tokio::test]
async fn answers_to_the_client_of_a_proxy_are_limited() {
    let limits = LimitConfig {
        dns_answer_burst: 1,
        dns_answer_per_sec: 1,
        ..LimitConfig::default()
    };
    let (server, _fixture) = serve_proxies(Some(&limits)).await;
    let mut stream = TcpStream::connect(server.proxy_addrs()[0][0])
        .await
        .unwrap();
    stream.write_all(&proxy_header(DATAGRAM)).await.unwrap();
    let mut truncated = Vec::new();
    for _ in 0..2 {
        stream.write_all(&framed(&alice_query())).await.unwrap();
        truncated.push(read_message(&mut stream).await.metadata.truncation);
    }
    assert_eq!(truncated, [false, true]);
    server.shutdown().await;
}

/// Queries beyond the rate wait, and then all of them are answered.
#[tokio::test]
async fn pipelined_queries_wait_for_the_rate_of_their_client() {
    let fixture = Fixture::new();
    let limits = LimitConfig {
        query_burst: 1,
        query_per_sec: 10,
        ..LimitConfig::default()
    };
    let metrics = LimitMetrics::register(&Registry::new()).unwrap();
    let rules = ConnectionRules {
        queries: RequestLimits::new(&limits, &metrics),
        is_trusted: Arc::new(|_| true),
        ..ConnectionRules::default()
    };
    let mut config = config();
    config.proxy_listen = vec![(Ipv4Addr::LOCALHOST, 0).into()].into();
    let server = config.bind().await.unwrap();
    let server = server.serve(
        fixture.responder.clone(),
        None,
        &rules,
        &fixture.connections,
    );
    let server = server.unwrap();
    // This machine itself has no limit, so the client is one behind a proxy.
    let mut stream = TcpStream::connect(server.proxy_addrs()[0][0])
        .await
        .unwrap();
    let queries = framed(&alice_query()).repeat(4);
    let bytes = [proxy_header(STREAM), queries].concat();
    let started = std::time::Instant::now();
    stream.write_all(&bytes).await.unwrap();
    for _ in 0..4 {
        assert_eq!(read_message(&mut stream).await.answers.len(), 1);
    }
    assert!(started.elapsed() >= Duration::from_millis(250));
    server.shutdown().await;
}
