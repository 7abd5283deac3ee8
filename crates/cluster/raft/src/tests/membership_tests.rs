//! Members that join, move and are listed.

use quorate_api::{Member, MemberChange, MemberState, MoveRequest};
use quorate_packet::PublicKey;
use quorate_peer::JoinAnswer;
use quorate_replica::Operator;
use quorate_state::JoinRejection;

use super::{elections::calm, test_members::*, *};
use crate::{
    KnownMembers,
    membership::problems::{bad_address, last_voter, unknown_node},
};

#[tokio::test(flavor = "multi_thread")]
async fn founders_get_their_names_from_the_configuration() {
    let cluster = Cluster::start(3, |config| {
        let number = config.node.0.as_bytes()[0];
        config.name = format!("founder{number}");
    })
    .await;
    let named = |members: &[Member]| {
        let names = members.iter().map(|member| member.name.as_str());
        names.eq(["founder1", "founder2", "founder3"])
    };
    cluster.until_members(named).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_grows_into_five_and_shrinks_again_without_a_failed_put() {
    let mut cluster = Cluster::alone(calm).await;
    let first = cluster.nodes[&id(1)].clone();
    put(&first, &packet(200, 1)).await.unwrap();
    let writer = Publisher::start(&first);
    cluster.grow([2, 3]).await;
    cluster.until_voters(&[1, 2, 3]).await;
    cluster.grow([4, 5]).await;
    cluster.until_voters(&[1, 2, 3, 4, 5]).await;
    for node in cluster.nodes.values() {
        let last = first.status().applied_index;
        applied(node, last).await;
        assert!(node.stored_packet(packet(200, 1).key()).unwrap().is_some());
        let newer = packet(201, node.context().config.node.0.as_bytes()[0].into());
        assert_eq!(put(node, &newer).await, Ok(PutOutcome::Stored));
    }
    for number in [5, 4, 3] {
        cluster.change(remove(number)).await.unwrap();
        cluster.stop(number).await;
    }
    cluster.until_voters(&[1, 2]).await;
    let changed = cluster.change(remove(2)).await.unwrap();
    assert_eq!(changed.warnings, Vec::<String>::new());
    cluster.stop(2).await;
    cluster.until_voters(&[1]).await;
    assert!(writer.stop().await > 0);
    let rejected = cluster.change(remove(1)).await;
    assert_eq!(rejected, Err(last_voter()));
    let rejected = cluster.change(demote(1)).await;
    assert_eq!(rejected, Err(last_voter()));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_know_the_cluster_id_and_the_members() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    let members = cluster.members().await;
    let cluster_id = cluster.configs[&id(1)].cluster.to_string();
    assert_eq!(members.cluster, Some(cluster_id));
    for node in cluster.nodes.values() {
        let mut now = node.context().known();
        let listed = timeout(TIMEOUT, now.wait_for(|now| now.members.len() == 3)).await;
        let listed = listed.expect("it receives all members").unwrap().clone();
        for number in 1..=3 {
            assert_eq!(listed.members[&id(number)], address(number));
        }
    }
    let names: Vec<_> = members.members.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["one", "n2", "n3"]);
    // After a plain restart they have the same roles.
    let second = id(2);
    cluster.stop(2).await;
    let config = cluster.configs.get_mut(&second).unwrap();
    config.has_joined = true;
    cluster.reopen(2).await;
    cluster.ready().await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_leader_lists_the_members() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    let known = cluster.members().await;
    cluster.stop(2).await;
    cluster.stop(3).await;
    let left = cluster.nodes[&id(1)].clone();
    let listed = async {
        loop {
            let listed = super::test_members::members(&left).await.unwrap();
            if listed.leader.is_none() && listed.members[1..].iter().all(is_silent) {
                return listed;
            }
        }
    };
    let listed = timeout(TIMEOUT, listed).await.expect("its own view");
    assert_eq!(listed.cluster, known.cluster);
    let whereabouts = |members: &[Member]| {
        let one = |it: &Member| {
            let (node, name) = (it.node.clone(), it.name.clone());
            (node, name, it.address.clone(), it.role)
        };
        members.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(whereabouts(&listed.members), whereabouts(&known.members));
    assert_eq!(listed.members[0].state, MemberState::Live);
    assert!(listed.members.iter().all(|member| member.lag.is_none()));

    // Two are a majority, and one of them leads.
    cluster.reopen(2).await;
    assert!(cluster.members().await.leader.is_some());
    cluster.shutdown().await;
}

/// A misspelt name of the node to replace must not be reported as replaced already.
#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_node_is_not_mistaken_for_a_replaced_one() {
    let cluster = Cluster::alone(|_| {}).await;
    let rejected = cluster.change(replacing("typo", id(1))).await;
    assert_eq!(rejected, Err(unknown_node("typo")));
    let gone = id(9).to_string();
    let changed = cluster.change(replacing(&gone, id(1))).await.unwrap();
    assert_eq!((changed.node, changed.lag), (id(1).to_string(), None));
    cluster.shutdown().await;
}

