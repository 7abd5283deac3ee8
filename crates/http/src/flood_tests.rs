//! Who sends what costs us more than it costs them.
//!
//! Each test has a server, a client that floods it and one that is served all the while, on one
//! thread, so that all that is allocated is counted.

use std::{iter, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    runtime,
    time::{Instant, timeout},
};

use crate::fixture::{Client, Fixture, LARGE_SIZE, LONG, SHORT, put_header, within};

/// How much a flood sends if it is not stopped before, in bytes.
const FLOOD_SIZE: usize = 8 * 1024 * 1024;

/// How much of a flood is sent at once, in bytes.
const WRITE_SIZE: usize = 16 * 1024;

/// How much memory a flood may take, in bytes: some buffers, and no share of what it sends. The
/// streams of a connection, the windows of its bodies and the answers that wait are in it.
const MEMORY_MAX: u64 = 1024 * 1024;

/// Frames of HTTP/2 (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The setting of how much of a stream may be sent (RFC 9113, section 6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = size[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A request's header, without its dynamic table (RFC 7541, sections 6.1 and 6.2.2).
fn header_block(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x01, 1, b'a', 0x04];
    block.push(u8::try_from(path.len()).unwrap());
    block.extend(path.as_bytes());
    block
}

fn get(path: &str) -> Vec<u8> {
    header_block(0x82, path)
}

/// PUT, which has no number of its own.
fn put(path: &str) -> Vec<u8> {
    let post = header_block(0x83, path);
    [&[0x02, 3, b'P', b'U', b'T'], &post[1..]].concat()
}

/// The streams that a client may open.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// A client of HTTP/2 that speaks frame by frame.
struct Http2 {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

impl Http2 {
    async fn connect(server: &Fixture, settings: &[u8]) -> Self {
        let Client(stream) = server.connect().await;
        let (reader, mut writer) = stream.into_split();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let preface = [&preface[..], &frame(SETTINGS, 0, 0, settings)].concat();
        writer.write_all(&preface).await.unwrap();
        Self { reader, writer }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
    }

    /// The next frame: its kind, its stream and what is in it.
    async fn receive(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        let read = self.reader.read_exact(&mut head);
        within("a frame comes", read).await.ok()?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.reader.read_exact(&mut payload).await.ok()?;
        Some((kind, u32::from_be_bytes(stream), payload))
    }

    /// Reads until a frame of this kind, which is not the acknowledgement of one.
    async fn receive_kind(&mut self, kind: u8) -> Vec<u8> {
        loop {
            match self.receive().await {
                Some((got, _, payload)) if got == kind => return payload,
                Some(_) => {}
                None => panic!("the connection ended before a frame of kind {kind}"),
            }
        }
    }

    /// Reads to the end of the connection, and gives the reason that was told first.
    async fn read_to_end(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some((kind, _, payload)) = self.receive().await {
            if kind == GOAWAY {
                let told = u32::from_be_bytes(payload[4..8].try_into().unwrap());
                reason.get_or_insert(told);
            }
        }
        reason
    }
}

/// What became of a flood.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The connection was ended.
    Cut,
    /// All of it was taken.
    Taken,
    /// No more of it was read.
    Held,
}

/// Sends pieces while another client is served. Reads what comes back, or nothing. A piece that is not
/// taken for as long as `patience` is held.
async fn flood(
    server: &Fixture,
    mut client: Http2,
    mut pieces: impl Iterator<Item = Vec<u8>>,
    reads: bool,
    patience: Duration,
) -> End {
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
            break End::Taken;
        }
        match timeout(patience, client.writer.write_all(&bytes)).await {
            Ok(Ok(())) => sent += bytes.len(),
            Ok(Err(_)) => break End::Cut,
            Err(_) => break End::Held,
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

/// Has `run` done by one thread, and gives with what it returns the most that was allocated at one
/// time, in bytes.
fn measured<T>(run: impl Future<Output = T>) -> (T, u64) {
    let mut returned = None;
    let info = allocation_counter::measure(|| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        returned = Some(runtime.unwrap().block_on(run));
    });
    (returned.unwrap(), info.bytes_max)
}

