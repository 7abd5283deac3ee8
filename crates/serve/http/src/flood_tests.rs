//! HTTP/2 clients that try to cost the server more than themselves.
//!
//! Each test has a server, a client that floods it, and another client that must be served
//! meanwhile. All run on one thread, so that all allocations are counted.

use std::{iter, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::{
    fixture::{FLOOD_SIZE, Fixture, LARGE_SIZE, LONG, MEMORY_MAX, SHORT, measured, within},
    http2_fixture::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2,
        INITIAL_WINDOW_SIZE, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, put,
        setting, streams,
    },
};

/// How much of a flood is sent with one write, in bytes.
const WRITE_SIZE: usize = 16 * 1024;

/// How a flood ended.
#[derive(Debug, PartialEq, Eq)]
enum FloodEnd {
    /// The server closed the connection.
    Closed,
    /// The server read all of it.
    ReadAll,
    /// The server stopped reading.
    StoppedReading,
}

/// Sends pieces while another client is served. If `reads`, the client reads what comes back. If
/// the server does not read a piece within `patience`, the server counts as having stopped reading.
async fn flood(
    server: &Fixture,
    mut client: Http2,
    mut pieces: impl Iterator<Item = Vec<u8>>,
    reads: bool,
    patience: Duration,
) -> FloodEnd {
    let mut other = server.connect().await;
    let (mut sent, mut serve_at) = (0, 0);
    let reader = tokio::spawn(async move {
        let mut unread = [0; 16 * 1024];
        while reads
            && client
                .reader
                .read(&mut unread)
                .await
                .is_ok_and(|size| size > 0)
        {}
        client.reader
    });
    let end = loop {
        let mut bytes = Vec::new();
        while bytes.len() < WRITE_SIZE
            && let Some(piece) = pieces.next()
        {
            bytes.extend(piece);
        }
        if sent > FLOOD_SIZE || bytes.is_empty() {
            break FloodEnd::ReadAll;
        }
        match timeout(patience, client.writer.write_all(&bytes)).await {
            Ok(Ok(())) => sent += bytes.len(),
            Ok(Err(_)) => break FloodEnd::Closed,
            Err(_) => break FloodEnd::StoppedReading,
        }
        if sent > serve_at {
            assert!(other.get().await.contains(" 404 "), "others are served");
            serve_at += FLOOD_SIZE / 64;
        }
    };
    assert!(other.get().await.contains(" 404 "), "others are served");
    reader.abort();
    end
}

/// Sends `first` and then a flood of frames, once with a client that reads what comes back, and
/// once with one that does not.
#[track_caller]
fn check_flood<P: Iterator<Item = Vec<u8>>>(
    settings: &[u8],
    first: &[u8],
    pieces: impl Fn() -> P,
    ends: &[FloodEnd],
) {
    // A slow server must not look like one that stopped reading.
    let patience = match ends.contains(&FloodEnd::StoppedReading) {
        true => SHORT,
        false => LONG,
    };
    for reads in [true, false] {
        let (end, memory) = measured(async {
            let server = Fixture::for_floods().await;
            let mut client = Http2::connect(&server, settings).await;
            client.send(first).await;
            flood(&server, client, pieces(), reads, patience).await
        });
        assert!(ends.contains(&end), "reads: {reads}: {end:?}");
        assert!(memory < MEMORY_MAX, "reads: {reads}: {memory} bytes");
    }
}

fn repeat(frame: Vec<u8>) -> impl Fn() -> iter::Repeat<Vec<u8>> {
    move || iter::repeat(frame.clone())
}

#[test]
fn floods_of_settings() {
    let empty = repeat(frame(SETTINGS, 0, 0, &[]));
    check_flood(
        &[],
        &[],
        empty,
        &[FloodEnd::ReadAll, FloodEnd::StoppedReading],
    );
    let full: Vec<u8> = iter::repeat_n(setting(INITIAL_WINDOW_SIZE, 1), 100)
        .flatten()
        .collect();
    let full = repeat(frame(SETTINGS, 0, 0, &full));
    check_flood(
        &[],
        &[],
        full,
        &[FloodEnd::ReadAll, FloodEnd::StoppedReading],
    );
    let unexpected = repeat(frame(SETTINGS, ACK, 0, &[]));
    check_flood(
        &[],
        &[],
        unexpected,
        &[FloodEnd::Closed, FloodEnd::StoppedReading],
    );
}

