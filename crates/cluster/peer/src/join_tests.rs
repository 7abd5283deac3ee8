//! Nodes that join, over loopback.

use std::{net::SocketAddr, time::Duration};

use crate::{ClusterId, JoinAnswer, JoinRejection, JoinToken, Joined, NodeId, StreamKind, chain};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    JoinError, LinkServerConfig, TransportConfig,
    greeting::Greeting,
    test_nodes::*,
    test_service::{Echo, joined, token},
};

/// Mallory joins by this token.
async fn join(token: &JoinToken) -> Result<Joined, JoinError> {
    let (name, address) = ("mallory".to_owned(), "mallory:1".to_owned());
    let config = TransportConfig {
        handshake_timeout: Duration::from_secs(2),
        join_timeout: TIMEOUT,
        ..TransportConfig::default()
    };
    let identity = identity(MALLORY);
    let joined = crate::join(&identity, token, name, address, config);
    timeout(2 * TIMEOUT, joined).await.expect("a round ends")
}

fn at(bob: &Node) -> JoinToken {
    token(vec![(id(BOB), bob.address().to_string())])
}

async fn closed_address() -> SocketAddr {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    nobody.local_addr().unwrap()
}

/// A Bob that reads a joiner's request and answers with these bytes.
async fn fake_bob(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let config = crate::server_config(&identity(BOB));
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(config).accept(stream).await.unwrap();
        for _ in ["hello", "request"] {
            let size = stream.read_u32().await.unwrap();
            stream
                .read_exact(&mut vec![0; size as usize])
                .await
                .unwrap();
        }
        stream.write_all(&answer).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    address
}

#[tokio::test]
async fn a_node_with_a_token_receives_the_members() {
    let bob = Node::bob(Echo).await;
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(joined())));
    assert_eq!(join(&at(&bob)).await.unwrap(), joined());
    assert_eq!(bob.handshakes("join_request"), 1);
    eventually("it is counted", || bob.joins("joined") == 1).await;
    assert_eq!(bob.links_open(), 0);
    bob.expect_alive().await;
}

/// A node that crashed before it had stored the answer requests again.
#[tokio::test]
async fn a_registered_node_may_repeat_its_join_request() {
    let bob = Node::bob(Echo).await;
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(joined())));
    bob.service.admit(MALLORY);
    for _ in 0..2 {
        assert_eq!(join(&at(&bob)).await.unwrap(), joined());
    }
    // And when its own invite was the last open one.
    let closed = Node::bob(Echo).await;
    closed.service.admit(MALLORY);
    assert_eq!(join(&at(&closed)).await.unwrap(), joined());
}

#[tokio::test]
async fn a_thousand_members_fit_an_answer() {
    let members = (0..1000_u32).map(|number| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        (
            NodeId(quorate_packet::PublicKey::from_bytes(bytes)),
            "x".repeat(260),
        )
    });
    let many = Joined {
        members: members.collect(),
        ..joined()
    };
    let bob = Node::bob(Echo).await;
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(many.clone())));
    assert!(join(&at(&bob)).await.unwrap() == many);
}

#[tokio::test]
async fn the_next_member_is_tried_when_one_is_gone() {
    let bob = Node::bob(Echo).await;
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(joined())));
    let mut token = at(&bob);
    let gone = (id(ALICE), closed_address().await.to_string());
    // And an address where another node listens.
    let other = (id(ALICE), bob.address().to_string());
    token.members.splice(0..0, [gone, other]);
    assert_eq!(join(&token).await.unwrap(), joined());
}

#[tokio::test]
async fn a_rejection_ends_the_attempts_with_its_reason() {
    let bob = Node::bob(Echo).await;
    let rejection = JoinAnswer::Rejected(JoinRejection::Expired);
    bob.service.expect_joiners(Some(rejection));
    let mut token = at(&bob);
    token.members.push((id(ALICE), "127.0.0.1:1".to_owned()));
    let error = join(&token).await.unwrap_err();
    assert!(
        matches!(error, JoinError::Rejected(JoinRejection::Expired)),
        "{error}"
    );
    assert!(
        chain(&error).contains("quorate member add"),
        "{}",
        chain(&error)
    );
    assert!(!error.may_pass());
    eventually("it is counted", || bob.joins("rejected") == 1).await;
}

#[tokio::test]
async fn an_unknown_token_is_distinguished_from_an_unreachable_member() {
    let bob = Node::bob(Echo).await;
    let mut unknown = at(&bob);
    unknown.seed = [9; 32];
    // Whether Bob expects other joiners or none.
    for expects in [false, true] {
        if expects {
            bob.service.expect_joiners(None);
        }
        let error = join(&unknown).await.unwrap_err();
        assert!(matches!(error, JoinError::NotTaken(_)), "{error}");
        assert!(error.to_string().contains("quorate member add"), "{error}");
        assert!(
            error.to_string().contains(&bob.address().to_string()),
            "{error}"
        );
        assert!(!error.may_pass());
    }
    eventually("it is counted", || bob.joins("unproved") == 1).await;

    let gone = closed_address().await.to_string();
    unknown.members.push((id(ALICE), gone.clone()));
    let error = join(&unknown).await.unwrap_err();
    assert!(matches!(error, JoinError::Unreachable(_)), "{error}");
    for expected in [&gone, &id(ALICE).to_string(), &bob.address().to_string()] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(error.may_pass());
}

