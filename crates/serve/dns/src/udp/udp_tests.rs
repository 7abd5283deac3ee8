use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use nix::libc::in6_pktinfo;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu_discover, ipv6_mtu_discover,
};

use super::*;
use crate::fixture::*;

/// A timeout that is only reached if something never happens.
const LONG: Duration = Duration::from_secs(20);

fn client(ip: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn threads(listen: SocketAddr, count: usize) -> (UdpThreads, SocketAddr) {
    let sockets = bind(listen, count).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let fixture = Fixture::new();
    (
        UdpThreads::spawn(sockets, &fixture.responder, None).unwrap(),
        address,
    )
}

/// Sends a query to `server`, and returns the address that the response comes from.
fn answered_from(client: &UdpSocket, server: SocketAddr) -> SocketAddr {
    client.send_to(&alice_query(), server).unwrap();
    let mut datagram = [0; 2048];
    let (size, from) = client.recv_from(&mut datagram).expect("an answer");
    assert_eq!(parse(&datagram[..size]).answers.len(), 1);
    from
}

/// A forged ICMP message "too big" must not make the system fragment responses (RFC 9715, section
/// 3.1).
#[test]
fn sockets_ignore_the_path_mtu() {
    for listen in [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        (Ipv4Addr::UNSPECIFIED, 0).into(),
    ] {
        for socket in bind(listen, 2).unwrap() {
            let mode = ip_mtu_discover(&socket).unwrap();
            assert_eq!(mode, Ipv4PathMtuDiscovery::OMIT);
        }
    }
    for socket in bind((Ipv6Addr::LOCALHOST, 0).into(), 2).unwrap() {
        let mode = ipv6_mtu_discover(&socket).unwrap();
        assert_eq!(mode, Ipv6PathMtuDiscovery::OMIT);
    }
}

/// RFC 2181, section 4.1.
#[tokio::test]
async fn an_answer_leaves_from_the_address_of_the_query() {
    let (threads, at) = threads((Ipv4Addr::UNSPECIFIED, 0).into(), 2);
    let client = client(Ipv4Addr::LOCALHOST.into());
    for last in [2, 1, 77] {
        let server = SocketAddr::from(([127, 0, 0, last], at.port()));
        assert_eq!(answered_from(&client, server), server);
    }
    // Queries in one batch are answered from their own addresses.
    let mut servers = BTreeSet::new();
    for last in 1..=40 {
        let server = SocketAddr::from(([127, 0, 1, last], at.port()));
        client.send_to(&alice_query(), server).unwrap();
        servers.insert(server);
    }
    let mut datagram = [0; 2048];
    let answers = (0..40).map(|_| client.recv_from(&mut datagram).unwrap().1);
    assert_eq!(answers.collect::<BTreeSet<_>>(), servers);
    threads.shutdown().await;
}

/// Test machines have only one IPv6 address, so this test cannot see a wrong source address.
/// `v6_answers_leave_from_the_address_of_the_query` tests how the source is chosen.
#[tokio::test]
async fn an_ipv6_wildcard_answers_and_does_not_take_ipv4() {
    let (threads, at) = threads((Ipv6Addr::UNSPECIFIED, 0).into(), 2);
    let server = SocketAddr::from((Ipv6Addr::LOCALHOST, at.port()));
    assert_eq!(
        answered_from(&client(Ipv6Addr::LOCALHOST.into()), server),
        server
    );
    bind((Ipv4Addr::UNSPECIFIED, at.port()).into(), 1).unwrap();
    threads.shutdown().await;
}

#[test]
fn v6_answers_leave_from_the_address_of_the_query() {
    use nix::{
        libc::in6_addr,
        sys::socket::{ControlMessage, ControlMessageOwned},
    };
    let packet_info = |address: &str| {
        let address: Ipv6Addr = address.parse().unwrap();
        ControlMessageOwned::Ipv6PacketInfo(in6_pktinfo {
            ipi6_addr: in6_addr {
                s6_addr: address.octets(),
            },
            ipi6_ifindex: 7,
        })
    };
    for (address, interface) in [("2001:db8::1", 0), ("fe80::1", 7), ("fec0::1", 0)] {
        let source = family::V6::source(packet_info(address)).unwrap();
        let ControlMessage::Ipv6PacketInfo(info) = family::V6::control(&source) else {
            panic!("a source address");
        };
        assert_eq!(Ipv6Addr::from(info.ipi6_addr.s6_addr).to_string(), address);
        assert_eq!(info.ipi6_ifindex, interface, "{address}");
    }
}

#[test]
fn a_port_of_another_program_is_not_shared() {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let sockets = bind(listen, 2).unwrap();
    let taken = sockets[0].local_addr().unwrap();
    for count in [1, 2] {
        let error = bind(taken, count).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }
    drop(sockets);
    bind(taken, 2).unwrap();
}

#[tokio::test]
async fn clients_are_distributed_over_the_threads() {
    let sockets = bind((Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
    let server = sockets[0].local_addr().unwrap();
    for _ in 0..100 {
        client(Ipv4Addr::LOCALHOST.into())
            .send_to(&alice_query(), server)
            .unwrap();
    }
    for socket in &sockets {
        socket.set_nonblocking(true).unwrap();
        let mut datagram = [0; 2048];
        let received = std::iter::from_fn(|| socket.recv(&mut datagram).ok()).count();
        assert!((1..100).contains(&received), "{received}");
    }
}

/// Only the stop itself wakes them.
#[tokio::test]
async fn waiting_threads_stop_immediately() {
    for listen in [
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        (Ipv6Addr::LOCALHOST, 0).into(),
    ] {
        let (threads, at) = threads(listen, 4);
        let started = Instant::now();
        tokio::time::timeout(LONG, threads.shutdown())
            .await
            .expect("an end");
        assert!(started.elapsed() < LONG);
        bind(at, 1).expect("the address is free");
    }
}
