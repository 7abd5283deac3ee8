use std::net::Ipv4Addr;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::fixture::*;

/// Longer than anything here takes, unless it never happens.
const LONG: Duration = Duration::from_secs(20);

const OPEN: &str = "quorate_listener_connections_open{listener=\"dns\"}";
const REFUSED: &str = "quorate_listener_connections_refused_total{listener=\"dns\"}";

fn config() -> Config {
    Config::new((Ipv4Addr::LOCALHOST, 0).into())
}

async fn serve(config: Config) -> (DnsServer, Fixture) {
    let fixture = Fixture::new();
    let server = config.bind().await.unwrap();
    let server = server.serve(fixture.responder.clone(), &fixture.connections);
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
async fn both_listeners_have_one_port_and_answer() {
    let (server, _) = serve(config()).await;
    let udp = udp_client(&server).await;
    udp.send(&alice_query()).await.unwrap();
    assert_eq!(receive(&udp).await.answers.len(), 1);
    let mut tcp = tcp_client(&server).await;
    tcp.write_all(&framed(&alice_query())).await.unwrap();
    assert_eq!(read_message(&mut tcp).await.answers.len(), 1);
    server.shutdown().await;
}

/// Of 0 to 12 bytes, only a header gets a response: FORMERR, as it holds no question.
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
    assert_eq!(fixture.figure("quorate_dns_messages_ignored_total"), 25);
    server.shutdown().await;
}

#[tokio::test]
async fn a_truncated_answer_is_whole_over_tcp() {
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
async fn garbage_over_tcp_ends_the_connection_and_no_other() {
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
    // A frame that holds a header can be told what is wrong with it, and the next may be right.
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

/// Bytes that never become a query do not count as life.
#[tokio::test]
async fn an_idle_connection_is_closed_even_if_it_trickles() {
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
    assert_eq!(fixture.figure(OPEN), 0);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed() {
    let mut config = config();
    config.tcp_write_timeout = Duration::from_millis(100);
    let (server, fixture) = serve(config).await;
    let mut tcp = tcp_client(&server).await;
    let batch = framed(&query(&srv_owner(), RecordType::SRV)).repeat(100);
    let flood = async { while tcp.write_all(&batch).await.is_ok() {} };
    timeout(LONG, flood).await.expect("the server gives up");
    server.shutdown().await;
    assert_eq!(fixture.figure(OPEN), 0);
}

#[tokio::test]
async fn connections_over_the_cap_are_closed_at_once() {
    let mut config = config();
    config.tcp_connection_count_max = 2;
    let (server, fixture) = serve(config).await;
    let mut open = [tcp_client(&server).await, tcp_client(&server).await];
    for tcp in &mut open {
        tcp.write_all(&framed(&alice_query())).await.unwrap();
        read_message(tcp).await;
    }
    assert_eq!(fixture.figure(OPEN), 2);
    assert!(is_closed(&mut tcp_client(&server).await).await);
    assert_eq!(fixture.figure(REFUSED), 1);

    let [first, mut second] = open;
    drop(first);
    let again = async {
        loop {
            let mut tcp = tcp_client(&server).await;
            // The server may see the new connection before the end of the old one.
            if tcp.write_all(&framed(&alice_query())).await.is_ok() && tcp.read_u16().await.is_ok()
            {
                return;
            }
        }
    };
    timeout(LONG, again).await.expect("a free place");
    second.write_all(&framed(&alice_query())).await.unwrap();
    assert_eq!(read_message(&mut second).await.answers.len(), 1);
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
    let again = Config::new(address).bind().await.unwrap();
    assert_eq!(again.local_addr(), address);
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let bound = config().bind().await.unwrap();
    let address = bound.local_addr();
    let error = Config::new(address).bind().await.unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()));
}
