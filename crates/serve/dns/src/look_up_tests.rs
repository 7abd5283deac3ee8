use std::{net::Ipv4Addr, time::Duration};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use quorate_fake::{FakeDht, FakeReplica, packet};
use quorate_packet::SignedPacket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use crate::{
    ConnectionRules, DnsConfig, DnsServer, DnsTransport, edns::option, fixture::*,
    udp::WAITING_PER_CLIENT_MAX,
};

/// A timeout that is only reached if something never happens.
const LONG: Duration = Duration::from_secs(20);

/// A server whose DHT has the packet `_iroh` of a key.
struct Started {
    server: DnsServer,
    dht: std::sync::Arc<FakeDht>,
    replica: std::sync::Arc<FakeReplica>,
    packet: SignedPacket,
}

async fn start(deadline: Duration) -> Started {
    let dht = FakeDht::new();
    let fixture = Fixture::new().with_dht(dht.clone(), deadline);
    fixture.set_cookie_secrets([7; 16], None);
    let server = DnsConfig::new((Ipv4Addr::LOCALHOST, 0).into());
    let server = server.bind().await.unwrap().serve(
        fixture.responder.clone(),
        None,
        &ConnectionRules::default(),
        &fixture.connections,
    );
    let packet = packet(1, 5, "from the DHT", 30);
    dht.store(packet.clone());
    Started {
        server: server.unwrap(),
        dht,
        replica: fixture.replica,
        packet,
    }
}

fn iroh_query(packet: &SignedPacket, origin: &str) -> Vec<u8> {
    query(&iroh(*packet.key(), origin), RecordType::TXT)
}

fn with_cookie(query: Vec<u8>, cookie: &[u8]) -> Vec<u8> {
    let size = u16::try_from(cookie.len()).unwrap();
    let option = [
        &option::COOKIE.to_be_bytes()[..],
        &size.to_be_bytes(),
        cookie,
    ];
    with_opt(query, 1232, 0, &option.concat())
}

/// A socket, and the cookie that the server gave it.
struct Client {
    socket: UdpSocket,
    cookie: Vec<u8>,
}

impl Client {
    async fn new(server: &DnsServer) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(server.local_addr()).await.unwrap();
        let mut client = Self {
            socket,
            cookie: vec![1; 8],
        };
        client.send(alice_query()).await;
        let response = client.receive_bytes().await;
        client.cookie = response[response.len() - 24..].to_vec();
        client
    }

    async fn send(&self, query: Vec<u8>) {
        let query = with_cookie(query, &self.cookie);
        self.socket.send(&query).await.unwrap();
    }

    async fn receive_bytes(&self) -> Vec<u8> {
        let mut datagram = vec![0; 2048];
        let received = timeout(LONG, self.socket.recv(&mut datagram)).await;
        datagram.truncate(received.expect("a datagram").unwrap());
        datagram
    }

    async fn receive(&self) -> Message {
        parse(&self.receive_bytes().await)
    }

    async fn ask(&self, query: Vec<u8>) -> Message {
        self.send(query).await;
        self.receive().await
    }
}

async fn over_tcp(server: &DnsServer, query: &[u8]) -> Message {
    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    let size = u16::try_from(query.len()).unwrap();
    stream.write_u16(size).await.unwrap();
    stream.write_all(query).await.unwrap();
    let answer = async {
        let size = stream.read_u16().await.unwrap();
        let mut message = vec![0; size.into()];
        stream.read_exact(&mut message).await.unwrap();
        message
    };
    parse(&timeout(LONG, answer).await.expect("a message"))
}

#[tokio::test]
async fn a_datagram_with_a_cookie_waits_for_the_dht_and_others_are_answered_meanwhile() {
    let started = start(LONG).await;
    let client = Client::new(&started.server).await;
    started.dht.answers.send_replace(false);
    client.send(iroh_query(&started.packet, "dns.test.")).await;
    let mut lookup_count = started.dht.lookup_count.subscribe();
    lookup_count.wait_for(|count| *count == 1).await.unwrap();
    assert_eq!(client.ask(alice_query()).await.answers.len(), 1);
    started.dht.answers.send_replace(true);
    let answer = client.receive().await;
    assert_eq!(answer.answers[0].data.to_string(), "from the DHT");
}

