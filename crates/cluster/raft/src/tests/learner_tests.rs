//! Learners: many of them with a few voters.

use std::collections::BTreeSet;

use quorate_api::{MemberRole, MemberState};
use quorate_clock::ClockState;
use quorate_state::LEVEL_MAX;

use super::{elections::calm, test_members::*, *};

const VOTERS: std::ops::RangeInclusive<u64> = 1..=5;
const LEARNERS: std::ops::RangeInclusive<u64> = 6..=20;

/// The peers to which a node keeps links that it has opened itself.
fn dialed(node: &Node) -> BTreeSet<NodeId> {
    node.context().peers.link_tracker.dialed()
}

/// Waits until node `number` keeps links to exactly these nodes.
async fn until_dialed(cluster: &Cluster, number: u64, expected: impl IntoIterator<Item = u64>) {
    let expected: BTreeSet<_> = expected.into_iter().filter(|it| *it != number).collect();
    let expected = expected.into_iter().map(id).collect::<BTreeSet<_>>();
    let node = &cluster.nodes[&id(number)];
    let reached = async {
        while dialed(node) != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(TIMEOUT, reached).await.is_err() {
        panic!("{number} has dialed {:?}", dialed(node));
    }
}

/// Each link costs memory at both ends, so a large cluster keeps only the links that are needed.
#[tokio::test(flavor = "multi_thread")]
async fn learners_dial_only_voters_and_still_serve() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow(VOTERS.skip(1)).await;
    for number in LEARNERS {
        cluster.join(number, true, calm).await;
    }
    cluster
        .until_members(|members| {
            let lives = |it: &quorate_api::Member| {
                [MemberState::Live, MemberState::Leader].contains(&it.state)
            };
            members.len() == 20 && members.iter().all(lives)
        })
        .await;
    cluster.ready().await;
    for number in VOTERS {
        until_dialed(&cluster, number, VOTERS.chain(LEARNERS)).await;
    }
    for number in LEARNERS {
        until_dialed(&cluster, number, VOTERS).await;
    }

    // Learners accept PUTs and know the time, and the leader knows which level they support.
    let [some, other] = [6, 20].map(|number| cluster.nodes[&id(number)].clone());
    assert_eq!(put(&some, &signed(1)).await, Ok(PutOutcome::Stored));
    timeout(TIMEOUT, other.linearize()).await.unwrap().unwrap();
    assert!(other.stored_packet(signed(1).key()).unwrap().is_some());
    for number in LEARNERS {
        let gossip = &cluster.nodes[&id(number)].context().gossip;
        let agrees = async {
            while gossip.time().state != ClockState::Agreed {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(TIMEOUT, agrees).await.expect("it knows the time");
        let known = cluster.leader().context().gossip.level(id(number));
        assert_eq!(known, Some(LEVEL_MAX));
    }

    // After a change of the leader, the new one and the learners reach each other.
    let old = cluster.leader().id;
    let old = VOTERS.into_iter().find(|it| id(*it) == old).unwrap();
    cluster.die(old);
    assert_eq!(put(&other, &signed(2)).await, Ok(PutOutcome::Stored));
    timeout(TIMEOUT, some.linearize()).await.unwrap().unwrap();
    assert!(some.stored_packet(signed(2).key()).unwrap().is_some());

    // A new voter dials all members, and a former one only voters.
    let living = || VOTERS.filter(|it| *it != old);
    cluster.change(promote(6)).await.unwrap();
    until_dialed(&cluster, 6, living().chain(LEARNERS)).await;
    until_dialed(&cluster, 20, living().chain([6])).await;
    cluster.change(demote(6)).await.unwrap();
    cluster
        .until_member(6, |member| member.role == MemberRole::Learner)
        .await;
    until_dialed(&cluster, 6, living()).await;
    until_dialed(&cluster, 20, living()).await;
}
