//! Round trips to nodes of the DHT, from which the timeout of requests follows.
//!
//! A lookup ends only when every node that it asked has answered or is given up, and some are always
//! gone. With the longest timeout, no lookup on the public network would be complete before a question's
//! deadline, and nobody would be told that a key has no packet.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

/// The timeout while too few round trips are known: the library's own.
pub(crate) const REQUEST_TIMEOUT_MAX: Duration = mainline::DEFAULT_REQUEST_TIMEOUT;

/// The shortest timeout: nodes near by may be slow for a moment.
const REQUEST_TIMEOUT_MIN: Duration = Duration::from_millis(500);

/// The timeout is so many times the round trip that 9 of 10 nodes stay below.
const TIMEOUT_FACTOR: u32 = 2;

/// At most so many nodes are asked, and at least so many must answer.
const ASKED_MAX: usize = 32;
const ANSWERED_MIN: usize = 3;

/// The timeout that follows from these round trips.
pub(crate) fn request_timeout(mut round_trips: Vec<Duration>) -> Duration {
    if round_trips.len() < ANSWERED_MIN {
        return REQUEST_TIMEOUT_MAX;
    }
    round_trips.sort_unstable();
    let slow = round_trips[round_trips.len() * 9 / 10];
    (slow * TIMEOUT_FACTOR).clamp(REQUEST_TIMEOUT_MIN, REQUEST_TIMEOUT_MAX)
}

/// Sends a ping (BEP 5) to each of these nodes, from a socket at this address, and returns the round
/// trips of the answers.
///
/// # Errors
/// The socket cannot be bound, or fails.
pub(crate) async fn measure(from: IpAddr, nodes: &[SocketAddrV4]) -> io::Result<Vec<Duration>> {
    let socket = UdpSocket::bind((from, 0)).await?;
    let ping = ping();
    let mut sent = HashMap::new();
    for node in nodes.iter().take(ASKED_MAX) {
        // A node that cannot be reached does not answer.
        if socket.send_to(&ping, node).await.is_ok() {
            sent.insert(SocketAddr::from(*node), Instant::now());
        }
    }
    let deadline = Instant::now() + REQUEST_TIMEOUT_MAX;
    let (mut round_trips, mut datagram) = (Vec::new(), [0; 1]);
    while !sent.is_empty() {
        let Ok(received) = timeout_at(deadline, socket.recv_from(&mut datagram)).await else {
            break;
        };
        // What a node answers does not matter.
        if let Ok((_, node)) = received
            && let Some(sent_at) = sent.remove(&node)
        {
            round_trips.push(sent_at.elapsed());
        }
    }
    Ok(round_trips)
}

/// With an id that nobody remembers, because the message says that its sender answers nothing (BEP 43).
fn ping() -> Vec<u8> {
    let id: [u8; 20] = std::array::from_fn(|_| fastrand::u8(..));
    [
        b"d1:ad2:id20:",
        &id[..],
        b"e1:q4:ping2:roi1e1:t4:ping1:y1:qe",
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::test_node::{Behaviour, TestNode};

    #[test]
    fn the_timeout_follows_the_slow_nodes_within_bounds() {
        let millis =
            |all: &[u64]| request_timeout(all.iter().copied().map(Duration::from_millis).collect());
        assert_eq!(millis(&[]), REQUEST_TIMEOUT_MAX);
        assert_eq!(millis(&[1, 1]), REQUEST_TIMEOUT_MAX);
        assert_eq!(millis(&[1, 1, 1, 1]), REQUEST_TIMEOUT_MIN);
        let mut round_trips = vec![50; 16];
        round_trips.extend([400; 3]);
        round_trips.push(1900);
        assert_eq!(millis(&round_trips), Duration::from_millis(800));
        assert_eq!(millis(&[1500; 9]), REQUEST_TIMEOUT_MAX);
    }

    #[tokio::test]
    async fn nodes_that_answer_a_ping_are_measured() {
        let nodes = [
            TestNode::start(1, Behaviour::Empty).await,
            TestNode::start(2, Behaviour::Empty).await,
        ];
        let addresses = nodes.each_ref().map(|node| match node.address {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => unreachable!("nodes have IPv4 addresses"),
        });
        let measured = measure(Ipv4Addr::LOCALHOST.into(), &addresses).await;
        assert_eq!(measured.unwrap().len(), nodes.len());
    }
}
