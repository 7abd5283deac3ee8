//! Requests of operators that a node sends to the leader.

use quorate_api::{
    DeletePacket, ForwardedAnswer, ForwardedRequest, Member, MemberState, Problem, ProblemType,
    RecordBackup,
};
use quorate_replica::Operator;
use quorate_state::BackupResult;

use super::{elections::calm, test_members::*, *};

/// The link stays open between requests; when it is lost, it is opened again.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_answered_although_the_link_to_the_leader_was_lost() {
    let cluster = Cluster::start(3, calm).await;
    let (node, leader) = (cluster.followers().next().unwrap(), cluster.leader().id);
    for _ in 0..5 {
        let listed = timeout(TIMEOUT, members(node)).await.unwrap().unwrap();
        assert_eq!(listed.leader, Some(leader.to_string()));
        cluster.board.close_links_between(node.id, leader);
    }
    cluster.shutdown().await;
}

/// The leader cannot commit the request. Without the deadline it would keep trying for longer.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_has_an_answer_by_the_deadline_at_any_node() {
    let cluster = Cluster::start(5, calm).await;
    let follower = cluster.followers().next().unwrap();
    let leader = cluster.leader();
    let is_other = |node: &&NodeId| ![leader.id, follower.id].contains(*node);
    let others = cluster.nodes.keys().filter(is_other).copied();
    cluster.board.cut_off.lock().unwrap().extend(others);
    for node in [leader, follower] {
        let (key, block_secs) = (*packet(1, 5).key(), None);
        let forwarded =
            ForwardedRequest::new(DeletePacket { key, block_secs }, Duration::from_millis(900));
        let answer = timeout(TIMEOUT / 4, node.operate(forwarded)).await.unwrap();
        let problem = answer.unwrap_err();
        assert_eq!(problem.problem_type, ProblemType::NoLeader, "{problem}");
    }
    cluster.shutdown().await;
}

/// It still leads, and does not notice the loss on its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_has_lost_its_majority_reports_who_is_silent() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let leader = cluster.nodes[&id(1)].clone();
    let committed = async {
        let raft = &leader.context().raft;
        while !raft.membership().is_committed || raft.membership().is_joint() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let committed = timeout(TIMEOUT, committed).await;
    committed.expect("the last change is committed");
    cluster.board.cut_off.lock().unwrap().extend([id(2), id(3)]);
    let force = force_out(2);
    let problem = timeout(TIMEOUT / 2, ask(&leader, force)).await.unwrap();
    let problem = problem.unwrap_err();
    assert_eq!(problem.problem_type, ProblemType::MajorityLost, "{problem}");
    for text in ["1 of 3", "2 are needed", "n2 (for ", "n3 (for "] {
        assert!(problem.detail.contains(text), "{text} in {problem}");
    }
    let listed = members(&leader).await.unwrap();
    let is_silent = |member: &&Member| member.state == MemberState::Silent;
    assert_eq!(listed.members.iter().filter(is_silent).count(), 2);
    cluster.board.cut_off.lock().unwrap().clear();
    cluster.ready().await;
    assert_eq!(
        cluster.members().await.members.len(),
        3,
        "no change was started"
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_of_an_older_version_rejects_unknown_requests() {
    let cluster = Cluster::start(1, |_| {}).await;
    let admin = &cluster.leader().context().service.admin;
    let ask = async |request: &str| -> Result<ForwardedAnswer, Problem> {
        let forwarded = format!(r#"{{"request": {request}, "time_left_ms": 10000, "later": 1}}"#);
        let answer = admin.answer_peer(id(9), forwarded.as_bytes()).await;
        serde_json::from_slice(&answer).unwrap()
    };
    let rejected = ask(r#"{"freeze": {"node": "one"}}"#).await.unwrap_err();
    assert_eq!(rejected.problem_type, ProblemType::UnsupportedLevel);
    // An unknown field does no harm.
    assert!(ask(r#"{"members": {"later": 1}}"#).await.is_ok());
    cluster.shutdown().await;
}

/// A node cannot record a backup of another one: the leader adds the node and the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_follower_is_recorded_on_all_nodes_as_its_own() {
    let cluster = Cluster::start(3, calm).await;
    let follower = cluster.followers().next().unwrap();
    let result = BackupResult::failed("the target refused");
    let record = RecordBackup {
        result: result.clone(),
    };
    let recorded = timeout(TIMEOUT, test_members::ask(follower, record)).await;
    recorded.expect("it is answered").unwrap();
    for node in cluster.nodes.values() {
        let applied = async {
            loop {
                let last = node
                    .context()
                    .state_machine
                    .meta()
                    .cluster
                    .last_backup
                    .clone();
                if let Some(failed) = last.failed {
                    return failed;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let failed = timeout(TIMEOUT, applied).await.expect("all nodes apply it");
        assert_eq!((failed.node, &failed.result), (follower.id, &result));
        assert!(failed.at.0 > 0, "{failed:?}");
    }
    cluster.shutdown().await;
}
