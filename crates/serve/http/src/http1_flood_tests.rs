//! HTTP/1.1 clients that try to cost the server more than themselves.
//!
//! Each test has a server, a client that floods it, and another client that must be served
//! meanwhile. All run on one thread, so that all allocations are counted.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

use crate::fixture::{FLOOD_SIZE, Fixture, GET, LONG, MEMORY_MAX, SHORT, measured, put_header};

/// Pipelined requests of HTTP/1.1, followed by bytes that are not a request.
#[tokio::test]
async fn pipelined_garbage_ends_the_connection_and_no_other() {
    let server = Fixture::new(|_| ()).await;
    let mut other = server.connect().await;
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET /\r\n\r\n",
        "\u{1f600} / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(GET.repeat(3)).await;
        client.send(garbage.repeat(1000)).await;
        let answers = client.read_to_end().await;
        assert_eq!(answers.matches("HTTP/1.1 404 ").count(), 3, "{answers}");
        assert_eq!(answers.matches("HTTP/1.1 400 ").count(), 1, "{answers}");
        assert!(other.get().await.contains(" 404 "));
    }
}

/// A client that sends requests and reads no answers makes the server buffer some answers.
#[test]
fn pipelined_requests_of_a_client_that_does_not_read() {
    let ((), memory) = measured(async {
        let server = Fixture::for_floods().await;
        let mut other = server.connect().await;
        let mut client = server.connect().await;
        let request = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
        let flood = async { while client.0.write_all(request.as_bytes()).await.is_ok() {} };
        assert!(
            timeout(2 * SHORT, flood).await.is_err(),
            "the server should stop reading"
        );
        assert!(other.get().await.contains(" 404 "));
    });
    assert!(memory < MEMORY_MAX, "{memory}");
}

/// Many clients wait for changes of packets, each on its own connection.
#[test]
fn a_connection_that_waits_takes_little_memory() {
    const COUNT: usize = 200;
    /// hyper's two buffers of 8 KiB, most of which is never used, and as much for everything else.
    const EACH_MAX: u64 = 32 * 1024;
    let ((), memory) = measured(async {
        let server = Fixture::for_floods().await;
        let mut clients = Vec::new();
        for _ in 0..COUNT {
            let mut client = server.connect().await;
            client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
            clients.push(client);
        }
        server.until_waiting_at_gate(COUNT).await;
    });
    let each = memory / COUNT as u64;
    assert!(each < EACH_MAX, "{each} bytes each");
}

/// Many fields, long ones, or a chunk's extension without an end.
#[test]
fn headers_of_http1_that_do_not_end() {
    let chunked = "PUT /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (begin, piece) in [
        ("GET / HTTP/1.1\r\n", "X: y\r\n"),
        ("GET / HTTP/1.1\r\nX: ", "yyyyyyyy"),
        ("GET /", "yyyyyyyy"),
        (chunked, "0;yyyyyy"),
        (chunked, "1\r\nx\r\n"),
        (&*format!("{chunked}0\r\n"), "X: y\r\n"),
    ] {
        let ((), memory) = measured(async {
            let server = Fixture::for_floods().await;
            let mut other = server.connect().await;
            let mut client = server.connect().await;
            client.send(begin).await;
            let piece = piece.repeat(2000);
            let (mut sent, started) = (0, Instant::now());
            while sent < FLOOD_SIZE && client.0.write_all(piece.as_bytes()).await.is_ok() {
                sent += piece.len();
                assert!(started.elapsed() < LONG + LONG, "{begin}: it is still read");
            }
            assert!(other.get().await.contains(" 404 "));
        });
        assert!(memory < MEMORY_MAX, "{begin}: {memory}");
    }
}

/// What a client sends over its rate is read later, and others do not wait.
#[tokio::test]
async fn a_client_that_sends_too_fast_is_delayed_and_others_are_not() {
    let server = Fixture::new(|config| config.connection_bytes_per_sec = 65_536).await;
    let mut client = server.connect().await;
    let put = [put_header("/body", 900).as_bytes(), &[0; 900]].concat();
    let started = Instant::now();
    // The bytes of three seconds.
    for _ in 0..130 {
        client.send(&put).await;
        client.read_answer().await;
    }
    assert!(started.elapsed() > Duration::from_secs(1), "it was delayed");
    client.send(&put).await;
    assert!(server.connect().await.get().await.contains(" 404 "));
}
