use std::{net::Ipv4Addr, time::Duration};

use nix::{
    libc::{in_addr, in_pktinfo},
    sys::socket::SockaddrIn,
};

use super::*;
use crate::udp::{bind, family::V4};

/// A timeout that is only reached if something never happens.
const LONG: Duration = Duration::from_secs(20);

fn client() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn local_source(last: u8) -> in_pktinfo {
    in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: in_addr {
            s_addr: u32::from_ne_bytes([127, 0, 0, last]),
        },
        ipi_addr: in_addr { s_addr: 0 },
    }
}

/// Sending to port 0 always fails.
#[test]
fn a_failed_datagram_does_not_block_others() {
    for is_wildcard in [true, false] {
        let ip = match is_wildcard {
            true => Ipv4Addr::UNSPECIFIED,
            false => Ipv4Addr::LOCALHOST,
        };
        let socket = bind((ip, 0).into(), 1).unwrap().remove(0);
        let mut batch = Batch::<V4>::new(is_wildcard);
        let clients = [(); 4].map(|()| client());
        let port = |at: usize| clients[at].local_addr().unwrap().port();
        let ports = [0, port(0), 0, 0, port(1), port(2), 0, port(3), 0];
        for (answer, port) in ports.into_iter().enumerate() {
            batch.answers[answer] = vec![answer as u8];
            batch.replies.push(Reply {
                answer,
                destination: Destination {
                    client: SockaddrIn::new(127, 0, 0, 1, port),
                    source: is_wildcard.then(|| local_source(1 + answer as u8 % 2)),
                },
            });
        }
        let mut failed = Vec::new();
        batch.send(&socket, |error| failed.push(error));
        assert_eq!(failed, [Errno::EINVAL; 5]);
        for (client, answer) in clients.iter().zip([1, 4, 5, 7]) {
            let mut datagram = [0; 16];
            let (size, from) = client.recv_from(&mut datagram).unwrap();
            assert_eq!(datagram[..size], [answer]);
            if is_wildcard {
                assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, 1 + answer % 2));
            }
        }
        assert!(batch.replies.is_empty());
    }
}

#[test]
fn more_queries_than_a_batch_are_all_answered() {
    let socket = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap().remove(0);
    let mut batch = Batch::<V4>::new(false);
    let client = client();
    client.connect(socket.local_addr().unwrap()).unwrap();
    let count = 3 * BATCH_SIZE as u8 + 1;
    for number in 0..count {
        client.send(&[number]).unwrap();
    }
    // Empty datagrams count too.
    client.send(&[]).unwrap();
    let mut received = Vec::new();
    while received.len() <= count.into() {
        let answer = |datagram: &[u8], from: &Destination<V4>, out: &mut Vec<u8>| {
            assert_eq!(from.client.ip(), Ipv4Addr::LOCALHOST);
            received.push(datagram.to_vec());
            out.clear();
            out.extend_from_slice(datagram);
            !datagram.is_empty()
        };
        batch.receive(&socket, || false, answer).unwrap();
        batch.send(&socket, |error| panic!("{error}"));
    }
    let numbers = (0..count).map(|number| vec![number]);
    assert_eq!(received, numbers.chain([vec![]]).collect::<Vec<_>>());
    for number in 0..count {
        let mut datagram = [0; 16];
        assert_eq!(client.recv(&mut datagram).unwrap(), 1);
        assert_eq!(datagram[0], number);
    }
}

#[test]
fn no_answer_is_larger_than_the_datagram_limit() {
    let socket = bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap().remove(0);
    let mut batch = Batch::<V4>::new(false);
    let client = client();
    client.connect(socket.local_addr().unwrap()).unwrap();
    for size in [1233_u16, 1232] {
        client.send(&size.to_be_bytes()).unwrap();
    }
    let mut received = 0;
    while received < 2 {
        let answer = |datagram: &[u8], _: &Destination<V4>, out: &mut Vec<u8>| {
            received += 1;
            let size = u16::from_be_bytes(datagram.try_into().unwrap());
            *out = vec![0; size.into()];
            true
        };
        batch.receive(&socket, || false, answer).unwrap();
        batch.send(&socket, |error| panic!("{error}"));
    }
    assert_eq!(client.recv(&mut [0; 2000]).unwrap(), 1232);
}
