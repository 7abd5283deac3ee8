//! What strangers send first while joiners are expected, over loopback.

use std::time::Duration;

use crate::{ClusterId, Introduction, JoinAnswer, JoinRequest, NodeId, StreamKind};
use futures_util::future::join_all;
use quorate_state::LogIndex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    LinkServerConfig,
    greeting::{HELLO_SIZE_MAX, Hello},
    test_nodes::*,
    test_service::{Echo, joined, token},
    vouch,
};

/// The bytes of a TLS record that holds an alert: header, alert, kind and tag (RFC 8446, section 5.2).
const ALERT_SIZE: usize = 5 + 2 + 1 + 16;

/// Bob, who would admit Mallory with the right token.
async fn bob_with_joiners(config: LinkServerConfig) -> Node {
    let bob = Node::bob_with(config, Echo).await;
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(joined())));
    bob
}

/// Mallory's request to Bob with the right token.
fn request() -> JoinRequest {
    request_of(id(MALLORY), "mallory", "mallory:1")
}

fn request_of(joiner: NodeId, name: &str, address: &str) -> JoinRequest {
    let (name, address) = (name.to_owned(), address.to_owned());
    JoinRequest::new(&token(Vec::new()), joiner, id(BOB), name, address)
}

/// What Mallory receives from Bob, TLS included, after sending this.
async fn received(bob: &Node, sent: &[u8]) -> Vec<u8> {
    let mut stream = tls(MALLORY, bob.address()).await;
    stream.write_all(sent).await.unwrap();
    stream.flush().await.unwrap();
    let mut bytes = Vec::new();
    // Below TLS.
    let end = stream.get_mut().0.read_to_end(&mut bytes);
    // Whether or not Bob read all of it before he closed.
    let _ = timeout(TIMEOUT, end).await.expect("Bob hangs up");
    bytes
}

fn frames(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| frame(part)).collect()
}

#[tokio::test]
async fn first_messages_without_proof_get_no_byte() {
    let bob = bob_with_joiners(LinkServerConfig::default()).await;
    let join = encoded(&hello(StreamKind::Join));
    let elsewhere = Introduction {
        cluster: ClusterId([8; 32]),
        ..introduction()
    };
    let later = Hello {
        versions: 8..=9,
        ..hello(StreamKind::Join)
    };
    let mut forged = encoded(&request());
    *forged.last_mut().unwrap() ^= 1;
    let whole = encoded(&request());
    let of_alice = encoded(&request_of(id(ALICE), "mallory", "mallory:1"));
    let long = encoded(&request_of(id(MALLORY), &"x".repeat(64), "mallory:1"));
    let first_messages: [(&str, Vec<u8>, &str); 14] = [
        ("garbage", vec![0xff; 3000], "no_join_request"),
        ("an empty frame", frames(&[b""]), "no_join_request"),
        (
            "a long frame",
            frames(&[&[1; HELLO_SIZE_MAX + 1]]),
            "no_join_request",
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            "no_join_request",
        ),
        (
            "a link",
            frames(&[&encoded(&hello(StreamKind::Append))]),
            "unknown_key",
        ),
        (
            "another cluster",
            frames(&[&encoded(&Hello::new(elsewhere, StreamKind::Join)), &whole]),
            "no_join_request",
        ),
        (
            "another version",
            frames(&[&encoded(&later), &whole]),
            "no_join_request",
        ),
        (
            "another magic",
            frames(&[&[&[0; 8], &join[8..]].concat(), &whole]),
            "no_join_request",
        ),
        (
            "garbage instead of a request",
            frames(&[&join, &[0xff; 100]]),
            "no_join_request",
        ),
        (
            "a long request",
            frames(&[&join, &[1; HELLO_SIZE_MAX + 1]]),
            "no_join_request",
        ),
        ("a long name", frames(&[&join, &long]), "no_join_request"),
        (
            "half a request",
            frames(&[&join, &whole[..whole.len() / 2]]),
            "no_join_request",
        ),
        ("a forged proof", frames(&[&join, &forged]), "join_request"),
        (
            "the proof of another token",
            frames(&[&join, &of_alice]),
            "join_request",
        ),
    ];
    for (what, sent, outcome) in first_messages {
        let before = bob.handshakes(outcome);
        let bytes = received(&bob, &sent).await;
        assert!(
            bytes.len() <= ALERT_SIZE,
            "{what} got {} bytes",
            bytes.len()
        );
        eventually("it is counted", || bob.handshakes(outcome) == before + 1).await;
        // And inside TLS: nothing except its end.
        let mut stream = tls(MALLORY, bob.address()).await;
        stream.write_all(&sent).await.unwrap();
        assert!(rest(&mut stream).await.0.is_empty(), "{what}");
    }
    eventually("both are counted", || bob.joins("unproved") == 4).await;
    assert_eq!(bob.joins("joined"), 0);
    assert_eq!(bob.handshakes("welcomed"), 0);
    // With the token, after all of these.
    let bytes = received(&bob, &frames(&[&join, &whole])).await;
    assert!(bytes.len() > ALERT_SIZE);
    eventually("it is counted", || bob.joins("joined") == 1).await;
    bob.expect_alive().await;
}