fn is_silent(member: &Member) -> bool {
    member.state == MemberState::Silent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_serves_reads_and_forwards_puts_and_never_votes() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.join(2, true, |_| {}).await;
    cluster
        .until_member(2, |member| member.state == MemberState::Live)
        .await;
    let learner = cluster.nodes[&id(2)].clone();
    timeout(TIMEOUT, learner.ready()).await.unwrap();
    assert_eq!(put(&learner, &signed(1)).await, Ok(PutOutcome::Stored));
    let stored = learner.stored_packet(signed(1).key()).unwrap();
    assert_eq!(stored.unwrap().packet, signed(1));
    assert_eq!(learner.status().role, Role::Learner);
    // Many checks of the reconciler.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.until_voters(&[1]).await;
    assert_eq!(learner.status().role, Role::Learner);

    let promoted = cluster.change(promote(2)).await.unwrap();
    assert_eq!(promoted.lag, None);
    assert_eq!(promoted.warnings.len(), 1, "two voters");
    cluster.until_voters(&[1, 2]).await;
    assert_eq!(cluster.change(promote(2)).await, Ok(promoted));
    cluster.change(demote(2)).await.unwrap();
    cluster.until_voters(&[1]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.until_voters(&[1]).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_node_with_a_valid_token_joins_and_only_once() {
    let mut cluster = Cluster::alone(|_| {}).await;
    let service = cluster.nodes[&id(1)].context().service();
    assert!(!service.expects_joiners());
    let token = cluster.token(false).await;
    assert!(service.expects_joiners() && !lists(&service, 2));

    cluster.until_registered().await;
    cluster.until_member(1, |member| member.name == "one").await;
    let mut wrong = token.clone();
    wrong.seed[0] ^= 1;
    assert_eq!(cluster.ask_to_join(&wrong, id(1), 2, "").await, None);
    let mut unknown = token.clone();
    unknown.invite.0[0] ^= 1;
    assert_eq!(cluster.ask_to_join(&unknown, id(1), 2, "").await, None);
    let rejected = cluster.ask_to_join(&token, id(1), 2, "one").await;
    assert_eq!(
        rejected,
        Some(JoinAnswer::Rejected(JoinRejection::NameTaken))
    );

    for _ in 0..2 {
        let joined = cluster.ask_to_join(&token, id(1), 2, "two").await;
        assert!(matches!(joined, Some(JoinAnswer::Joined(_))), "{joined:?}");
    }
    assert!(lists(&service, 2) && !service.expects_joiners());
    let used = cluster.ask_to_join(&token, id(1), 3, "").await;
    assert_eq!(used, Some(JoinAnswer::Rejected(JoinRejection::Used)));
    assert!(!lists(&service, 3));

    let node = cluster.nodes[&id(1)].clone();
    let expired = invite(&node, false, 0).await.unwrap();
    assert!(!service.expects_joiners());
    let expired = cluster
        .ask_to_join(&expired.token.parse().unwrap(), id(1), 3, "")
        .await;
    assert_eq!(expired, Some(JoinAnswer::Rejected(JoinRejection::Expired)));

    // It is removed before it ever connects: its links are rejected.
    cluster.change(remove(2)).await.unwrap();
    timeout(TIMEOUT, service.removed(id(2), Vec::new()))
        .await
        .unwrap();
    let again = cluster.ask_to_join(&token, id(1), 2, "two").await;
    assert_eq!(again, Some(JoinAnswer::Rejected(JoinRejection::Used)));
    cluster.grow([4]).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_moves_to_another_address() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    let board = cluster.board.clone();
    board.listen_at(id(3), "elsewhere:7700");
    let moving = |address: &str| {
        let address = address.to_owned();
        MemberChange::Move(MoveRequest { address }).of("n3")
    };
    // Its open links stay until they are lost.
    board.close_links(id(3));
    cluster
        .until_member(3, |member| member.state == MemberState::Silent)
        .await;
    for wrong in ["0.0.0.0:7700", "elsewhere", "[::]:1"] {
        let rejected = cluster.change(moving(wrong)).await;
        assert_eq!(rejected, Err(bad_address(wrong)));
    }
    cluster.change(moving("elsewhere:7700")).await.unwrap();
    cluster
        .until_member(3, |member| member.state == MemberState::Live)
        .await;
    cluster.ready().await;
    for node in cluster.nodes.values() {
        let mut known = node.context().known();
        let moved = |known: &KnownMembers| known.members[&id(3)] == "elsewhere:7700";
        timeout(TIMEOUT, known.wait_for(moved))
            .await
            .unwrap()
            .unwrap();
    }
    assert!(put(&cluster.nodes[&id(3)], &packet(1, 5)).await.is_ok());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_hands_leadership_over_at_any_node() {
    let cluster = Cluster::start(3, calm).await;
    let leader = cluster.leader().context().config.node;
    for node in cluster.nodes.values() {
        let text = Some(node.context().config.node.to_string());
        let moved = timeout(TIMEOUT, transfer(node, text)).await.unwrap();
        assert_eq!(moved, Ok(node.context().config.node.to_string()));
    }
    let last = *cluster.nodes.keys().next_back().unwrap();
    let any = cluster.nodes.values().next().unwrap();
    let moved = timeout(TIMEOUT, transfer(any, None)).await.unwrap();
    assert!(moved.is_ok_and(|node| node != last.to_string()), "{leader}");
    let unknown = transfer(any, Some("nobody".to_owned())).await;
    assert_eq!(unknown, Err(unknown_node("nobody")));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_are_listed_page_by_page() {
    let cluster = Cluster::start(1, |_| {}).await;
    let node = cluster.leader();
    for key in 0..10 {
        put(node, &packet(key, 5)).await.unwrap();
    }
    let after = PublicKey::from_bytes([6; 32]);
    let listed = node.packets_after(Some(after), 2).unwrap();
    let keys: Vec<_> = listed
        .iter()
        .map(|it| it.packet.key().as_bytes()[0])
        .collect();
    assert_eq!(keys, [7, 8]);
    cluster.shutdown().await;
}
