//! Members that are removed or replaced.

use std::time::Duration;

use quorate_api::{MemberChange, MemberRole, MemberState, RemoveRequest};
use quorate_state::{Command, Registration};

use super::{elections::calm, test_members::*, *};
use crate::{
    Cleanup,
    membership::problems::{no_live_quorum, unknown_node},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_removed_hands_over_first() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let survivor = cluster.nodes[&id(3)].clone();
    let writer = Publisher::start(&survivor);
    let removed = cluster.nodes.remove(&id(1)).unwrap();
    let changed = timeout(TIMEOUT, ask(&removed, remove(1))).await;
    assert_eq!(changed.unwrap().unwrap().node, id(1).to_string());
    cluster.until_voters(&[2, 3]).await;
    let knows = async {
        while removed.status().not_ready != Some(NotReady::Removed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, knows).await.expect("it learns it");
    assert!(writer.stop().await > 0);
    let terms: Vec<_> = cluster.nodes.values().map(|it| it.status().term).collect();
    tokio::time::sleep(survivor.context().config.election_timeout_max()).await;
    let later: Vec<_> = cluster.nodes.values().map(|it| it.status().term).collect();
    assert_eq!(terms, later, "it disturbs nobody");
    // A repeated request succeeds.
    let again = cluster.change(remove(1)).await.unwrap();
    assert_eq!(again.node, id(1).to_string());
    let prefix = &id(1).to_string()[..8];
    let by_prefix = MemberChange::Remove(RemoveRequest::default()).of(prefix);
    assert_eq!(cluster.change(by_prefix).await.unwrap().node, again.node);
    removed.shutdown().await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_by_one_that_has_just_joined() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    cluster.die(3);
    cluster.join(4, true, |_| {}).await;
    let replaced = cluster.replace(id(3), id(4)).await;
    assert_eq!(
        (replaced.node, replaced.warnings.len()),
        (id(4).to_string(), 0)
    );
    let members = cluster.until_members(|members| members.len() == 3).await;
    assert!(
        members
            .iter()
            .all(|member| member.role == MemberRole::Voter)
    );
    let service = cluster.nodes[&id(1)].context().service();
    timeout(TIMEOUT, service.removed(id(3), Vec::new()))
        .await
        .unwrap();
    let again = cluster.replace(id(3), id(4)).await;
    assert_eq!(again.warnings.len(), 1, "it was removed before");
    let gone = id(3).to_string();
    let rejected = cluster.change(replacing(&gone, id(3))).await;
    assert_eq!(rejected, Err(unknown_node(&gone)));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_node_of_a_cluster_can_be_replaced() {
    let mut cluster = Cluster::alone(calm).await;
    put(cluster.leader(), &packet(1, 5)).await.unwrap();
    cluster.join(2, true, |_| {}).await;
    cluster.replace(id(1), id(2)).await;
    let old = cluster.nodes.remove(&id(1)).unwrap();
    cluster.until_voters(&[2]).await;
    let stored = cluster.leader().stored_packet(packet(1, 5).key());
    assert!(stored.unwrap().is_some());
    old.shutdown().await.unwrap();
    cluster.shutdown().await;
}

/// Wherever a leader stops during a replacement, the next leader or a retry completes it.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_replacement_is_completed() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.join(4, true, |_| {}).await;
    cluster
        .until_member(4, |member| member.state == MemberState::Live)
        .await;
    cluster.until_registered().await;
    // The old node is deregistered, and nothing else is done.
    cluster.lead(1).await;
    let leader = cluster.nodes[&id(1)].clone();
    let admin = leader.context().service.admin.clone();
    let deregister = Command::Deregister(id(3).0);
    leader
        .context()
        .write_path
        .raft
        .propose(deregister.encode())
        .await;
    cluster.lead(2).await;
    cluster
        .until_member(3, |member| member.role == MemberRole::Voter)
        .await;
    cluster.until_registered().await;
    // The joint configuration is committed, and its leader is gone.
    cluster.lead(1).await;
    let _lock = admin.change_lock.lock().await;
    leader
        .context()
        .write_path
        .raft
        .propose(deregister.encode())
        .await;
    leave_joint(&leader, &[1, 2, 4]).await;
    cluster.die(1);
    let _gone = leader;
    cluster.until_voters(&[1, 2, 4]).await;
    cluster
        .until_members(|members| members.iter().all(|member| !is_node(member, 3)))
        .await;
    let done = cluster.replace(id(3), id(4)).await;
    assert_eq!(done.warnings.len(), 1, "it was removed before");
    assert!(put(&cluster.nodes[&id(4)], &packet(1, 5)).await.is_ok());
}

/// Commits a joint configuration towards these voters, and does not complete it.
async fn leave_joint(node: &Node, numbers: &[u64]) {
    let voters = numbers.iter().copied().map(id).collect();
    let raft = &node.context().write_path.raft;
    // The previous change may be in effect but not committed yet.
    let settled = async {
        while !raft.membership().is_committed || raft.membership().is_joint() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let settled = timeout(TIMEOUT, settled).await;
    settled.expect("the earlier change is complete");
    // The reconciler may complete it immediately.
    raft.begin_joint(voters).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joint_configuration_that_was_left_behind_is_completed() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.until_registered().await;
    let leader = cluster.leader().clone();
    // The state after a demotion whose leader failed.
    let registration = Registration {
        stays_learner: true,
        ..leader
            .context()
            .peers
            .membership_view
            .node_registry()
            .registrations[&id(3).0]
            .clone()
    };
    let node = id(3).0;
    let register = Command::Register { node, registration };
    leader
        .context()
        .write_path
        .raft
        .propose(register.encode())
        .await;
    leave_joint(&leader, &[1, 2]).await;
    cluster.until_voters(&[1, 2]).await;
    assert!(
        !cluster
            .leader()
            .context()
            .write_path
            .raft
            .membership()
            .is_joint()
    );
    assert_eq!(cluster.members().await.members.len(), 3);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_cut_off_immediately() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let removed = cluster.nodes[&id(3)].clone();
    let services: Vec<_> = [1, 2]
        .map(|number| cluster.nodes[&id(number)].context().service())
        .into();
    cluster.change(remove(3)).await.unwrap();
    for service in services {
        timeout(TIMEOUT, service.removed(id(3), Vec::new()))
            .await
            .unwrap();
        assert!(!lists(&service, 3));
    }
    let learns = async {
        while removed.status().not_ready != Some(NotReady::Removed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, learns).await.expect("it learns it");
    // A removed node that returns finds out too.
    drop(removed);
    cluster.die(3);
    cluster.reopen(3).await;
    let back = cluster.nodes.remove(&id(3)).unwrap();
    let learns = async {
        while back.status().not_ready != Some(NotReady::Removed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, learns).await.expect("it learns it");
    assert!(put(&cluster.nodes[&id(2)], &packet(1, 5)).await.is_ok());
    cluster.shutdown().await;
}

/// No leader accepts its requests any more, so it must not wait for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_rejects_requests_immediately_and_lists_itself_as_removed() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let removed = cluster.nodes[&id(3)].clone();
    let waits = {
        let removed = removed.clone();
        cluster.board.cut_off.lock().unwrap().insert(id(3));
        tokio::spawn(async move { put(&removed, &packet(1, 5)).await })
    };
    cluster.change(remove(3)).await.unwrap();
    cluster.board.cut_off.lock().unwrap().clear();
    let learns = async {
        while removed.status().not_ready != Some(NotReady::Removed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, learns).await.expect("it learns it");
    let short = removed.context().config.heartbeat();
    let rejected = timeout(short, put(&removed, &packet(2, 5))).await;
    assert_eq!(rejected, Ok(Err(PutError::NoLeader)));
    let listed = timeout(TIMEOUT, members(&removed)).await.unwrap().unwrap();
    let own = listed.members.iter().find(|member| is_node(member, 3));
    assert_eq!(own.unwrap().state, MemberState::Removed);
    let error = ask(&removed, remove(2)).await.unwrap_err();
    assert!(!error.retry, "{error}");
    // A request that is already waiting is answered as soon as the node must stop.
    removed.begin_shutdown();
    let answer = timeout(TIMEOUT / 4, waits).await.unwrap().unwrap();
    assert!(answer.is_err(), "{answer:?}");
    removed.shutdown().await.unwrap();
    cluster.nodes.remove(&id(3));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_leaves_no_live_quorum_is_rejected_unless_forced() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let config = cluster.configs[&id(3)].clone();
    cluster.die(3);
    cluster
        .until_member(3, |member| member.state == MemberState::Silent)
        .await;
    let rejected = cluster.change(remove(2)).await;
    assert_eq!(rejected, Err(no_live_quorum(1, 2, 2)));
    assert!(put(&cluster.nodes[&id(1)], &packet(1, 5)).await.is_ok());
    // Forced, the change waits for the dead voter.
    let leader = cluster.nodes[&id(1)].clone();
    let force = force_out(2);
    let forced = tokio::spawn(async move { ask(&leader, force).await });
    let raft = &cluster.nodes[&id(1)].context().write_path.raft;
    let starts = async {
        while !raft.membership().is_joint() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, starts)
        .await
        .expect("the change has started");
    cluster.configs.insert(id(3), config);
    cluster.reopen(3).await;
    timeout(TIMEOUT, forced).await.unwrap().unwrap().unwrap();
    cluster.nodes.remove(&id(2));
    cluster.until_voters(&[1, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_voter_is_cleaned_up_and_enough_stay() {
    let adjust = |config: &mut RaftConfig| {
        config.cleanup = Some(Cleanup {
            after: Duration::from_secs(2),
            voters_min: 3,
        });
    };
    let mut cluster = Cluster::alone(adjust).await;
    for number in 2..=4 {
        cluster.join(number, false, adjust).await;
        cluster
            .until_member(number, |member| member.role == MemberRole::Voter)
            .await;
    }
    cluster.lead(1).await;
    cluster.die(4);
    cluster.until_voters(&[1, 2, 3]).await;
    cluster.until_members(|members| members.len() == 3).await;
    cluster.die(3);
    cluster
        .until_member(3, |member| member.last_heard_ms > Some(3_000))
        .await;
    cluster.until_voters(&[1, 2, 3]).await;
}
