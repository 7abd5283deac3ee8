use std::{io, time::Duration};

use crate::listener::ListenerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::interval,
};

use crate::{
    HttpConfig,
    connection::BUFFER_SIZE_MAX,
    fixture::{BODY_SIZE_MAX, Client, Fixture, GET, LONG, SHORT, put_header, within},
};

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Fixture::new(|_| ()).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send(put_header("/body", 3)).await;
        client.send("abc").await;
        assert!(client.read_answer().await.starts_with("HTTP/1.1 200 "));
        assert!(client.get().await.starts_with("HTTP/1.1 404 "));
    }
    assert_eq!(server.open_count(), 1);
}

#[tokio::test]
async fn a_client_with_a_slow_header_is_disconnected() {
    let server = Fixture::new(|config| config.header_read_timeout = SHORT).await;
    for begin in ["", "GET", "GET / HTTP/1.1\r\nHost: a\r\nX:"] {
        let mut client = server.connect().await;
        client.send(begin).await;
        let answer = client.read_to_end().await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    let mut client = server.connect().await;
    client.get().await;
    assert_eq!(client.read_to_end().await, "", "idle counts as slow");
}

#[tokio::test]
async fn a_client_that_sends_its_header_byte_by_byte_is_disconnected() {
    let server = Fixture::new(|config| config.header_read_timeout = SHORT).await;
    let Client(stream) = server.connect().await;
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        writer.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        let mut tick = interval(SHORT / 5);
        loop {
            tick.tick().await;
            if writer.write_all(b"x").await.is_err() {
                break;
            }
        }
    });
    let mut answer = Vec::new();
    let _ = within("it is cut off", reader.read_to_end(&mut answer)).await;
    within("the client's writes fail", drip).await.unwrap();
}

#[tokio::test]
async fn a_client_with_a_slow_body_gets_408_and_is_disconnected() {
    let server = Fixture::new(|config| config.body_read_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send(put_header("/body", 100)).await;
    client.send([0; 10]).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("did not arrive"), "{answer}");
}

