//! Peers that change their address, over loopback.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{Link, LinkError, NodeId, StreamKind, Transport};
use futures_util::FutureExt;
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    LinkServerConfig, PeerTransport, TransportConfig, addresses::Addresses, connector::Connector,
    test_nodes::*, test_service::Echo,
};

/// The addresses of names, which a test sets.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<String, SocketAddr>>>);

impl Names {
    fn lead(&self, name: &str, address: SocketAddr) {
        self.0.lock().unwrap().insert(name.to_owned(), address);
    }

    fn addresses(&self) -> Addresses {
        let names = self.0.clone();
        Addresses::new(Arc::new(move |name| {
            let found = names.lock().unwrap().get(&name).copied();
            let found = found.map(|address| vec![address]);
            async move { found.ok_or(io::ErrorKind::NotFound.into()) }.boxed()
        }))
    }
}

/// Short, so that a silent peer does not delay a test.
fn short_timeouts() -> TransportConfig {
    TransportConfig {
        connect_timeout: Duration::from_millis(200),
        handshake_timeout: Duration::from_millis(200),
        ..TransportConfig::default()
    }
}

async fn open(transport: &PeerTransport, peer: NodeId, address: &str) -> Result<Link, LinkError> {
    let opened = transport.open(
        peer,
        address.to_owned(),
        StreamKind::Control,
        Box::new(introduction),
    );
    timeout(TIMEOUT, opened).await.expect("a dial ends")
}

/// Dials until there is a link, as nodes do.
async fn found(transport: &PeerTransport, peer: NodeId, address: &str) -> Link {
    let found = async {
        loop {
            match open(transport, peer, address).await {
                Ok(link) => return link,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(TIMEOUT, found).await.expect("the peer is found")
}

async fn closed_address() -> SocketAddr {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    nobody.local_addr().unwrap()
}

/// An address that answers no SYN, because its queue of connections is full while the result is held.
async fn silent_address() -> (SocketAddr, Socket, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    (address, socket, waiting)
}

/// A dial does not wait for the resolver if there is an earlier answer.
#[tokio::test]
async fn a_dial_does_not_wait_for_a_hanging_resolver() {
    let bob = Node::bob(Echo).await;
    let address = bob.address();
    let lookup_count = Arc::new(AtomicUsize::new(0));
    let count = lookup_count.clone();
    let lookup = move |_| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            match first {
                true => Ok(vec![address]),
                false => std::future::pending().await,
            }
        }
        .boxed()
    };
    let addresses = Addresses::new(Arc::new(lookup));
    let alice = alice_with(TransportConfig::default(), addresses);
    open(&alice, id(BOB), "bob:1").await.map_err(text).unwrap();

    bob.server.shutdown().await;
    assert!(
        open(&alice, id(BOB), "bob:1").await.is_err(),
        "nobody is there"
    );
    assert_eq!(lookup_count.load(Ordering::Relaxed), 2, "it may have moved");
    let _bob = Node::bob_at(address, LinkServerConfig::default(), Echo).await;
    let mut link = open(&alice, id(BOB), "bob:1").await.map_err(text).unwrap();
    assert_eq!(ask(&mut link, "found").await, "found");
}

/// Whatever is at the former address.
#[tokio::test]
async fn a_peer_that_moved_is_found_after_a_dial_that_failed() {
    let bob = Node::bob(Echo).await;
    let mallory = Node::at(any(), MALLORY, LinkServerConfig::default(), Echo).await;
    // Accepts connections, and sends nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silent, _socket, _waiting) = silent_address().await;
    let former = [
        ("refuses", closed_address().await),
        ("is silent", silent),
        ("is mute", mute.local_addr().unwrap()),
        ("is another node's", mallory.address()),
    ];
    for (what, former) in former {
        let names = Names::default();
        names.lead("bob:1", former);
        let alice = alice_with(short_timeouts(), names.addresses());
        let lost = open(&alice, id(BOB), "bob:1").await;
        assert!(lost.is_err(), "the former address {what}");
        names.lead("bob:1", bob.address());
        let mut link = found(&alice, id(BOB), "bob:1").await;
        assert_eq!(ask(&mut link, what).await, what);
    }
}

#[tokio::test]
async fn nodes_that_all_change_their_addresses_find_each_other_again() {
    const NAMES: [(u8, &str); 3] = [(ALICE, "alice:1"), (BOB, "bob:1"), (MALLORY, "mallory:1")];
    let names = Names::default();
    let transports = NAMES.map(|(node, _)| {
        let connector = Connector::new(identity(node), short_timeouts());
        let connector = connector.with_addresses(names.addresses());
        PeerTransport::of(connector, metrics())
    });
    // Then each is at the former address of another.
    let mut addresses = Vec::new();
    for turn in 0..3 {
        let mut nodes = Vec::new();
        for (index, (node, name)) in NAMES.into_iter().enumerate() {
            let address = match turn {
                0 => any(),
                turn => addresses[(index + turn) % addresses.len()],
            };
            let node = Node::at(address, node, LinkServerConfig::default(), Echo).await;
            NAMES
                .iter()
                .for_each(|(other, _)| node.service.admit(*other));
            names.lead(name, node.address());
            nodes.push(node);
        }
        for transport in &transports {
            for (peer, name) in NAMES {
                let mut link = found(transport, id(peer), name).await;
                assert_eq!(ask(&mut link, name).await, name);
            }
        }
        addresses = nodes.iter().map(Node::address).collect();
        for node in nodes {
            node.server.shutdown().await;
        }
    }
}

fn any() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}
