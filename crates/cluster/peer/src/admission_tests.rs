//! Nodes that are rejected with a reason, over loopback.

use crate::{ClusterId, Introduction, LinkError, LogSummary, Removal, StreamKind, Transport};
use futures_util::{FutureExt, SinkExt, StreamExt, stream};
use quorate_state::{LogIndex, LogPosition};
use strum::VariantArray;

use crate::{
    LinkServerConfig,
    test_nodes::*,
    test_service::{Echo, Serve},
    vouch,
};

/// Whether a joiner is expected or not.
#[tokio::test]
async fn an_unknown_node_gets_no_reason() {
    let bob = Node::bob(Echo).await;
    for outcome in ["unknown_key", "unknown_key"] {
        let before = bob.handshakes(outcome);
        let error = open(MALLORY, bob.address()).await.err().unwrap();
        let LinkError::NotAdmitted(text) = error else {
            panic!("{error}: Bob knows Mallory")
        };
        assert!(text.contains("does not know this node's key"), "{text}");
        assert!(text.contains(&id(BOB).to_string()), "{text}");
        assert!(text.contains(&bob.address().to_string()), "{text}");
        assert_eq!(bob.handshakes(outcome), before + 1);
        bob.service.expect_joiners(None);
    }
}

#[tokio::test]
async fn a_member_that_lost_its_data_is_rejected_with_advice() {
    let bob = Node::bob(Echo).await;
    bob.service.miss_data();
    let empty = Introduction {
        stated: LogSummary::default(),
        ..introduction()
    };
    let error = open_as(ALICE, bob.address(), empty).await.err().unwrap();
    let LinkError::DataLost(text, loss) = error else {
        panic!("{error}: Bob misses nothing")
    };
    assert_eq!((loss.acknowledged, loss.stated), (None, None));
    for expected in ["lost its data", "quorate member replace", "--join TOKEN"] {
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(bob.handshakes("data_lost"), 1);
    bob.expect_alive().await;
}

/// The dialing node sends its own position, and the other end compares it.
#[tokio::test]
async fn a_member_that_states_less_than_it_acknowledged_gets_both_positions() {
    let bob = Node::bob(Echo).await;
    let (term, had) = (STATED.term, LogPosition::new(2, 9));
    bob.service.remember(term, had);
    let error = open(ALICE, bob.address()).await.err().unwrap();
    let LinkError::DataLost(text, loss) = error else {
        panic!("{error}: Alice states less")
    };
    assert_eq!(loss.acknowledged, Some((term, had)));
    assert_eq!(loss.stated, STATED.durable);
    for expected in [
        "entry 9 of term 2",
        "entry 7 of term 2",
        "of term 3",
        "member replace",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert_eq!(bob.handshakes("data_lost"), 1);
    for no_less in [LogPosition::new(2, 7), LogPosition::new(1, 9)] {
        bob.service.remember(term, no_less);
        open(ALICE, bob.address()).await.unwrap();
    }
    assert_eq!(bob.handshakes("data_lost"), 1);
}

#[tokio::test]
async fn the_links_of_a_removed_node_end_immediately() {
    // One that answers, and one that never does.
    let stuck = Serve(|_| stream::pending().boxed());
    let (bob, stuck) = (Node::bob(Echo).await, Node::bob(stuck).await);
    for node in [&bob, &stuck] {
        node.service.admit(MALLORY);
        let mut links = [ALICE, MALLORY, MALLORY].map(|name| open(name, node.address()).boxed());
        let [alice, first, second] = &mut links;
        let mut alice = alice.await.unwrap();
        let mut mallory = [first.await.unwrap(), second.await.unwrap()];
        eventually("all are open", || node.links_open() == 3).await;

        node.service.unlist(MALLORY);
        for link in &mut mallory {
            let error = next(link).await.unwrap().unwrap_err();
            assert!(matches!(error, LinkError::Closed(_)), "{error}");
        }
        eventually("one is left", || node.links_open() == 1).await;
        let error = open(MALLORY, node.address()).await.err().unwrap();
        assert!(matches!(error, LinkError::NotAdmitted(_)), "{error}");
        alice.requests.send(request("mine lives")).await.unwrap();
    }
}

/// Alice has registered Mallory, and Bob has not applied that yet.
fn vouched_for() -> Introduction {
    Introduction {
        vouchers: vec![vouch(&identity(ALICE), HOME, id(MALLORY), LogIndex(5))],
        ..introduction()
    }
}

#[tokio::test]
async fn a_vouched_member_gets_only_the_streams_of_raft_and_snapshots() {
    let bob = Node::bob(Echo).await;
    for &stream_kind in StreamKind::VARIANTS {
        let (address, mallory) = (bob.address().to_string(), transport(MALLORY));
        let opened = mallory
            .open(id(BOB), address, stream_kind, Box::new(vouched_for))
            .await;
        let is_taken = matches!(
            stream_kind,
            StreamKind::Append | StreamKind::Control | StreamKind::Snapshot
        );
        match opened {
            Ok(_) => assert!(is_taken, "{stream_kind:?}"),
            Err(error) => assert!(
                !is_taken && error.to_string().contains("not applied"),
                "{stream_kind:?}: {error}"
            ),
        }
    }
}

#[tokio::test]
async fn links_end_when_their_proof_is_gone() {
    let bob = Node::bob(Echo).await;
    let mut mallory = open_as(MALLORY, bob.address(), vouched_for())
        .await
        .unwrap();
    assert_eq!(ask(&mut mallory, "hello").await, "hello");
    bob.service.unlist(ALICE);
    let error = next(&mut mallory).await.unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Closed(_)), "{error}");
}