/// A server that does not hold anybody back, so that it is the frames that it has to stand.
async fn fixture() -> Fixture {
    let server = Fixture::new(|config| config.connection_bytes_per_sec = 1 << 40).await;
    server.gate.is_open.send_replace(false);
    server
}

/// Lets a flood of frames come after some that prepare it, once with a client that reads what comes
/// back and once with one that does not.
#[track_caller]
fn check_flood<P: Iterator<Item = Vec<u8>>>(
    settings: &[u8],
    first: &[u8],
    pieces: impl Fn() -> P,
    ends: &[End],
) {
    // A server that is merely slow must not look like one that holds a flood.
    let patience = match ends.contains(&End::Held) {
        true => SHORT,
        false => LONG,
    };
    for reads in [true, false] {
        let (end, memory) = measured(async {
            let server = fixture().await;
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
    check_flood(&[], &[], empty, &[End::Taken, End::Held]);
    let full: Vec<u8> = iter::repeat_n(setting(INITIAL_WINDOW_SIZE, 1), 100)
        .flatten()
        .collect();
    let full = repeat(frame(SETTINGS, 0, 0, &full));
    check_flood(&[], &[], full, &[End::Taken, End::Held]);
    let unasked = repeat(frame(SETTINGS, ACK, 0, &[]));
    check_flood(&[], &[], unasked, &[End::Cut, End::Held]);
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
    check_flood(&[], &open, windows, &[End::Taken, End::Held]);
}

#[test]
fn floods_of_pings() {
    let pings = repeat(frame(PING, 0, 0, &[7; 8]));
    check_flood(&[], &[], pings, &[End::Taken, End::Held]);
    let pongs = repeat(frame(PING, ACK, 0, &[7; 8]));
    check_flood(&[], &[], pongs, &[End::Taken, End::Cut]);
}

/// CVE-2023-44487: each request costs work, and is taken back at once.
#[test]
fn floods_of_requests_that_are_taken_back() {
    for path in ["/gate", "/nothing", "/large"] {
        let resets = || {
            streams().map(move |stream| {
                let mut frames = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path));
                frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                frames
            })
        };
        check_flood(&[], &[], resets, &[End::Cut]);
    }
}

/// The other way round: the client has us take the requests back.
#[test]
fn floods_of_requests_that_are_malformed() {
    let without_path = [0x82, 0x86];
    let malformed = || {
        streams().map(move |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &without_path))
    };
    check_flood(&[], &[], malformed, &[End::Cut]);
    // The window of a stream overflows.
    let overflowing = || {
        streams().map(|stream| {
            let mut frames = frame(HEADERS, END_HEADERS, stream, &put("/gate"));
            let most = (u32::MAX >> 1).to_be_bytes();
            frames.extend(frame(WINDOW_UPDATE, 0, stream, &most));
            frames
        })
    };
    check_flood(&[], &[], overflowing, &[End::Cut]);
}

#[test]
fn floods_of_requests_over_the_cap() {
    let waiting =
        || streams().map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/gate")));
    check_flood(&[], &[], waiting, &[End::Taken, End::Held, End::Cut]);
}

/// CVE-2024-27316 and its like: a header that never ends.
#[test]
fn floods_of_continuations() {
    let begun = frame(HEADERS, END_STREAM, 1, &get("/nothing"));
    for fragment in [
        vec![],
        vec![0x40, 1, b'x', 0],
        [vec![0, 1, b'x', 0x7f, 0x81, 0x7f], vec![b'x'; 16_000]].concat(),
    ] {
        let more = repeat(frame(CONTINUATION, 0, 1, &fragment));
        check_flood(&[], &begun, more, &[End::Cut]);
    }
}

/// CVE-2019-9518: the body of a request that no router reads has no bytes, and no end.
#[test]
fn floods_of_empty_data() {
    for path in ["/gate", "/body", "/plain"] {
        let begun = frame(HEADERS, END_HEADERS, 1, &put(path));
        let empty = repeat(frame(DATA, 0, 1, &[]));
        check_flood(&[], &begun, empty, &[End::Cut]);
    }
}

