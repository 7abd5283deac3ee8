//! Clients that hold many or all connections.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use crate::listener::ListenerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use crate::{
    IsTrusted, ProblemType,
    fixture::{Client, Fixture, GET, LONG, put_header, within},
};

/// A connection from another address: this machine has all of 127.0.0.0/8.
async fn connect_from(host: u8, server: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    Client(socket.connect(server).await.unwrap())
}

fn evicted_count(server: &Fixture) -> u64 {
    let evicted = &server.metrics.connections_evicted_total;
    evicted.of(ListenerName::Public).get()
}

fn rejected_count(server: &Fixture) -> u64 {
    let rejected = &server.metrics.connections_refused_total;
    rejected.of(ListenerName::Public).get()
}

/// The client sends a cheap request now and then, so that none of its connections is idle for long.
#[tokio::test]
async fn an_address_that_holds_all_connections_keeps_out_nobody() {
    let server = Fixture::new(|config| config.connection_count_max = 8).await;
    let address = server.server.local_addr();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(connect_from(2, address).await);
    }
    for client in &mut held {
        assert!(client.get().await.contains(" 404 "));
    }
    for _ in 0..20 {
        let mut client = connect_from(3, address).await;
        assert!(client.get().await.contains(" 404 "));
        held.rotate_left(1);
        held[7] = connect_from(2, address).await;
        held[7].get().await;
    }
    assert_eq!(rejected_count(&server), 0);
}

#[tokio::test]
async fn a_client_at_its_limit_loses_its_connection_that_was_idle_the_longest() {
    let server = Fixture::new(|config| config.connection_count_per_client_max = 2).await;
    let address = server.server.local_addr();
    let mut other = connect_from(3, address).await;
    other.get().await;
    let mut first = connect_from(2, address).await;
    let mut second = connect_from(2, address).await;
    first.get().await;
    second.get().await;
    first.get().await;
    let mut third = connect_from(2, address).await;
    third.get().await;
    assert_eq!(second.read_to_end().await, "");
    assert!(first.get().await.contains(" 404 "));
    assert!(third.get().await.contains(" 404 "));
    assert!(other.get().await.contains(" 404 "));
    assert_eq!(evicted_count(&server), 1);
}

/// Such as a request that waits for a change of a packet, or receives all changes.
#[tokio::test]
async fn a_client_that_waits_for_the_server_is_not_evicted_and_is_answered() {
    let server = Fixture::new(|config| {
        config.connection_count_max = 3;
        config.header_read_timeout = LONG;
    })
    .await;
    let mut waits = server.wait_at_gate().await;
    let mut streams = server.connect().await;
    streams
        .send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    streams.read_answer().await;
    server.until_waiting_at_gate(2).await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        let mut client = server.connect().await;
        assert!(client.get().await.contains(" 404 "));
        idle.push(client);
    }
    assert_eq!((evicted_count(&server), rejected_count(&server)), (9, 0));

    // If all connections wait for the server, none can be evicted.
    let mut third = server.connect().await;
    third.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.until_waiting_at_gate(3).await;
    let answer = server.connect().await.read_answer().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Access-Control-Allow-Origin: *"));
    assert!(answer.contains("Retry-After: 1"));

    server.gate.is_open.send_replace(true);
    for waits in [&mut waits, &mut third] {
        assert!(waits.read_answer().await.starts_with("HTTP/1.1 204 "));
    }
    let mut rest = String::new();
    let ended = async {
        while !rest.ends_with("0\r\n\r\n") {
            rest.push(char::from(streams.0.read_u8().await.unwrap()));
        }
    };
    within("the stream ends", ended).await;
    assert!(rest.contains("started"), "{rest}");
}

/// A client with slow bodies on all connections only delays itself.
#[tokio::test]
async fn slow_bodies_keep_out_nobody() {
    let server = Fixture::new(|config| {
        config.connection_count_max = 4;
        config.body_read_timeout = LONG;
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await;
        client.send(put_header("/body", 100)).await;
        client.send([0; 10]).await;
        slow.push(client);
    }
    for _ in 0..10 {
        let mut client = server.connect().await;
        client.send(put_header("/body", 3)).await;
        client.send("abc").await;
        assert!(client.read_answer().await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(rejected_count(&server), 0);
}

#[tokio::test]
async fn a_proxy_may_have_any_number_of_connections() {
    let is_proxy: IsTrusted = Arc::new(|peer| peer == Ipv4Addr::new(127, 0, 0, 9));
    let few = |config: &mut crate::HttpConfig| config.connection_count_per_client_max = 1;
    let server = Fixture::with(few, |listeners| listeners.is_trusted = is_proxy).await;
    let address = server.server.local_addr();
    let mut proxied = Vec::new();
    for _ in 0..5 {
        let mut client = connect_from(9, address).await;
        client.get().await;
        proxied.push(client);
    }
    for client in &mut proxied {
        assert!(client.get().await.contains(" 404 "));
    }
    assert_eq!(evicted_count(&server), 0);
}

/// A client that is rejected while it is still sending can read the answer.
#[tokio::test]
async fn a_connection_over_the_limit_gets_503_and_is_admitted_later() {
    let server = Fixture::new(|config| config.connection_count_max = 1).await;
    let mut first = server.wait_at_gate().await;
    let mut second = server.connect().await;
    let answer = second.read_answer().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    let length = format!("Content-Length: {}\r\n", too_many_connections().len());
    assert!(answer.contains(&length), "{answer}");
    for _ in 0..3 {
        // If the connection were already closed, it would be reset, and the answer could be lost.
        second.0.write_all(GET.as_bytes()).await.unwrap();
    }
    assert_eq!(rejected_count(&server), 1);
    assert_eq!(server.open_count(), 1);
    server.gate.is_open.send_replace(true);
    assert!(first.read_answer().await.contains(" 204 "));
    assert!(server.connect().await.get().await.contains(" 404 "));
}

/// The problem document for a connection over the limit.
fn too_many_connections() -> String {
    let kind = ProblemType::Overloaded;
    format!(
        "{{\"type\":\"{}\",\"title\":\"{}\",\"status\":{},\"detail\":\"too many connections are open: retry \
         in a second\",\"retry\":{}}}",
        kind.uri(),
        kind.title(),
        kind.status(),
        kind.retry()
    )
}
