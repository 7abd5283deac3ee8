//! Strangers, garbage and peers that use too much, over loopback.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{Frame, FrameMetadata, LinkError, StreamKind, message::Response};
use futures_util::{SinkExt, StreamExt, stream};
use prometheus::proto::Metric;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client;

use crate::{
    FRAME_SIZE_MAX, LinkServerConfig,
    test_nodes::*,
    test_service::{Echo, Serve},
};

/// How long TCP itself waits for a peer that reads nothing.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_unknown_key_gets_nothing() {
    let bob = Node::bob(Echo).await;
    let mut stream = tls(MALLORY, bob.address()).await;
    let hello = encoded(&hello(StreamKind::Append));
    let _ = stream.write_all(&frame(&hello)).await;
    let (bytes, _) = rest(&mut stream).await;
    assert!(bytes.is_empty(), "not one byte, not even a version");
    eventually("the stranger is counted", || {
        bob.handshakes("unknown_key") == 1
    })
    .await;
    assert_eq!(bob.handshakes("welcomed"), 0);
    bob.expect_alive().await;
}

#[tokio::test]
async fn a_link_to_a_peer_that_answers_garbage_ends() {
    for garbage in [frame(b"hello"), vec![0xff; 100], vec![], frame(&[0; 600])] {
        open(ALICE, fake_bob(garbage).await).await.err().unwrap();
    }
    // After the welcome.
    let welcome = frame(&encoded(&WELCOME));
    let address = fake_bob([welcome, frame(&[0xff; 30])].concat()).await;
    let mut link = open(ALICE, address).await.unwrap();
    let error = next(&mut link).await.unwrap().unwrap_err();
    let LinkError::Failed(text) = error else {
        panic!("{error}: it did not hang up")
    };
    assert!(text.contains("does not contain a message"), "{text}");
    assert!(next(&mut link).await.is_none());
}

#[tokio::test]
async fn garbage_before_tls_is_dropped() {
    let bob = Node::bob(Echo).await;
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 3000],
        vec![0x16, 0x03, 0x01, 0xff, 0xff, 0x01],
    ] {
        let mut stream = TcpStream::connect(bob.address()).await.unwrap();
        // The other end may have closed before all is sent.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        rest(&mut stream).await.1.ok();
        bob.expect_alive().await;
    }
    eventually("strangers are counted", || {
        bob.handshakes("tls") + bob.handshakes("closed") == 3
    })
    .await;
}

#[tokio::test]
async fn garbage_from_an_admitted_peer_ends_its_link() {
    let bob = Node::bob(Echo).await;
    for garbage in [
        frame(b"hello"),
        frame(&[]),
        vec![0xff; 3000],
        frame(&[1; 300]),
    ] {
        let mut stream = tls(ALICE, bob.address()).await;
        let _ = stream.write_all(&garbage).await;
        let (bytes, _) = rest(&mut stream).await;
        assert!(bytes.is_empty() || bytes[4] == 1, "nothing, or a rejection");
    }
    bob.expect_alive().await;
}

/// Sends Bob a hello by hand and is welcomed.
async fn welcomed(bob: &Node) -> client::TlsStream<TcpStream> {
    let mut stream = tls(ALICE, bob.address()).await;
    let hello = encoded(&hello(StreamKind::Append));
    stream.write_all(&frame(&hello)).await.unwrap();
    let welcome = frame(&encoded(&WELCOME));
    let mut greeting = vec![0; welcome.len()];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, welcome);
    stream
}

#[tokio::test]
async fn garbage_on_an_open_link_ends_that_link_only() {
    let bob = Node::bob(Echo).await;
    let mut other = open(ALICE, bob.address()).await.unwrap();
    let mut bad_tail = encoded(&request("fine"));
    let metadata = postcard::to_stdvec(&FrameMetadata::default()).unwrap();
    bad_tail.truncate(bad_tail.len() - metadata.len());
    bad_tail.extend([0xff; 40]);
    for garbage in [
        frame(&[0xff; 40]),
        frame(&[]),
        frame(&[5]),
        frame(&bad_tail),
    ] {
        let mut stream = welcomed(&bob).await;
        stream.write_all(&garbage).await.unwrap();
        assert!(rest(&mut stream).await.0.is_empty());
    }
    assert_eq!(ask(&mut other, "still here?").await, "still here?");
    bob.expect_alive().await;
}