/// The server enforces the timeout, so every router is safe.
#[tokio::test]
async fn a_slow_body_times_out_in_every_router() {
    let server = Fixture::new(|config| config.body_read_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send(put_header("/plain", 100)).await;
    client.send([0; 10]).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// The timeout is for the complete body, even if bytes keep arriving.
#[tokio::test]
async fn a_client_that_sends_its_body_byte_by_byte_gets_408_and_is_disconnected() {
    let server = Fixture::new(|config| config.body_read_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send(put_header("/body", 100)).await;
    let Client(stream) = client;
    let (reader, mut writer) = stream.into_split();
    let mut tick = interval(SHORT / 5);
    let drip = async {
        for _ in 0..20 {
            tick.tick().await;
            let _ = writer.write_all(b"x").await;
        }
    };
    drip.await;
    let mut client = Client(reader.reunite(writer).unwrap());
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_disconnected() {
    let server = Fixture::new(|config| config.write_timeout = SHORT).await;
    let mut client = server.connect().await;
    let pushed = async { while client.0.write_all(GET.as_bytes()).await.is_ok() {} };
    within("the client's writes fail", pushed).await;
}

#[tokio::test]
async fn a_client_that_sends_too_long_a_body_gets_413() {
    let server = Fixture::new(|_| ()).await;
    for size in [BODY_SIZE_MAX + 1, 8_000, 60_000] {
        let mut client = server.connect().await;
        client.send(put_header("/body", size)).await;
        client.send(vec![0; size]).await;
        let answer = client.read_answer().await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{size}: {answer}");
        assert!(
            client.get().await.contains(" 404 "),
            "the connection continues"
        );
    }
    let mut client = server.connect().await;
    client.send(put_header("/body", 1_000_000_000)).await;
    let answer = client.read_answer().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "unread: {answer}");
}

/// Most clients send the complete request before they read the answer. If a server closes the
/// connection with unread bytes, writes fail and the answer is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_still_sending_when_it_is_rejected_reads_the_complete_answer() {
    const PIECE_SIZE: usize = 64 * 1024;
    const PIECE_COUNT: usize = 64;

    let server = Fixture::new(|_| ()).await;
    let long = put_header("/body", PIECE_SIZE * PIECE_COUNT);
    let unread = put_header("/unread", PIECE_SIZE * PIECE_COUNT);
    let chunked = "PUT /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n";
    let endless = "GET / HTTP/1.1\r\nX: ";
    for (header, status) in [
        (&*long, "413"),
        (&*unread, "403"),
        (chunked, "413"),
        (endless, "431"),
    ] {
        for _ in 0..5 {
            let mut client = server.connect().await;
            client.send(header).await;
            for _ in 0..PIECE_COUNT {
                client.send([b'x'; PIECE_SIZE]).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let answer = client.read_answer().await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            let mut rest = Vec::new();
            let read = client.0.read_to_end(&mut rest);
            within("it is closed without a reset", read).await.unwrap();
            assert_eq!(rest, b"", "the answer was complete");
        }
    }
}

/// A silent client has nothing left to read, so the server does not wait for it. The best of five
/// runs counts, because a busy machine is slow.
#[tokio::test]
async fn the_server_does_not_wait_for_an_idle_client() {
    let mut shortest = LONG;
    for _ in 0..5 {
        let server = Fixture::new(|config| config.drain_timeout = LONG).await;
        let mut client = server.connect().await;
        client.send(put_header("/body", 3)).await;
        client.send("abc").await;
        client.read_answer().await;
        let started = std::time::Instant::now();
        server.server.shutdown().await;
        shortest = shortest.min(started.elapsed());
        assert_eq!(client.read_to_end().await, "");
    }
    assert!(shortest < Duration::from_millis(900), "{shortest:?}");
}

#[tokio::test]
async fn a_header_that_is_too_long_is_rejected() {
    let server = Fixture::new(|_| ()).await;
    let mut client = server.connect().await;
    let field = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(BUFFER_SIZE_MAX));
    client.send(field).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn garbage_is_rejected() {
    let server = Fixture::new(|_| ()).await;
    let mut client = server.connect().await;
    client.send([0x16, 0x03, 0x01, 0x00, 0xff, 0xff]).await;
    client.send("\r\n\r\n").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn an_active_request_is_answered_at_shutdown() {
    let server = Fixture::new(|config| {
        config.drain_timeout = 2 * LONG;
        config.header_read_timeout = 2 * LONG;
    })
    .await;
    let address = server.server.local_addr();
    let mut idle = server.connect().await;
    idle.get().await;
    let mut client = server.wait_at_gate().await;

    let shutdown = tokio::spawn(server.server.shutdown());
    assert_eq!(
        idle.read_to_end().await,
        "",
        "idle connections end immediately"
    );
    within("the address is free", async {
        while TcpStream::connect(address).await.is_ok() {}
    })
    .await;
    server.gate.is_open.send_replace(true);
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    within("the server has ended", shutdown).await.unwrap();
    assert_eq!(
        server
            .metrics
            .connections_open
            .of(ListenerName::Public)
            .get(),
        0
    );
}

#[tokio::test]
async fn a_shutdown_waits_no_longer_than_the_drain_limit() {
    let server = Fixture::new(|config| config.drain_timeout = SHORT).await;
    let mut client = server.wait_at_gate().await;
    let started = std::time::Instant::now();
    within("the server has ended", server.server.shutdown()).await;
    assert!(started.elapsed() >= SHORT);
    assert_eq!(client.read_to_end().await, "");
    assert_eq!(
        server
            .metrics
            .connections_open
            .of(ListenerName::Public)
            .get(),
        0
    );
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = Fixture::new(|_| ()).await;
    let address = server.server.local_addr();
    let error = HttpConfig::new(address).bind().await.err().unwrap();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let server = Fixture::new(|_| ()).await;
    let mut client = server.connect().await;
    let mut ids = Vec::new();
    for given in [
        "",
        "X-Request-Id: \r\n",
        "X-Request-Id: two words\r\n",
        &format!("X-Request-Id: {}\r\n", "x".repeat(65)),
    ] {
        let get = format!("GET /nothing HTTP/1.1\r\nHost: a\r\n{given}\r\n");
        client.send(get).await;
        ids.push(request_id(&client.read_answer().await).to_owned());
    }
    assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");

    let given = "01890a5d-ac96-774b-bcce-b302099a8057";
    let get = format!("GET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-Id: {given}\r\n\r\n");
    client.send(get).await;
    let answer = client.read_answer().await;
    assert_eq!(request_id(&answer), given);
    let exposed = answer
        .lines()
        .find(|line| line.starts_with("access-control-expose-headers"));
    assert!(exposed.unwrap().contains("X-Request-Id"), "{answer}");
}

fn request_id(answer: &str) -> &str {
    let mut lines = answer.lines();
    let id = lines.find_map(|line| line.strip_prefix("x-request-id: "));
    id.expect(answer)
}
