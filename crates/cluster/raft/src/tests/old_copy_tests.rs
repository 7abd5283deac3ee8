//! Voters that run on an older copy of their data, and voters that only seem to.

use quorate_peer::{DataLoss, LinkError};
use quorate_replica::NotReady;
use quorate_sim::SimDisk;
use quorate_state::LogPosition;

use super::{
    disk_faults::{Simulated, checkpoint_and_purge},
    elections::calm,
    test_members::id,
    *,
};

/// Three nodes of which the first leads.
async fn started() -> Simulated {
    let simulated = Simulated::start_with(3, calm).await;
    simulated.cluster.until_registered().await;
    simulated.cluster.lead(1).await;
    simulated
}

/// The disk of the third node.
fn copy(simulated: &Simulated) -> SimDisk {
    simulated.disks[&id(3)].image(usize::MAX, quorate_sim::PowerLoss::Everything)
}

/// What the third node has acknowledged to the first, which leads.
fn acknowledged(simulated: &Simulated) -> Option<LogPosition> {
    let leader = &simulated.cluster.nodes[&id(1)];
    let acknowledged = leader.context().peers.membership_view.acknowledged();
    acknowledged.get(&id(3)).map(|(_, position)| *position)
}

/// Lets the third node acknowledge what is stored now and kills it. Returns what it acknowledged at
/// least: more may arrive until its links are closed.
async fn acknowledge_and_die(simulated: &mut Simulated) -> LogPosition {
    let third = simulated.cluster.nodes[&id(3)].clone();
    for key in 0..10 {
        put(&third, &packet(key, 5)).await.unwrap();
    }
    let durable = third.context().log.durable().expect("it has entries");
    let arrived = async {
        while acknowledged(simulated) < Some(durable) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, arrived).await.expect("it acknowledges");
    simulated.kill(id(3));
    durable
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_from_an_older_copy_stops_and_reports_what_it_had_and_has() {
    let mut simulated = started().await;
    let older = copy(&simulated);
    let had = acknowledge_and_die(&mut simulated).await;
    simulated.put_in(id(3), older);
    simulated.cluster.open(id(3)).await.unwrap();
    let old = &simulated.cluster.nodes[&id(3)];
    let has = old.context().log.durable().expect("it has entries");
    assert!(has < had);
    let failed = timeout(TIMEOUT, old.failed()).await;
    let error = failed.expect("it stops by itself").to_string();
    let acknowledged = acknowledged(&simulated).expect("it did before");
    assert!(acknowledged >= had);
    for position in [acknowledged, has] {
        let expected = format!("entry {} of term {}", position.index, position.term);
        assert!(error.contains(&expected), "{expected} in {error}");
    }
    assert_eq!(old.status().not_ready, Some(NotReady::Failed));
    assert_eq!(old.context().log.durable(), Some(has), "it was fed");
    // The others continue without it.
    let leader = &simulated.cluster.nodes[&id(1)];
    put(leader, &packet(1, 6)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_with_all_that_it_acknowledged_continues() {
    let mut simulated = started().await;
    let had = acknowledge_and_die(&mut simulated).await;
    simulated.cluster.open(id(3)).await.unwrap();
    let same = simulated.cluster.nodes[&id(3)].clone();
    assert!(same.context().log.durable() >= Some(had));
    timeout(TIMEOUT, same.ready()).await.expect("it is fed");
    assert!(put(&same, &packet(1, 6)).await.is_ok());
    simulated.cluster.shutdown().await;
}

/// A leader only knows what was acknowledged to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_elected_later_does_not_detect_an_older_copy() {
    let mut simulated = started().await;
    let older = copy(&simulated);
    acknowledge_and_die(&mut simulated).await;
    simulated.cluster.lead(2).await;
    simulated.put_in(id(3), older);
    simulated.cluster.open(id(3)).await.unwrap();
    let old = &simulated.cluster.nodes[&id(3)];
    timeout(TIMEOUT, old.ready()).await.expect("it is fed");
    simulated.cluster.shutdown().await;
}

/// A peer compares with what a node stated when it dialed; the node compares with what it has now.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_what_a_peer_reports_as_lost_continues() {
    let simulated = started().await;
    let node = &simulated.cluster.nodes[&id(3)];
    let stated = node.context().service().introduction().stated;
    let durable = stated.durable.expect("it has entries");
    let acknowledge = |term, position| {
        let loss = DataLoss {
            acknowledged: Some((term, position)),
            stated: None,
        };
        let rejected = LinkError::DataLost("it has lost its data".into(), loss);
        node.context()
            .peers
            .link_tracker
            .on_failed(id(9), &rejected);
    };
    let beyond = LogPosition {
        index: LogIndex(durable.index.0 + 1_000),
        ..durable
    };
    // A flush has finished since; and a leader of a later term may have had it cut its log.
    for (term, position) in [(stated.term, durable), (Term(stated.term.0 - 1), beyond)] {
        acknowledge(term, position);
        let failed = timeout(Duration::from_millis(500), node.failed()).await;
        assert!(failed.is_err(), "{failed:?}");
    }
    acknowledge(stated.term, beyond);
    let failed = timeout(TIMEOUT, node.failed()).await;
    let error = failed.expect("it stops by itself").to_string();
    assert!(error.contains("has lost its data"), "{error}");
}

/// A snapshot is on disk before the log starts after it. Until then, a power failure leaves an empty log,
/// which no member may have; and the node states what the snapshot contains.
#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_takes_part_once_its_log_on_disk_is_not_empty() {
    let mut cluster = Cluster::alone(|_| {}).await;
    let first = cluster.nodes[&id(1)].clone();
    put(&first, &packet(1, 5)).await.unwrap();
    checkpoint_and_purge(&first).await;
    let traffic = &cluster.board.clone().snapshots;
    traffic.requests_max.send_replace(0);
    let disk = SimDisk::new();
    let on_disk = |config: &mut RaftConfig| config.disk = Arc::new(disk.clone());
    cluster.join(2, false, on_disk).await;
    traffic.until(|passed| passed.requests > 0).await;
    let joiner = cluster.nodes[&id(2)].clone();
    // Its vote is on disk, and the snapshot needs no further sync of the log.
    until(&joiner, |view| view.leader.is_some()).await;
    disk.block_syncs(joiner.context().config.dir.join(crate::LOG_DIR));
    traffic.requests_max.send_replace(usize::MAX);

    let mut applied = joiner.context().write_path.applied.clone();
    let has_applied = applied.wait_for(|meta| meta.cluster.id.is_some());
    timeout(TIMEOUT, has_applied).await.unwrap().unwrap();
    let joined = timeout(Duration::from_millis(500), joiner.joined()).await;
    assert!(joined.is_err(), "its log is empty on disk");
    assert_eq!(joiner.context().log.durable(), None);
    let stated = joiner.context().service().introduction().stated;
    assert!(stated.durable.is_some(), "it has a snapshot");
    disk.release_syncs();
    let joined = timeout(TIMEOUT, joiner.joined()).await;
    drop(joined.expect("its log starts after the snapshot"));
    assert!(joiner.context().log.durable() >= stated.durable);
    cluster.shutdown().await;
}