/// Each changes the window of every stream.
#[test]
fn floods_of_settings_with_many_streams() {
    let open: Vec<u8> = streams()
        .take(100)
        .flat_map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/gate")))
        .collect();
    let windows = || {
        let windows = [0, 1 << 20].into_iter().cycle();
        windows.map(|size| frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, size)))
    };
    check_flood(
        &[],
        &open,
        windows,
        &[FloodEnd::ReadAll, FloodEnd::StoppedReading],
    );
}

#[test]
fn floods_of_pings() {
    let pings = repeat(frame(PING, 0, 0, &[7; 8]));
    check_flood(
        &[],
        &[],
        pings,
        &[FloodEnd::ReadAll, FloodEnd::StoppedReading],
    );
    let pongs = repeat(frame(PING, ACK, 0, &[7; 8]));
    check_flood(&[], &[], pongs, &[FloodEnd::ReadAll, FloodEnd::Closed]);
}

/// CVE-2023-44487: each request costs work, and is reset immediately.
#[test]
fn floods_of_requests_that_are_reset() {
    for path in ["/gate", "/nothing", "/large"] {
        let resets = || {
            streams().map(move |stream| {
                let mut frames = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path));
                frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                frames
            })
        };
        check_flood(&[], &[], resets, &[FloodEnd::Closed]);
    }
}

/// The other way round: the client makes the server reset the requests.
#[test]
fn floods_of_requests_that_are_malformed() {
    let without_path = [0x82, 0x86];
    let malformed = || {
        streams().map(move |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &without_path))
    };
    check_flood(&[], &[], malformed, &[FloodEnd::Closed]);
    // The window of a stream overflows.
    let overflowing = || {
        streams().map(|stream| {
            let mut frames = frame(HEADERS, END_HEADERS, stream, &put("/gate"));
            let most = (u32::MAX >> 1).to_be_bytes();
            frames.extend(frame(WINDOW_UPDATE, 0, stream, &most));
            frames
        })
    };
    check_flood(&[], &[], overflowing, &[FloodEnd::Closed]);
}

#[test]
fn floods_of_requests_over_the_cap() {
    let waiting =
        || streams().map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/gate")));
    check_flood(
        &[],
        &[],
        waiting,
        &[
            FloodEnd::ReadAll,
            FloodEnd::StoppedReading,
            FloodEnd::Closed,
        ],
    );
}

/// CVE-2024-27316 and its like: a header that never ends.
#[test]
fn floods_of_continuations() {
    let started = frame(HEADERS, END_STREAM, 1, &get("/nothing"));
    for fragment in [
        vec![],
        vec![0x40, 1, b'x', 0],
        [vec![0, 1, b'x', 0x7f, 0x81, 0x7f], vec![b'x'; 16_000]].concat(),
    ] {
        let more = repeat(frame(CONTINUATION, 0, 1, &fragment));
        check_flood(&[], &started, more, &[FloodEnd::Closed]);
    }
}

/// CVE-2019-9518: frames without data in a body that does not end.
#[test]
fn floods_of_empty_data() {
    for path in ["/gate", "/body", "/plain"] {
        let started = frame(HEADERS, END_HEADERS, 1, &put(path));
        let empty = repeat(frame(DATA, 0, 1, &[]));
        check_flood(&[], &started, empty, &[FloodEnd::Closed]);
    }
}

/// Only as much as the window is buffered.
#[test]
fn floods_of_data() {
    for path in ["/gate", "/body", "/plain"] {
        for size in [1, 16_000] {
            let started = frame(HEADERS, END_HEADERS, 1, &put(path));
            let data = repeat(frame(DATA, 0, 1, &vec![0; size]));
            let ends = [
                FloodEnd::Closed,
                FloodEnd::StoppedReading,
                FloodEnd::ReadAll,
            ];
            check_flood(&[], &started, data, &ends);
        }
    }
}

#[test]
fn floods_of_window_updates() {
    let started = frame(HEADERS, END_HEADERS, 1, &put("/gate"));
    for stream in [0, 1] {
        let update = repeat(frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes()));
        check_flood(&[], &started, update, &[FloodEnd::ReadAll]);
    }
}