/// The window is all that is kept of them.
#[test]
fn floods_of_data() {
    for path in ["/gate", "/body", "/plain"] {
        for size in [1, 16_000] {
            let begun = frame(HEADERS, END_HEADERS, 1, &put(path));
            let data = repeat(frame(DATA, 0, 1, &vec![0; size]));
            let ends = [End::Cut, End::Held, End::Taken];
            check_flood(&[], &begun, data, &ends);
        }
    }
}

#[test]
fn floods_of_window_updates() {
    let begun = frame(HEADERS, END_HEADERS, 1, &put("/gate"));
    for stream in [0, 1] {
        let update = repeat(frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes()));
        check_flood(&[], &begun, update, &[End::Taken]);
    }
}

/// They name streams that there are not.
#[test]
fn floods_of_priorities() {
    let priorities = || streams().map(|stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16]));
    check_flood(&[], &[], priorities, &[End::Taken]);
}

#[test]
fn floods_of_unknown_frames() {
    let unknown = repeat(frame(0xfe, 0, 1, &[0; 100]));
    check_flood(&[], &[], unknown, &[End::Taken]);
}

/// A field of 4,000 bytes is named again and again, with a byte each time.
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
        &[End::Taken, End::Held, End::Cut],
    );
}

/// A client asks for much and takes nothing of it. What waits is bounded, and the connection is idle,
/// so that it ends.
#[test]
fn answers_that_are_not_taken() {
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
async fn a_connection_without_requests_is_ended_whatever_frames_come() {
    let server = Fixture::new(|config| config.http2_idle_timeout = SHORT).await;
    let mut idle = Http2::connect(&server, &[]).await;
    assert_eq!(idle.read_to_end().await, Some(0));
    // A header that never ends is no request.
    let mut begun = Http2::connect(&server, &[]).await;
    begun.send(&frame(HEADERS, 0, 1, &get("/nothing"))).await;
    begun.read_to_end().await;

    let mut pinging = Http2::connect(&server, &[]).await;
    let ended = async {
        let ping = frame(PING, 0, 0, &[7; 8]);
        while pinging.writer.write_all(&ping).await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    within("it is ended", ended).await;
}

/// Half of what tells the version of HTTP is no request either.
#[tokio::test]
async fn a_client_that_does_not_say_what_it_speaks_is_cut_off() {
    let server = Fixture::new(|config| config.header_read_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send("PRI * HTTP/2.0\r\n").await;
    assert_eq!(client.read_to_end().await, "");
}

#[tokio::test]
async fn a_request_that_waits_for_us_is_not_ended_by_any_timeout() {
    /// The clients that come and go have as long too, on a machine that may be busy.
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
    server.waits_at_gate(3).await;
    let begun = Instant::now();
    while begun.elapsed() < TIMEOUT + 5 * SHORT {
        // Others come and go.
        assert!(server.connect().await.get().await.contains(" 404 "));
        tokio::time::sleep(SHORT / 5).await;
    }
    server.waits_at_gate(3).await;
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

/// A stop lets requests be answered, and waits for no client of HTTP/2 that does not listen.
#[tokio::test]
async fn a_stop_answers_requests_and_ends_connections() {
    let server = Fixture::new(|config| config.drain_timeout = 2 * LONG).await;
    server.gate.is_open.send_replace(false);
    let mut client = Http2::connect(&server, &[]).await;
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/gate"));
    client.send(&request).await;
    server.waits_at_gate(1).await;
    let _deaf = Http2::connect(&server, &[]).await;
    let shutdown = tokio::spawn(server.server.shutdown());
    client.receive_kind(GOAWAY).await;
    server.gate.is_open.send_replace(true);
    client.receive_kind(HEADERS).await;
    within("the server has ended", shutdown).await.unwrap();
}

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
        client.send(crate::fixture::GET.repeat(3)).await;
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
        let server = fixture().await;
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
        let server = fixture().await;
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
            let server = fixture().await;
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
