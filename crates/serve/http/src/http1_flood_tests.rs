//! Who sends by HTTP/1.1 what costs us more than it costs them.
//!
//! Each test has a server, a client that floods it and one that is served all the while, on one
//! thread, so that all that is allocated is counted.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

use crate::fixture::{FLOOD_SIZE, Fixture, GET, LONG, MEMORY_MAX, SHORT, measured, put_header};

/// Requests of HTTP/1.1 that follow each other, and then what is none.
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

/// A client that sends requests and takes no answer makes us keep some of them.
#[test]
fn pipelined_requests_of_a_client_that_does_not_read() {
    let ((), memory) = measured(async {
        let server = Fixture::of_floods().await;
        let mut other = server.connect().await;
        let mut client = server.connect().await;
        let request = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
        let flood = async { while client.0.write_all(request.as_bytes()).await.is_ok() {} };
        assert!(timeout(2 * SHORT, flood).await.is_err(), "it is held");
        assert!(other.get().await.contains(" 404 "));
    });
    assert!(memory < MEMORY_MAX, "{memory}");
}

/// As many wait for changes of packets, each on its own connection.
#[test]
fn a_connection_that_waits_takes_little_memory() {
    const COUNT: usize = 200;
    /// hyper's two buffers of 8 KiB, most of which is never touched, and as much for all else.
    const EACH_MAX: u64 = 32 * 1024;
    let ((), memory) = measured(async {
        let server = Fixture::of_floods().await;
        let mut clients = Vec::new();
        for _ in 0..COUNT {
            let mut client = server.connect().await;
            client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
            clients.push(client);
        }
        server.waits_at_gate(COUNT).await;
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
            let server = Fixture::of_floods().await;
            let mut other = server.connect().await;
            let mut client = server.connect().await;
            client.send(begin).await;
            let piece = piece.repeat(2000);
            let (mut sent, begun) = (0, Instant::now());
            while sent < FLOOD_SIZE && client.0.write_all(piece.as_bytes()).await.is_ok() {
                sent += piece.len();
                assert!(begun.elapsed() < LONG + LONG, "{begin}: it goes on");
            }
            assert!(other.get().await.contains(" 404 "));
        });
        assert!(memory < MEMORY_MAX, "{begin}: {memory}");
    }
}

/// What a client sends beyond its bytes a second waits with it, whoever it is; others do not wait.
#[tokio::test]
async fn a_client_that_sends_too_fast_is_heard_later_and_others_at_once() {
    let server = Fixture::new(|config| config.connection_bytes_per_sec = 65_536).await;
    let mut client = server.connect().await;
    let put = [put_header("/body", 900).as_bytes(), &[0; 900]].concat();
    let begun = Instant::now();
    // As many bytes as there are in three seconds.
    for _ in 0..130 {
        client.send(&put).await;
        client.read_answer().await;
    }
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "it was heard later"
    );
    client.send(&put).await;
    assert!(server.connect().await.get().await.contains(" 404 "));
}