#[tokio::test]
async fn a_token_of_another_cluster_is_rejected() {
    let bob = Node::bob(Echo).await;
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(joined())));
    let mut token = at(&bob);
    token.cluster = ClusterId([8; 32]);
    let error = join(&token).await.unwrap_err();
    assert!(matches!(error, JoinError::NotTaken(_)), "{error}");
    assert_eq!(bob.joins("joined"), 0);
}

#[tokio::test]
async fn a_join_is_retried_while_the_cluster_cannot_register() {
    let bob = Node::bob(Echo).await;
    let reason = "there is no leader".to_owned();
    bob.service
        .expect_joiners(Some(JoinAnswer::Unavailable(reason)));
    let mut token = at(&bob);
    token
        .members
        .push((id(ALICE), closed_address().await.to_string()));
    let error = join(&token).await.unwrap_err();
    let JoinError::Unavailable(reasons) = &error else {
        panic!("{error}: Bob could")
    };
    assert!(reasons.contains("there is no leader"), "{reasons}");
    assert!(error.may_pass());
    eventually("it is counted", || bob.joins("unavailable") == 1).await;
}

#[tokio::test]
async fn a_key_that_has_lost_its_data_does_not_join_again() {
    let bob = Node::bob(Echo).await;
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(joined())));
    bob.service.admit(MALLORY);
    bob.service.miss_data();
    let error = join(&at(&bob)).await.unwrap_err();
    assert!(matches!(error, JoinError::DataLost), "{error}");
    assert!(
        error.to_string().contains("quorate member replace"),
        "{error}"
    );
    assert_eq!(bob.handshakes("data_lost"), 1);
    assert_eq!(bob.joins("joined"), 0);
}

#[tokio::test]
async fn an_empty_token_and_a_long_name_are_rejected_locally() {
    let error = join(&token(Vec::new())).await.unwrap_err();
    assert!(matches!(error, JoinError::NoMember), "{error}");
    let token = token(vec![(id(BOB), "127.0.0.1:1".to_owned())]);
    let address = "x".repeat(1000);
    let config = TransportConfig::default();
    let identity = identity(MALLORY);
    let joined = crate::join(&identity, &token, String::new(), address, config);
    let error = joined.await.unwrap_err();
    assert!(
        matches!(error, JoinError::Rejected(JoinRejection::Bounds)),
        "{error}"
    );
}

#[tokio::test]
async fn registrations_that_hang_are_bounded_in_count_and_in_time() {
    let config = LinkServerConfig {
        join_count_max: 1,
        join_timeout: Duration::from_secs(1),
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, Echo).await;
    bob.service.expect_joiners(None);
    let token = at(&bob);
    let (first, second) = tokio::join!(join(&token), join(&token));
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert!(error.may_pass(), "{error}");
    }
    assert_eq!((bob.joins("crowded"), bob.joins("timed_out")), (1, 1));
    bob.service
        .expect_joiners(Some(JoinAnswer::Joined(joined())));
    assert_eq!(
        join(&token).await.unwrap(),
        joined(),
        "there is a free place again"
    );
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_joiners() {
    let bob = Node::bob(Echo).await;
    bob.service.expect_joiners(None);
    let token = at(&bob);
    let joining = tokio::spawn(async move { join(&token).await });
    eventually("it waits", || bob.handshakes("join_request") == 1).await;
    timeout(TIMEOUT / 2, bob.server.shutdown()).await.unwrap();
    let error = joining.await.unwrap().unwrap_err();
    assert!(error.may_pass(), "{error}");
}

#[tokio::test]
async fn invalid_answers_do_not_let_a_node_join() {
    let elsewhere = Joined {
        id: ClusterId([8; 32]),
        ..joined()
    };
    let answers = [
        vec![],
        vec![0xff; 100],
        frame(&[9, 9]),
        frame(&encoded(&Greeting::Join(JoinAnswer::Joined(elsewhere)))),
        frame(&encoded(&Greeting::Rejected(
            "of a later version".to_owned(),
        ))),
        frame(&[0, 3, 1]),
    ];
    for answer in answers {
        let address = fake_bob(answer).await.to_string();
        join(&token(vec![(id(BOB), address)])).await.unwrap_err();
    }
    // An answer to a joiner does not open a link either.
    let answer = frame(&encoded(&Greeting::Join(JoinAnswer::Joined(joined()))));
    let address = crate::test_nodes::fake_bob(answer).await;
    let text = text(open(ALICE, address).await.err().unwrap());
    assert!(text.contains("does not match the request"), "{text}");
    assert_eq!(hello(StreamKind::Join).stream_kind, 6);
}
