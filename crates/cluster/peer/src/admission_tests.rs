//! Nodes that are turned away, and told why, over loopback.

use crate::{ClusterId, ClusterNames, Introduction, Lane, LinkError, LogState, Transport};
use futures_util::{FutureExt, SinkExt, StreamExt, stream};

use crate::{
    test_nodes::*,
    test_service::{Echo, Serve},
};

/// Whether a joiner is expected or not.
#[tokio::test]
async fn a_node_that_is_not_admitted_is_told_to_be_added() {
    let bob = Node::bob(Echo).await;
    for outcome in ["unknown_key", "unknown_key"] {
        let before = bob.handshakes(outcome);
        let error = open(MALLORY, bob.address()).await.err().unwrap();
        let LinkError::NotAdmitted(text) = error else {
            panic!("{error}: Bob knows Mallory")
        };
        for told in [
            "does not know this node's key",
            "quorate member add",
            "--join TOKEN",
        ] {
            assert!(text.contains(told), "{text}");
        }
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
        log: LogState::Empty,
        ..introduction()
    };
    let error = open_as(ALICE, bob.address(), empty).await.err().unwrap();
    let LinkError::Forgotten(text) = error else {
        panic!("{error}: Bob misses nothing")
    };
    for told in ["lost its data", "quorate member replace", "--join TOKEN"] {
        assert!(text.contains(told), "{text}");
    }
    assert_eq!(bob.handshakes("forgotten"), 1);
    bob.expect_alive().await;
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

        node.service.expel(MALLORY);
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

#[tokio::test]
async fn another_node_at_the_address_is_named() {
    let bob = Node::bob(Echo).await;
    let address = bob.address().to_string();
    let opened = transport(ALICE).open(id(MALLORY), address, Lane::Append, introduction());
    let text = text(opened.await.err().unwrap());
    let expected = format!("another node is there: {}", id(BOB));
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_node_of_another_cluster_is_told_so() {
    let bob = Node::bob(Echo).await;
    let elsewhere = Introduction {
        names: ClusterNames {
            id: Some(ClusterId([8; 32])),
            founding: None,
        },
        ..introduction()
    };
    let opened = open_as(ALICE, bob.address(), elsewhere);
    let text = text(opened.await.err().unwrap());
    assert!(text.contains("it belongs to another cluster"), "{text}");
    assert!(text.contains(&id(BOB).to_string()), "{text}");
    assert!(text.contains(&bob.address().to_string()), "{text}");
    assert_eq!(bob.handshakes("cluster"), 1);
}