#[tokio::test]
async fn a_stranger_that_is_late_gets_no_byte() {
    let config = LinkServerConfig {
        handshake_timeout: Duration::from_secs(1),
        ..LinkServerConfig::default()
    };
    let bob = bob_with_joiners(config).await;
    let join = encoded(&hello(StreamKind::Join));
    let half = &frame(&encoded(&request()))[..20];
    let late = [vec![], frames(&[&join]), [&frame(&join), half].concat()];
    for bytes in join_all(late.iter().map(|sent| received(&bob, sent))).await {
        assert!(bytes.is_empty(), "{} bytes", bytes.len());
    }
    eventually("all are counted", || bob.handshakes("timed_out") == 3).await;
}

/// Claims of a stranger change nothing either: a chain of vouchers that it has made itself.
#[tokio::test]
async fn strangers_get_no_byte_while_no_joiner_is_expected() {
    let bob = Node::bob(Echo).await;
    let introduction = Introduction {
        vouchers: vec![vouch(&identity(MALLORY), HOME, id(MALLORY), LogIndex(5))],
        ..introduction()
    };
    let first_messages = [
        frames(&[&encoded(&hello(StreamKind::Join)), &encoded(&request())]),
        frames(&[&encoded(&hello(StreamKind::Append))]),
        frames(&[&encoded(&Hello::new(introduction, StreamKind::Append))]),
    ];
    for (count, sent) in (1..).zip(first_messages) {
        assert!(received(&bob, &sent).await.len() <= ALERT_SIZE);
        eventually("it is counted", || bob.handshakes("unknown_key") == count).await;
    }
    assert_eq!(bob.handshakes("join_request"), 0);
}

/// A node's status is checked after its hello.
#[tokio::test]
async fn a_node_removed_during_the_handshake_gets_no_byte() {
    let bob = Node::bob(Echo).await;
    bob.service.admit(MALLORY);
    let mut stream = tls(MALLORY, bob.address()).await;
    bob.service.unlist(MALLORY);
    let sent = frames(&[&encoded(&hello(StreamKind::Append))]);
    stream.write_all(&sent).await.unwrap();
    assert!(rest(&mut stream).await.0.is_empty());
    eventually("it is counted", || bob.handshakes("unknown_key") == 1).await;
}

/// Those that wait during a handshake are evicted like all others.
#[tokio::test]
async fn waiting_strangers_do_not_block_peers() {
    let config = LinkServerConfig {
        handshake_count_max: 4,
        handshake_timeout: TIMEOUT,
        ..LinkServerConfig::default()
    };
    let bob = bob_with_joiners(config).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        let mut stream = tls(MALLORY, bob.address()).await;
        stream
            .write_all(&frames(&[&encoded(&hello(StreamKind::Join))]))
            .await
            .unwrap();
        strangers.push(stream);
    }
    bob.expect_alive().await;
    assert!(bob.handshakes("crowded") >= 16);
    assert!(rest(&mut strangers[0]).await.0.is_empty());
}
