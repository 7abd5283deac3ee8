//! Nodes that join, nodes that were away, and nodes that have lost their data.

use quorate_api::{MemberRole, MemberState};
use quorate_peer::JoinAnswer;
use quorate_state::{JoinRejection, Level};

use super::{elections::calm, test_members::*, *};

/// How long to check that something does not happen.
const WATCHED: Duration = Duration::from_secs(1);

/// The log that a new node replays starts with old members, none of which exists any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_that_replays_old_members_keeps_to_the_current_ones() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.lead(2).await;
    cluster.change(remove(1)).await.unwrap();
    cluster.die(1);
    cluster.until_voters(&[2, 3]).await;
    for number in [4, 5] {
        cluster.join(number, false, |_| {}).await;
        cluster
            .until_member(number, |member| member.role == MemberRole::Voter)
            .await;
        let newcomer = &cluster.nodes[&id(number)];
        timeout(TIMEOUT, newcomer.ready()).await.expect("it is fed");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_token_leaves_nothing_in_the_log() {
    let cluster = Cluster::alone(|_| {}).await;
    let token = cluster.token(false).await;
    let joined = cluster.ask_to_join(&token, id(1), 2, "two").await;
    assert!(matches!(joined, Some(JoinAnswer::Joined(_))), "{joined:?}");
    // The first join is followed by an entry that makes the node a learner.
    cluster
        .until_member(2, |member| member.state != MemberState::Pending)
        .await;
    let last_log = || cluster.nodes[&id(1)].status().last_log_index;
    let before = last_log();
    for _ in 0..50 {
        let used = cluster.ask_to_join(&token, id(1), 3, "").await;
        assert_eq!(used, Some(JoinAnswer::Rejected(JoinRejection::Used)));
    }
    let written = last_log().0 - before.0;
    assert!(
        written < 10,
        "{written} entries for requests that every node rejects"
    );
    cluster.shutdown().await;
}

/// An upgraded cluster does not know which level its dead member supports, so it keeps its level until
/// the dead member is removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_member_of_an_upgraded_cluster_can_be_removed() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    cluster.until_registered().await;
    cluster.die(3);
    for number in [1, 2] {
        cluster.stop(number).await;
        let config = cluster.configs.get_mut(&id(number)).unwrap();
        config.level_max = Level(2);
        cluster.reopen(number).await;
    }
    cluster.ready().await;
    assert_eq!(
        cluster.change(remove(3)).await.unwrap().node,
        id(3).to_string()
    );
    cluster.until_voters(&[1, 2]).await;
    for node in cluster.nodes.values() {
        let mut applied = node.context().write_path.applied.clone();
        let raised = applied.wait_for(|meta| meta.cluster.level == Level(2));
        timeout(TIMEOUT, raised).await.expect("it is").unwrap();
    }
    cluster.shutdown().await;
}

/// A voter returns without its data, and does not receive why it is rejected. A restarted member dials it
/// before it has opened its own store, and must send it no entries: it would vote again.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_member_sends_no_entries_to_a_voter_without_its_data() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    cluster.lead(1).await;
    cluster.until_registered().await;
    cluster.board.listen_at(id(1), "node 1");
    cluster.board.listen_at(id(2), "node 2");
    cluster.die(3);
    // Its list is from before the others moved.
    let dir = tempfile::tempdir().unwrap();
    let config = cluster.configs.get_mut(&id(3)).unwrap();
    config.dir = dir.path().to_owned();
    config.founding = None;
    config.known.members = [1, 2].map(|number| (id(number), "stale".to_owned())).into();
    cluster.open(id(3)).await.unwrap();
    let wiped = cluster.nodes.remove(&id(3)).unwrap();
    cluster.stop(2).await;
    cluster.reopen(2).await;
    cluster.lead(2).await;
    let fed = async {
        while wiped.context().log.state().last.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(WATCHED, fed).await.is_err(), "it was fed");
    drop(wiped);
    cluster.shutdown().await;
}
