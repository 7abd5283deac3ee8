//! Nodes that are turned away, and told why, over loopback.

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
async fn a_node_that_nobody_knows_gets_no_word() {
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
async fn a_member_that_lost_its_data_is_told_to_be_replaced() {
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
    for told in ["lost its data", "quorate member replace", "--join TOKEN"] {
        assert!(text.contains(told), "{text}");
    }
    assert_eq!(bob.handshakes("data_lost"), 1);
    bob.expect_alive().await;
}

/// Whoever dials states its own position, and the other end compares.
#[tokio::test]
async fn a_member_that_states_less_than_it_acknowledged_is_told_both_positions() {
    let bob = Node::bob(Echo).await;
    let (term, had) = (STATED.term, LogPosition::new(2, 9));
    bob.service.remember(term, had);
    let error = open(ALICE, bob.address()).await.err().unwrap();
    let LinkError::DataLost(text, loss) = error else {
        panic!("{error}: Alice states less")
    };
    assert_eq!(loss.acknowledged, Some((term, had)));
    assert_eq!(loss.stated, STATED.durable);
    for told in [
        "entry 9 of term 2",
        "entry 7 of term 2",
        "of term 3",
        "member replace",
    ] {
        assert!(text.contains(told), "{told} in {text}");
    }
    assert_eq!(bob.handshakes("data_lost"), 1);
    for no_less in [LogPosition::new(2, 7), LogPosition::new(1, 9)] {
        bob.service.remember(term, no_less);
        open(ALICE, bob.address()).await.unwrap();
    }
    assert_eq!(bob.handshakes("data_lost"), 1);
}

#[tokio::test]
async fn the_links_of_a_node_that_is_expelled_end_at_once() {
    // One that answers, and one that is stuck.
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

/// Alice registered Mallory, which Bob has not applied yet.
fn vouched_for() -> Introduction {
    Introduction {
        vouchers: vec![vouch(&identity(ALICE), HOME, id(MALLORY), LogIndex(5))],
        ..introduction()
    }
}

#[tokio::test]
async fn a_member_that_is_not_listed_yet_gets_the_lanes_of_raft_and_snapshots() {
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
async fn links_end_when_nothing_proves_them_any_more() {
    let bob = Node::bob(Echo).await;
    let mut mallory = open_as(MALLORY, bob.address(), vouched_for())
        .await
        .unwrap();
    assert_eq!(ask(&mut mallory, "heard").await, "heard");
    bob.service.unlist(ALICE);
    let error = next(&mut mallory).await.unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Closed(_)), "{error}");
}

#[tokio::test]
async fn members_that_are_not_listed_yet_have_a_bound() {
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
async fn a_node_that_was_removed_is_told_who_the_cluster_is_without_it() {
    let bob = Node::bob(Echo).await;
    let removal = Removal {
        index: LogIndex(70),
        voters: vec![(id(BOB), "bob:1".to_owned())],
        vouchers: vouched_for().vouchers,
    };
    bob.service.remove(MALLORY, removal.clone());
    let error = open(MALLORY, bob.address()).await.err().unwrap();
    let LinkError::Removed(text, told) = error else {
        panic!("{error}: Bob says nothing")
    };
    assert_eq!(*told, removal);
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
async fn a_node_of_another_cluster_is_told_so() {
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
