//! Connections to the peer address from strangers, and from nodes that send garbage.

use quorate_tests::{Cluster, Node, packet::garbage, voters};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, timeout},
};

use crate::peer::{call, frame, hello, seed_of};

/// The wire version that nodes speak.
const WIRE_VERSION: u8 = 1;

/// The stream kinds that nodes have, and some that they do not.
const STREAM_KINDS: std::ops::RangeInclusive<u8> = 0..=8;

/// A stranger receives nothing, not even a version, whatever it sends.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_gets_no_byte() {
    let cluster = Cluster::start(voters(3)).await;
    let node = cluster.node(1);
    let process = node.process_id();
    let id = cluster_id(&node);
    for seed in [Some([9; 32]), None] {
        for lane in STREAM_KINDS {
            for sent in [hello(WIRE_VERSION, &id, lane), hello(99, &id, lane), vec![]] {
                let received = call(node.addresses().peer, seed, &sent).await;
                assert_eq!(received, b"", "lane {lane}");
            }
        }
    }
    // A client with a node's key receives an answer, so the silence above is for strangers.
    let known = call(
        node.addresses().peer,
        Some(other_key(&cluster)),
        &hello(99, &id, 1),
    )
    .await;
    assert_ne!(known, b"");
    expect_undisturbed(&cluster, &node, process).await;
}

/// A node of another version receives the supported versions and no more.
#[tokio::test(flavor = "multi_thread")]
async fn another_wire_version_is_rejected_with_the_reason() {
    let cluster = Cluster::start(voters(3)).await;
    let node = cluster.node(1);
    let process = node.process_id();
    let key = Some(other_key(&cluster));
    let id = cluster_id(&node);
    let received = call(node.addresses().peer, key, &hello(99, &id, 1)).await;
    let output = String::from_utf8_lossy(&received);
    assert!(output.contains("wire version"), "{output}");
    let received = call(
        node.addresses().peer,
        key,
        &hello(WIRE_VERSION, &[7; 32], 1),
    )
    .await;
    let output = String::from_utf8_lossy(&received);
    assert!(output.contains("another cluster"), "{output}");
    expect_undisturbed(&cluster, &node, process).await;
}

/// A client with a node's key sends garbage, before its greeting or after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_peer_that_speaks_garbage_is_cut_off() {
    let cluster = Cluster::start(voters(3)).await;
    let node = cluster.node(1);
    let process = node.process_id();
    let key = Some(other_key(&cluster));
    let id = cluster_id(&node);
    let mut sent = vec![vec![0; 64], vec![0xff; 64], frame(b""), frame(b"quorate2")];
    sent.extend((1..=8).map(|seed| garbage(seed, 200 * seed as usize)));
    for lane in STREAM_KINDS {
        let hello = hello(WIRE_VERSION, &id, lane);
        sent.push([&hello[..], &[0xff; 64]].concat());
        sent.push([&hello[..], &frame(&garbage(u64::from(lane) + 1, 300))].concat());
        sent.push([&hello[..], &frame(&[0x80; 32])].concat());
    }
    for bytes in sent {
        // `call` asserts that the connection ends.
        call(node.addresses().peer, key, &bytes).await;
    }
    expect_undisturbed(&cluster, &node, process).await;
}

/// Bytes that are not TLS.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_the_peer_port_does_no_harm() {
    let cluster = Cluster::start(voters(3)).await;
    let node = cluster.node(1);
    let process = node.process_id();
    for seed in 1..=16 {
        let mut stream = TcpStream::connect(node.addresses().peer)
            .await
            .expect("it listens");
        let _ = stream.write_all(&garbage(seed, 100 * seed as usize)).await;
        let _ = stream.shutdown().await;
        let mut received = Vec::new();
        let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut received)).await;
        let _ = read.expect("the node ends the call");
        assert!(received.len() <= 7, "more than an alert: {received:?}");
    }
    expect_undisturbed(&cluster, &node, process).await;
}

/// The node still runs, and the cluster works.
async fn expect_undisturbed(cluster: &Cluster, node: &Node, process_id: Option<u32>) {
    node.expect_unharmed(process_id).await;
    let alice = cluster.publisher("alice");
    alice.put(node, "still here").await.expect_acked();
    cluster.nodes().expect_txt(&alice, "still here").await;
    cluster.nodes().expect_converged().await;
}

fn other_key(cluster: &Cluster) -> [u8; 32] {
    seed_of(&cluster.node(2).data_dir())
}

/// The id of the cluster, as the file `cluster` in the data directory says.
fn cluster_id(node: &Node) -> [u8; 32] {
    let text = std::fs::read_to_string(node.data_dir().join("cluster")).expect("it has started");
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("id "))
        .expect("it is in a cluster");
    let id = data_encoding::HEXLOWER
        .decode(id.as_bytes())
        .expect("it is hexadecimal");
    id.try_into().expect("it has 32 bytes")
}
