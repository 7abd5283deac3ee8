//! Nodes of the Mainline DHT on loopback, and packets in it of which some nodes have an older version.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Context, ensure};
use mainline::{Dht, MutableItem, Testnet, async_dht::AsyncDht};
use pkarr::Keypair;
use quorate_tests::{
    Packet,
    packet::{now_micros, sign_txt},
};
use tokio::{net::UdpSocket, task::JoinSet, time::timeout};

/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How many of the 20 nodes that keep a key have its newest packet. The others have an older one.
const NEWEST_AT: usize = 6;

/// How many nodes the systems know at first.
const BOOTSTRAP_COUNT: usize = 4;

/// How many keys are published at the same time: more overload the network.
const AT_ONCE: usize = 2;

/// Ports of the bootstrap nodes that pkarr-relay has built in.
const BUILT_IN_PORTS: [u16; 2] = [6881, 25401];

/// The network, and a program that publishes in it.
pub(crate) struct DhtNetwork {
    nodes: Vec<Dht>,
    pub(crate) bootstrap: Vec<SocketAddrV4>,
    publisher: AsyncDht,
}

/// A key, and the timestamp of its newest packet.
pub(crate) struct PublishedKey {
    pub(crate) key: String,
    pub(crate) newest: u64,
}

impl DhtNetwork {
    pub(crate) async fn start(size: usize) -> anyhow::Result<Self> {
        let testnet = Testnet::builder(size).build()?;
        let mut nodes = testnet.nodes;
        let bootstrap = testnet.bootstrap.iter().map(|address| address.parse());
        let bootstrap = bootstrap.collect::<Result<Vec<SocketAddrV4>, _>>()?;
        // The first node of the network usually has the default port, which is one of them.
        let missing = |port: &u16| bootstrap.iter().all(|address| address.port() != *port);
        for port in BUILT_IN_PORTS.into_iter().filter(missing) {
            let mut builder = Dht::builder();
            builder
                .bootstrap(&bootstrap[..BOOTSTRAP_COUNT])
                .server_mode();
            builder.bind_address(Ipv4Addr::LOCALHOST).port(port);
            let built = builder.build();
            nodes.push(built.with_context(|| format!("UDP port {port} must be free"))?);
        }
        // Each lookup asks all of these.
        let few = &bootstrap[..BOOTSTRAP_COUNT];
        let mut builder = Dht::builder();
        builder.bootstrap(few);
        builder.bind_address(Ipv4Addr::LOCALHOST).port(0);
        let publisher = builder.build()?.as_async();
        publisher.bootstrapped().await;
        let bootstrap = few.to_vec();
        Ok(Self {
            nodes,
            bootstrap,
            publisher,
        })
    }

    /// Ends all nodes.
    pub(crate) fn stop(&mut self) {
        self.nodes.clear();
    }

    /// Publishes packets of so many new keys.
    pub(crate) async fn publish(&self, count: usize) -> anyhow::Result<Vec<PublishedKey>> {
        let mut published = Vec::new();
        while published.len() < count {
            let mut publications = JoinSet::new();
            for _ in published.len()..count.min(published.len() + AT_ONCE) {
                publications.spawn(publish_two(self.publisher.clone()));
            }
            for publication in publications.join_all().await {
                published.push(publication?);
            }
        }
        Ok(published)
    }
}

/// Publishes a packet of a new key at all nodes that should keep it, and a newer one at some of them.
async fn publish_two(publisher: AsyncDht) -> anyhow::Result<PublishedKey> {
    let keys = Keypair::random();
    let old = packet(&keys);
    let stored = publisher.put_mutable(item(&keys, &old), None).await;
    stored.context("no node takes a packet")?;
    let new = packet(&keys);
    let item = item(&keys, &new);
    let nodes = publisher.get_closest_nodes(*item.target()).await;
    let mut stored = 0;
    for node in nodes {
        if stored == NEWEST_AT {
            break;
        }
        stored += usize::from(store_at(node.address(), &item).await?);
    }
    ensure!(stored == NEWEST_AT, "{stored} nodes took a newer packet");
    Ok(PublishedKey {
        key: new.key,
        newest: new.micros,
    })
}

/// A packet whose text is its timestamp.
fn packet(keys: &Keypair) -> Packet {
    let micros = now_micros();
    let name = format!("_iroh.{}.", keys.to_z32());
    sign_txt(keys, micros, &[(&name, &micros.to_string())])
}

fn item(keys: &Keypair, packet: &Packet) -> MutableItem {
    let (signature, rest) = packet
        .payload
        .split_first_chunk()
        .expect("a packet begins with its signature");
    let (key, seq) = (keys.public_key().to_bytes(), packet.micros as i64);
    MutableItem::new_signed_unchecked(key, *signature, &rest[8..], seq, None)
}

/// Stores an item at one node (BEP 44), and returns whether it took it.
async fn store_at(node: SocketAddrV4, item: &MutableItem) -> anyhow::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(node).await?;
    let id = text(&[7; 20]);
    let get = [
        &b"d1:ad2:id"[..],
        &id,
        b"6:target",
        &text(item.target().as_bytes()),
        b"e1:q3:get1:t4:getx1:y1:qe",
    ];
    let answer = exchange(&socket, &get.concat()).await?;
    let token = value(&answer, b"5:token").context("a node gave no token")?;
    let seq = format!("3:seqi{}e", item.seq());
    let put = [
        &b"d1:ad2:id"[..],
        &id,
        b"1:k",
        &text(item.key()),
        seq.as_bytes(),
        b"3:sig",
        &text(item.signature()),
        // Not in BEP 44, but the library wants it.
        b"6:target",
        &text(item.target().as_bytes()),
        b"5:token",
        &text(token),
        b"1:v",
        &text(item.value()),
        b"e1:q3:put1:t4:putx1:y1:qe",
    ];
    let answer = exchange(&socket, &put.concat()).await?;
    Ok(answer.windows(6).any(|part| part == b"1:y1:r"))
}

async fn exchange(socket: &UdpSocket, message: &[u8]) -> anyhow::Result<Vec<u8>> {
    socket.send(message).await?;
    let mut answer = vec![0; 2048];
    let size = timeout(ANSWER_WITHIN, socket.recv(&mut answer)).await??;
    answer.truncate(size);
    Ok(answer)
}

/// A byte string in bencode.
fn text(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

/// The byte string after a key in bencode.
fn value<'a>(message: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = message.windows(key.len()).position(|part| part == key)?;
    let rest = &message[at + key.len()..];
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let size: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    rest.get(colon + 1..colon + 1 + size)
}