#[tokio::test]
async fn an_oversized_frame_is_rejected() {
    let bob = Node::bob(Echo).await;
    for size in [FRAME_SIZE_MAX as u32 + 1, u32::MAX] {
        let mut stream = welcomed(&bob).await;
        stream.write_all(&size.to_be_bytes()).await.unwrap();
        assert!(rest(&mut stream).await.0.is_empty());
    }
    bob.expect_alive().await;

    let mut link = open(ALICE, bob.address()).await.unwrap();
    let oversized = request(&"x".repeat(FRAME_SIZE_MAX));
    let text = text(link.requests.send(oversized).await.unwrap_err());
    assert!(text.contains("a frame at most 8388608"), "{text}");
}

#[tokio::test]
async fn silent_strangers_do_not_block_peers() {
    let config = LinkServerConfig {
        handshake_count_max: 4,
        handshake_timeout: TIMEOUT,
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, Echo).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(TcpStream::connect(bob.address()).await.unwrap());
    }
    bob.expect_alive().await;
    assert!(bob.handshakes("crowded") >= 16);
    let (bytes, _) = rest(&mut strangers[0]).await;
    assert!(bytes.is_empty());
}

#[tokio::test]
async fn a_flood_of_strangers_evicts_itself_before_the_listener_is_full() {
    const STRANGER_COUNT: usize = 400;
    let config = LinkServerConfig {
        handshake_count_max: 4,
        handshake_timeout: TIMEOUT,
        link_count_max: 1,
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, Echo).await;
    let address = bob.address();
    let connect = move || std::net::TcpStream::connect(address).unwrap();
    // On its own thread, which does not wait for Bob.
    let flood = move || (0..STRANGER_COUNT).map(|_| connect()).collect::<Vec<_>>();
    let strangers = tokio::task::spawn_blocking(flood).await.unwrap();
    bob.expect_alive().await;
    assert!(bob.handshakes("crowded") >= STRANGER_COUNT as u64 - 4);
    let refused_total = "quorate_listener_connections_refused_total";
    let count = |metric: &Metric| metric.get_counter().get_value();
    assert_eq!(
        metric_sum(&bob.registry, refused_total, |_| true, count),
        0.0
    );
    drop(strangers);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_times_out() {
    let config = LinkServerConfig {
        handshake_timeout: Duration::from_millis(50),
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, Echo).await;
    let mut silent = TcpStream::connect(bob.address()).await.unwrap();
    assert!(rest(&mut silent).await.0.is_empty());
    let mut without_hello = tls(ALICE, bob.address()).await;
    assert!(rest(&mut without_hello).await.0.is_empty());
    eventually("both are counted", || bob.handshakes("timed_out") == 2).await;
}

#[tokio::test]
async fn the_links_of_a_peer_are_limited() {
    let config = LinkServerConfig {
        link_count_per_peer_max: 2,
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, Echo).await;
    let first = open(ALICE, bob.address()).await.unwrap();
    let mut second = open(ALICE, bob.address()).await.unwrap();
    let text = text(open(ALICE, bob.address()).await.err().unwrap());
    assert!(text.contains("too many open links"), "{text}");
    assert_eq!(bob.handshakes("link_count"), 1);
    assert_eq!(ask(&mut second, "and mine?").await, "and mine?");
    drop(first);
    let reopened = async { while open(ALICE, bob.address()).await.is_err() {} };
    timeout(TIMEOUT, reopened)
        .await
        .expect("permits are returned");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off() {
    const RESPONSE_SIZE: usize = 64 * 1024;
    let response_count = Arc::new(AtomicUsize::new(0));
    let service = {
        let response_count = response_count.clone();
        Serve(move |_requests| {
            let response_count = response_count.clone();
            let response = move || {
                response_count.fetch_add(1, Ordering::Relaxed);
                Frame {
                    id: 0,
                    message: Response::Failed("x".repeat(RESPONSE_SIZE)),
                    metadata: FrameMetadata::default(),
                }
            };
            stream::repeat_with(response).boxed()
        })
    };
    let config = LinkServerConfig {
        write_timeout: Duration::from_millis(100),
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, service).await;
    let mut link = open(ALICE, bob.address()).await.unwrap();
    let cut_off = eventually("the link is cut off", || bob.links_open() == 0);
    timeout(TCP_TIMEOUT / 2, cut_off)
        .await
        .expect("the server does not wait for TCP");
    // What the sockets hold, and what was ready then.
    let size = response_count.load(Ordering::Relaxed) * RESPONSE_SIZE;
    assert!(size < 64 * 1024 * 1024, "{size} bytes were prepared");
    let lost = async { while let Some(Ok(_)) = link.responses.next().await {} };
    timeout(TIMEOUT, lost)
        .await
        .expect("the client sees the end");
}