/// They name streams that do not exist.
#[test]
fn floods_of_priorities() {
    let priorities = || streams().map(|stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16]));
    check_flood(&[], &[], priorities, &[FloodEnd::ReadAll]);
}

#[test]
fn floods_of_unknown_frames() {
    let unknown = repeat(frame(0xfe, 0, 1, &[0; 100]));
    check_flood(&[], &[], unknown, &[FloodEnd::ReadAll]);
}

/// One byte of the header block refers to a field of 4,000 bytes, many times.
#[test]
fn header_bombs() {
    let bomb = |stream| {
        let mut block = get("/nothing");
        block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        block.extend([b'x'; 4000]);
        block.extend([0xbe; 12_000]);
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
    };
    check_flood(
        &[],
        &[],
        || streams().map(bomb),
        &[
            FloodEnd::ReadAll,
            FloodEnd::StoppedReading,
            FloodEnd::Closed,
        ],
    );
}

/// A client requests large answers and reads nothing. The buffers are bounded, and the connection
/// counts as idle, so that it is closed.
#[test]
fn answers_that_are_not_read() {
    let ((), memory) = measured(async {
        let server = Fixture::new(|config| config.http2_idle_timeout = SHORT).await;
        let settings = setting(INITIAL_WINDOW_SIZE, 0);
        let mut client = Http2::connect(&server, &settings).await;
        for stream in streams().take(100) {
            let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/large"));
            client.send(&request).await;
        }
        client.read_to_end().await;
    });
    assert!(memory < 100 * LARGE_SIZE as u64 + MEMORY_MAX, "{memory}");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_whatever_frames_arrive() {
    let server = Fixture::new(|config| config.http2_idle_timeout = SHORT).await;
    let mut idle = Http2::connect(&server, &[]).await;
    assert_eq!(idle.read_to_end().await, Some(0));
    // A header that never ends is not a request.
    let mut started = Http2::connect(&server, &[]).await;
    started.send(&frame(HEADERS, 0, 1, &get("/nothing"))).await;
    started.read_to_end().await;

    let mut pinging = Http2::connect(&server, &[]).await;
    let ended = async {
        let ping = frame(PING, 0, 0, &[7; 8]);
        while pinging.writer.write_all(&ping).await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    within("it is ended", ended).await;
}

/// Half of the HTTP/2 preface is not a request either.
#[tokio::test]
async fn a_client_with_an_incomplete_preface_is_disconnected() {
    let server = Fixture::new(|config| config.header_read_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send("PRI * HTTP/2.0\r\n").await;
    assert_eq!(client.read_to_end().await, "");
}

#[tokio::test]
async fn a_request_that_waits_for_the_server_has_no_timeout() {
    /// Also long enough for the other clients, on a busy machine.
    const TIMEOUT: Duration = Duration::from_secs(2);
    let server = Fixture::new(|config| {
        config.http2_idle_timeout = TIMEOUT;
        config.header_read_timeout = TIMEOUT;
        config.body_read_timeout = TIMEOUT;
        config.write_timeout = TIMEOUT;
    })
    .await;
    let mut http1 = server.wait_at_gate().await;
    let mut http2 = Http2::connect(&server, &[]).await;
    let request = |stream, path| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path));
    http2.send(&request(1, "/gate")).await;
    http2.send(&request(3, "/stream")).await;
    server.until_waiting_at_gate(3).await;
    let started = Instant::now();
    while started.elapsed() < TIMEOUT + 5 * SHORT {
        // Other clients connect and disconnect.
        assert!(server.connect().await.get().await.contains(" 404 "));
        tokio::time::sleep(SHORT / 5).await;
    }
    server.until_waiting_at_gate(3).await;
    server.gate.is_open.send_replace(true);
    assert!(http1.read_answer().await.contains(" 204 "));
    let mut ended = Vec::new();
    while ended.len() < 2 {
        let (kind, stream, payload) = http2.receive().await.expect("both are answered");
        let is_end = kind == HEADERS && stream == 1 || kind == DATA && payload.is_empty();
        if is_end {
            ended.push(stream);
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, [1, 3]);
}

/// A stop waits until requests are answered, but not for an HTTP/2 client that does not react.
#[tokio::test]
async fn a_stop_answers_requests_and_ends_connections() {
    let server = Fixture::new(|config| config.drain_timeout = 2 * LONG).await;
    server.gate.is_open.send_replace(false);
    let mut client = Http2::connect(&server, &[]).await;
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/gate"));
    client.send(&request).await;
    server.until_waiting_at_gate(1).await;
    let _unresponsive = Http2::connect(&server, &[]).await;
    let shutdown = tokio::spawn(server.server.shutdown());
    client.receive_kind(GOAWAY).await;
    server.gate.is_open.send_replace(true);
    client.receive_kind(HEADERS).await;
    within("the server has ended", shutdown).await.unwrap();
}

/// Each field costs the client one byte and the server a hundred, for as long as a body is
/// awaited.
#[test]
fn requests_with_many_fields_are_rejected_before_their_bodies_arrive() {
    let bomb = |stream| {
        let mut block = put("/body");
        // A field with an empty value, then references to it.
        block.extend([0x40, 1, b'x', 0]);
        block.extend([0xbe; 200]);
        frame(HEADERS, END_HEADERS, stream, &block)
    };
    let (problem, memory) = measured(async {
        let server = Fixture::for_floods().await;
        let mut client = Http2::connect(&server, &[]).await;
        for stream in streams().take(100) {
            client.send(&bomb(stream)).await;
        }
        let problem = client.receive_kind(DATA).await;
        String::from_utf8(problem).unwrap()
    });
    assert!(problem.contains("header-too-large"), "{problem}");
    // All are decoded before the first is answered.
    assert!(memory < 3 * MEMORY_MAX, "{memory} bytes");
}

/// The client reads no answer on its first connections. On the next ones each request that waits
/// for its body above the share is rejected.
#[test]
fn a_client_with_many_requests_under_way_gets_fewer_on_each_connection() {
    let ((), memory) = measured(async {
        let server = Fixture::for_floods().await;
        let unread = setting(INITIAL_WINDOW_SIZE, 0);
        let mut clients = Vec::new();
        for _ in 0..60 {
            let mut client = Http2::connect(&server, &unread).await;
            let request =
                |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/client"));
            client
                .send(&streams().take(100).flat_map(request).collect::<Vec<_>>())
                .await;
            for _ in 0..100 {
                client.receive_kind(HEADERS).await;
            }
            clients.push(client);
        }
        let mut client = Http2::connect(&server, &[]).await;
        let request = |stream| frame(HEADERS, END_HEADERS, stream, &put("/body"));
        client
            .send(&streams().take(100).flat_map(request).collect::<Vec<_>>())
            .await;
        // The share is 20 now.
        for _ in 30..100 {
            let problem = client.receive_kind(DATA).await;
            let problem = String::from_utf8(problem).unwrap();
            assert!(problem.contains("overloaded"), "{problem}");
        }
    });
    assert!(memory < 60 * MEMORY_MAX, "{memory} bytes");
}

/// A stream of events whose next piece does not fit the client's window: it waits for the client, so
/// it must not keep the connection.
#[tokio::test]
async fn a_streamed_answer_that_is_not_read_ends_the_connection() {
    let server = Fixture::new(|config| config.write_timeout = SHORT).await;
    server.gate.is_open.send_replace(false);
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/stream"));
    let mut reading = Http2::connect(&server, &[]).await;
    reading.send(&request).await;
    reading.receive_kind(DATA).await;
    let mut unread = Http2::connect(&server, &setting(INITIAL_WINDOW_SIZE, 0)).await;
    unread.send(&request).await;
    unread.read_to_end().await;
    server.until_waiting_at_gate(1).await;
    server.gate.is_open.send_replace(true);
    reading.receive_kind(DATA).await;
}

/// It is idle, and so the first that is closed for another client.
#[tokio::test]
async fn a_streamed_answer_that_is_not_read_does_not_keep_out_others() {
    let server = Fixture::new(|config| config.connection_count_max = 1).await;
    server.gate.is_open.send_replace(false);
    let mut unread = Http2::connect(&server, &setting(INITIAL_WINDOW_SIZE, 0)).await;
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/stream"));
    unread.send(&request).await;
    unread.receive_kind(HEADERS).await;
    let served = async { while !server.connect().await.get().await.contains(" 404 ") {} };
    within("another client is served", served).await;
    unread.read_to_end().await;
}
