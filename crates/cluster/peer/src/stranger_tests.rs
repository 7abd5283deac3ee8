//! What strangers say first while joiners are expected, over loopback.

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

/// Bob, who would let Mallory in if Mallory had the token.
async fn hospitable(config: LinkServerConfig) -> Node {
    let bob = Node::bob_with(config, Echo).await;
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(joined())));
    bob
}

/// What Mallory says to Bob with the right token.
fn request() -> JoinRequest {
    request_of(id(MALLORY), "mallory", "mallory:1")
}

fn request_of(joiner: NodeId, name: &str, address: &str) -> JoinRequest {
    let (name, address) = (name.to_owned(), address.to_owned());
    JoinRequest::new(&token(Vec::new()), joiner, id(BOB), name, address)
}

/// What Mallory hears of Bob, bytes of TLS and all, after saying this.
async fn heard(bob: &Node, said: &[u8]) -> Vec<u8> {
    let mut stream = tls(MALLORY, bob.address()).await;
    stream.write_all(said).await.unwrap();
    stream.flush().await.unwrap();
    let mut bytes = Vec::new();
    // Beneath TLS.
    let end = stream.get_mut().0.read_to_end(&mut bytes);
    // Whether Bob read all of it before he went, or not.
    let _ = timeout(TIMEOUT, end).await.expect("Bob hangs up");
    bytes
}

fn say(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| frame(part)).collect()
}

#[tokio::test]
async fn first_words_that_are_no_proof_get_not_a_byte() {
    let bob = hospitable(LinkServerConfig::default()).await;
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
    let first_words: [(&str, Vec<u8>, &str); 14] = [
        ("garbage", vec![0xff; 3000], "no_join_request"),
        ("an empty frame", say(&[b""]), "no_join_request"),
        (
            "a long frame",
            say(&[&[1; HELLO_SIZE_MAX + 1]]),
            "no_join_request",
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            "no_join_request",
        ),
        (
            "a link",
            say(&[&encoded(&hello(StreamKind::Append))]),
            "unknown_key",
        ),
        (
            "another cluster",
            say(&[&encoded(&Hello::new(elsewhere, StreamKind::Join)), &whole]),
            "no_join_request",
        ),
        (
            "another version",
            say(&[&encoded(&later), &whole]),
            "no_join_request",
        ),
        (
            "another magic",
            say(&[&[&[0; 8], &join[8..]].concat(), &whole]),
            "no_join_request",
        ),
        (
            "garbage for a request",
            say(&[&join, &[0xff; 100]]),
            "no_join_request",
        ),
        (
            "a long request",
            say(&[&join, &[1; HELLO_SIZE_MAX + 1]]),
            "no_join_request",
        ),
        ("a long name", say(&[&join, &long]), "no_join_request"),
        (
            "half a request",
            say(&[&join, &whole[..whole.len() / 2]]),
            "no_join_request",
        ),
        ("a forged proof", say(&[&join, &forged]), "join_request"),
        (
            "the proof of another",
            say(&[&join, &of_alice]),
            "join_request",
        ),
    ];
    for (what, said, outcome) in first_words {
        let before = bob.handshakes(outcome);
        let bytes = heard(&bob, &said).await;
        assert!(
            bytes.len() <= ALERT_SIZE,
            "{what} got {} bytes",
            bytes.len()
        );
        eventually("it is counted", || bob.handshakes(outcome) == before + 1).await;
        // And in TLS: nothing, and no more than its end.
        let mut stream = tls(MALLORY, bob.address()).await;
        stream.write_all(&said).await.unwrap();
        assert!(rest(&mut stream).await.0.is_empty(), "{what}");
    }
    eventually("both are counted", || bob.joins("unproved") == 4).await;
    assert_eq!(bob.joins("joined"), 0);
    assert_eq!(bob.handshakes("welcomed"), 0);
    // With the token, after all that.
    let bytes = heard(&bob, &say(&[&join, &whole])).await;
    assert!(bytes.len() > ALERT_SIZE);
    eventually("it is counted", || bob.joins("joined") == 1).await;
    bob.expect_alive().await;
}

#[tokio::test]
async fn who_is_late_gets_not_a_byte() {
    let config = LinkServerConfig {
        handshake_timeout: Duration::from_secs(1),
        ..LinkServerConfig::default()
    };
    let bob = hospitable(config).await;
    let join = encoded(&hello(StreamKind::Join));
    let half = &frame(&encoded(&request()))[..20];
    let late = [vec![], say(&[&join]), [&frame(&join), half].concat()];
    for bytes in join_all(late.iter().map(|said| heard(&bob, said))).await {
        assert!(bytes.is_empty(), "{} bytes", bytes.len());
    }
    eventually("all are counted", || bob.handshakes("timed_out") == 3).await;
}

/// Nor does it count what a stranger says of itself: a chain of vouchers that it has made.
#[tokio::test]
async fn strangers_get_not_a_byte_while_nobody_is_expected() {
    let bob = Node::bob(Echo).await;
    let made = Introduction {
        vouchers: vec![vouch(&identity(MALLORY), HOME, id(MALLORY), LogIndex(5))],
        ..introduction()
    };
    let first_words = [
        say(&[&encoded(&hello(StreamKind::Join)), &encoded(&request())]),
        say(&[&encoded(&hello(StreamKind::Append))]),
        say(&[&encoded(&Hello::new(made, StreamKind::Append))]),
    ];
    for (count, said) in (1..).zip(first_words) {
        assert!(heard(&bob, &said).await.len() <= ALERT_SIZE);
        eventually("it is counted", || bob.handshakes("unknown_key") == count).await;
    }
    assert_eq!(bob.handshakes("join_request"), 0);
}

/// What counts is who the node is when it has said hello.
#[tokio::test]
async fn who_is_expelled_within_the_handshake_gets_not_a_byte() {
    let bob = Node::bob(Echo).await;
    bob.service.admit(MALLORY);
    let mut stream = tls(MALLORY, bob.address()).await;
    bob.service.unlist(MALLORY);
    let said = say(&[&encoded(&hello(StreamKind::Append))]);
    stream.write_all(&said).await.unwrap();
    assert!(rest(&mut stream).await.0.is_empty());
    eventually("it is counted", || bob.handshakes("unknown_key") == 1).await;
}

/// Those who wait on their way are crowded out as all others are.
#[tokio::test]
async fn strangers_that_wait_do_not_keep_peers_out() {
    let config = LinkServerConfig {
        handshake_count_max: 4,
        handshake_timeout: TIMEOUT,
        ..LinkServerConfig::default()
    };
    let bob = hospitable(config).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        let mut stream = tls(MALLORY, bob.address()).await;
        stream
            .write_all(&say(&[&encoded(&hello(StreamKind::Join))]))
            .await
            .unwrap();
        strangers.push(stream);
    }
    bob.expect_alive().await;
    assert!(bob.handshakes("crowded") >= 16);
    assert!(rest(&mut strangers[0]).await.0.is_empty());
}
