//! Nodes that have lost their disks but kept their keys.

use std::path::PathBuf;

use futures_util::stream;
use quorate_peer::{
    FrameMetadata,
    message::{Response, Vote, VoteRequest},
};
use quorate_replica::NotReady;
use quorate_sim::SimDisk;

use super::*;

/// Three stopped nodes, each on its own disk.
fn prepare() -> Cluster {
    Cluster::prepare(3, |config| {
        config.dir = PathBuf::from("/data");
        config.disk = Arc::new(SimDisk::new());
        config.settings.put.deadline_ms = 2_000;
    })
}

/// Kills a node and replaces its disk by an empty one.
fn wipe(cluster: &mut Cluster, node: NodeId) {
    cluster.board.hang_up(node);
    cluster.nodes.remove(&node);
    let config = cluster.configs.get_mut(&node).unwrap();
    config.disk = Arc::new(SimDisk::new());
    config.founding = None;
    config.known.members = std::mem::take(&mut config.cofounders);
}

/// What a node answers to a peer that requests its vote for a high term.
async fn ask_for_vote(node: &Node, candidate: NodeId) -> Response {
    let request = Request::Vote(VoteRequest {
        vote: Vote {
            term: Term(1_000),
            node: candidate,
            committed: false,
        },
        last_log: None,
        leadership_transfer: false,
    });
    let request = Frame {
        id: 1,
        message: request,
        metadata: FrameMetadata::default(),
    };
    let requests = stream::iter([Ok(request)]).chain(stream::pending());
    let service = node.context().service();
    let mut responses = service.serve(candidate, StreamKind::Control, requests.boxed());
    let response = timeout(TIMEOUT, responses.next()).await.unwrap();
    response.unwrap().message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_majority_founds_no_new_cluster_while_a_survivor_is_left() {
    let mut cluster = prepare();
    cluster.open_all().await;
    cluster.ready().await;
    put(cluster.leader(), &packet(1, 5)).await.unwrap();
    // Not the leader: while it leads, it could send them the log again.
    let survivor = cluster.followers().next().unwrap().clone();
    applied(&survivor, cluster.leader().status().applied_index).await;
    leader_proposals::agreed_count_max(&survivor).await;
    let nodes = cluster.configs.keys().copied();
    let wiped: Vec<_> = nodes
        .filter(|node| *node != survivor.context().config.node)
        .collect();
    for node in &wiped {
        wipe(&mut cluster, *node);
    }
    for node in &wiped {
        cluster.open(*node).await.unwrap();
    }
    for node in &wiped {
        let node = &cluster.nodes[node];
        expect_lost(node).await;
        let candidate = survivor.context().config.node;
        let answer = ask_for_vote(node, candidate).await;
        assert!(matches!(answer, Response::Failed(_)), "{answer:?}");
    }
    // There are elections meanwhile, but no node founds a cluster.
    let mut leader = cluster.nodes[&wiped[0]].context().write_path.leader.clone();
    let led = leader.wait_for(|leader| {
        let other = |(node, _): &(NodeId, String)| *node != survivor.context().config.node;
        leader.node.as_ref().is_some_and(other)
    });
    assert!(timeout(Duration::from_secs(2), led).await.is_err());
    let stored = survivor.stored_packet(packet(1, 5).key()).unwrap();
    assert_eq!(stored.expect("it was acknowledged").packet, packet(1, 5));
}

/// Waits until a node stops because it has lost its data. Returns its message for the operator.
async fn expect_lost(node: &Node) {
    let failed = timeout(TIMEOUT, node.failed()).await;
    let reason = failed.expect("it stops by itself").to_string();
    assert!(reason.contains("has lost its data"), "{reason}");
    assert!(reason.contains("quorate member replace"), "{reason}");
    assert_eq!(node.status().not_ready, Some(NotReady::Failed));
    assert!(
        node.context()
            .service()
            .introduction()
            .stated
            .durable
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_wiped_stops_and_gets_nothing() {
    let mut cluster = prepare();
    cluster.open_all().await;
    cluster.ready().await;
    for node in cluster.nodes.values() {
        leader_proposals::agreed_count_max(node).await;
    }
    let wiped = cluster.followers().next().unwrap().context().config.node;
    wipe(&mut cluster, wiped);
    cluster.open(wiped).await.unwrap();
    expect_lost(&cluster.nodes[&wiped]).await;
    let others = cluster.nodes.values();
    for node in others.filter(|node| node.context().config.node != wiped) {
        assert!(put(node, &packet(1, 5)).await.is_ok());
    }
    expect_lost(&cluster.nodes[&wiped]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_node_is_noticed_by_all_others() {
    let mut cluster = prepare();
    cluster.open_all().await;
    cluster.ready().await;
    let dead = cluster.leader().context().config.node;
    let others: Vec<_> = cluster.followers().cloned().collect();
    for node in &others {
        let peers = &node.context().write_path.peers;
        for stream_kind in [StreamKind::Control, StreamKind::Append, StreamKind::Forward] {
            let link = peers.link(dead, &cluster.configs[&dead].cofounders[&dead], stream_kind);
            timeout(TIMEOUT, link.opened()).await.unwrap().unwrap();
        }
    }
    let mut hangups: Vec<_> = others
        .iter()
        .map(|node| {
            node.context()
                .write_path
                .peers
                .link_tracker
                .hangups
                .subscribe()
        })
        .collect();
    cluster.board.hang_up(dead);
    cluster.nodes.remove(&dead);
    for hangups in &mut hangups {
        let received = timeout(TIMEOUT, hangups.recv()).await.unwrap();
        assert_eq!(received, Ok(dead));
    }
}

/// The founder leads before it has recorded how many voters the cluster waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_founder_that_waits_for_voters_acknowledges_nothing() {
    let mut cluster = Cluster::prepare(1, |config| {
        let founding = config.founding.as_mut();
        founding.expect("it founds").voters = 3;
        config.settings.put.deadline_ms = 1_000;
    });
    cluster.open_all().await;
    let node = cluster.nodes[&NodeId::from(1)].clone();
    let forms = async {
        loop {
            assert!(put(&node, &packet(1, 5)).await.is_err());
            match node.status().not_ready {
                None => panic!("it reports that it is ready"),
                Some(NotReady::Forming(count)) => return count,
                Some(_) => tokio::task::yield_now().await,
            }
        }
    };
    let count = timeout(TIMEOUT, forms).await.unwrap();
    assert_eq!((count.voters, count.wanted), (1, 3));
    cluster.shutdown().await;
}