#[tokio::test]
async fn a_datagram_whose_source_may_be_forged_starts_no_lookup() {
    let started = start(LONG).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(started.server.local_addr()).await.unwrap();
    let client = Client {
        socket,
        cookie: vec![1; 8],
    };
    let query = iroh_query(&started.packet, "dns.test.");
    let answer = client.ask(query.clone()).await;
    assert!(answer.truncation && answer.answers.is_empty(), "{answer}");
    assert_eq!(*started.dht.lookup_count.borrow(), 0);
    // As a resolver does then.
    let answer = over_tcp(&started.server, &query).await;
    assert_eq!(answer.answers.len(), 1);
    // What is known is no work.
    assert_eq!(client.ask(query).await.answers.len(), 1);
    assert_eq!(*started.dht.lookup_count.borrow(), 1);
}

#[tokio::test]
async fn a_name_is_nxdomain_only_after_the_answer_of_the_dht() {
    let started = start(Duration::from_millis(50)).await;
    let nobody = packet(9, 5, "unpublished", 30);
    let query = iroh_query(&nobody, "dns.test.");
    started.dht.answers.send_replace(false);
    let answer = over_tcp(&started.server, &with_cookie(query.clone(), &[1; 8])).await;
    assert_eq!(answer.response_code, ResponseCode::ServFail);
    let options = answer.edns.as_ref().unwrap().options();
    let extended = options.get(option::EXTENDED_ERROR.into()).unwrap();
    let extended: Vec<u8> = extended.try_into().unwrap();
    assert_eq!(
        extended[..2],
        22_u16.to_be_bytes(),
        "no reachable authority"
    );
    started.dht.answers.send_replace(true);
    let answer = over_tcp(&started.server, &query).await;
    assert_eq!(answer.response_code, ResponseCode::NXDomain);
    assert_eq!(answer.authorities[0].ttl, 50, "it is remembered shortly");
}

#[tokio::test]
async fn only_a_miss_in_a_zone_with_the_dht_starts_a_lookup() {
    let started = start(LONG).await;
    let elsewhere = iroh_query(&started.packet, "two.test.");
    let answer = over_tcp(&started.server, &elsewhere).await;
    assert_eq!(answer.response_code, ResponseCode::NXDomain);
    let stored = packet(1, 6, "stored", 30);
    started
        .replica
        .store(quorate_fake::received_now(stored.clone()));
    let answer = over_tcp(&started.server, &iroh_query(&stored, "dns.test.")).await;
    assert_eq!(answer.answers[0].data.to_string(), "stored");
    assert_eq!(*started.dht.lookup_count.borrow(), 0);
}

#[tokio::test]
async fn when_all_places_of_a_client_are_taken_a_datagram_is_answered_servfail() {
    let started = start(LONG).await;
    let client = Client::new(&started.server).await;
    started.dht.answers.send_replace(false);
    let mut lookup_count = started.dht.lookup_count.subscribe();
    let query = iroh_query(&started.packet, "dns.test.");
    for waiting in 1..=WAITING_PER_CLIENT_MAX {
        client.send(query.clone()).await;
        lookup_count
            .wait_for(|count| *count == waiting)
            .await
            .unwrap();
    }
    let answer = client.ask(query).await;
    assert_eq!(answer.response_code, ResponseCode::ServFail);
    started.dht.answers.send_replace(true);
    assert_eq!(client.receive().await.answers.len(), 1);
}

#[test]
fn a_responder_that_is_not_asked_to_wait_says_that_it_does_not_know() {
    let fixture = Fixture::new().with_dht(FakeDht::new(), LONG);
    let missing = query(&iroh(NOBODY, "dns.test."), RecordType::TXT);
    let answer = fixture.respond(&missing, DnsTransport::Tcp).unwrap();
    assert_eq!(parse(&answer).response_code, ResponseCode::ServFail);
}