#[tokio::test]
async fn the_links_of_vouched_members_are_limited() {
    let config = LinkServerConfig {
        vouched_count_max: 2,
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, Echo).await;
    let vouched = |name| Introduction {
        vouchers: vec![vouch(&identity(ALICE), HOME, id(name), LogIndex(5))],
        ..introduction()
    };
    let mut links = Vec::new();
    for name in [10, 11, 10, 11] {
        links.push(open_as(name, bob.address(), vouched(name)).await.unwrap());
    }
    let third = open_as(12, bob.address(), vouched(12)).await.err().unwrap();
    assert!(text(third).contains("too many open links"));
    open(ALICE, bob.address()).await.unwrap();
    drop(links);
    eventually("there is room", || bob.links_open() == 0).await;
    open_as(12, bob.address(), vouched(12)).await.unwrap();
}

#[tokio::test]
async fn a_removed_node_receives_the_current_members() {
    let bob = Node::bob(Echo).await;
    let removal = Removal {
        index: LogIndex(70),
        voters: vec![(id(BOB), "bob:1".to_owned())],
        vouchers: vouched_for().vouchers,
    };
    bob.service.remove(MALLORY, removal.clone());
    let error = open(MALLORY, bob.address()).await.err().unwrap();
    let LinkError::Removed(text, expected) = error else {
        panic!("{error}: Bob says nothing")
    };
    assert_eq!(*expected, removal);
    assert!(text.contains("removed, as of entry 70"), "{text}");
    assert_eq!(bob.handshakes("removed"), 1);
}

#[tokio::test]
async fn another_node_at_the_address_is_named() {
    let bob = Node::bob(Echo).await;
    let address = bob.address().to_string();
    let opened = transport(ALICE).open(
        id(MALLORY),
        address,
        StreamKind::Append,
        Box::new(introduction),
    );
    let text = text(opened.await.err().unwrap());
    let expected = format!("another node is there: {}", id(BOB));
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_node_of_another_cluster_is_rejected_with_the_reason() {
    let bob = Node::bob(Echo).await;
    let elsewhere = Introduction {
        cluster: ClusterId([8; 32]),
        ..introduction()
    };
    let opened = open_as(ALICE, bob.address(), elsewhere);
    let text = text(opened.await.err().unwrap());
    assert!(text.contains("it belongs to another cluster"), "{text}");
    assert!(text.contains(&id(BOB).to_string()), "{text}");
    assert!(text.contains(&bob.address().to_string()), "{text}");
    assert_eq!(bob.handshakes("cluster"), 1);
}
