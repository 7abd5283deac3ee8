//! A client that fills memory with requests whose bodies never arrive.

use std::time::Duration;

use quorate_tests::{Cluster, Node, voters};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How many connections it opens, with as many requests on each as HTTP/2 allows: 25,000 in all.
const CONNECTION_COUNT: usize = 250;
const STREAM_COUNT: u32 = 100;

/// The memory that all of them may cost a node, in bytes of its resident set.
const SIZE_MAX: usize = 64 * 1024 * 1024;

/// The body of a request may take 10 s. The measurement must be earlier.
const PING_WITHIN: Duration = Duration::from_secs(10);

/// Types and flags of HTTP/2 frames (RFC 9113, section 6).
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = (payload.len() as u32).to_be_bytes();
    [&size[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header of `POST /dns-query` with so many fields, of one byte each (RFC 7541).
fn header_block(field_count: usize) -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x01, 1, b'a', 0x04, 10];
    block.extend(b"/dns-query");
    // content-type: application/dns-message
    block.extend([0x0f, 0x10, 23]);
    block.extend(b"application/dns-message");
    // An empty field, and references to it.
    block.extend([0x40, 1, b'x', 0]);
    block.extend(vec![0xbe; field_count - 1]);
    block
}

/// Opens a connection with as many requests as possible, each without its body. Returns when the node
/// has read all of them.
async fn open(node: &Node, field_count: usize) -> TcpStream {
    let mut stream = TcpStream::connect(node.addresses().http)
        .await
        .expect("it listens");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for number in 0..STREAM_COUNT {
        let block = header_block(field_count);
        bytes.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &block));
    }
    bytes.extend(frame(PING, 0, 0, b"the last"));
    stream.write_all(&bytes).await.expect("it reads");
    let mut read = Vec::new();
    let answered = async {
        while !read.windows(8).any(|window| window == b"the last") {
            let size = stream.read_buf(&mut read).await;
            assert!(size.expect("it answers") > 0, "the connection is open");
        }
    };
    timeout(PING_WITHIN, answered)
        .await
        .expect("it answers a PING");
    stream
}

/// Too many fields are rejected at once; as many as are allowed are only kept until the body is awaited.
#[tokio::test(flavor = "multi_thread")]
async fn requests_without_their_bodies_take_little_memory() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    drop(open(&node, 2).await);
    for field_count in [470, 50] {
        let before = node.resident_size();
        let mut held = Vec::new();
        for _ in 0..CONNECTION_COUNT {
            held.push(open(&node, field_count).await);
        }
        let size = node.resident_size().saturating_sub(before);
        assert!(size <= SIZE_MAX, "{field_count} fields: {size} bytes");
    }
    // Others are served.
    let alice = cluster.publisher("alice");
    alice.put(&node, "here").await.expect_acked();
}
