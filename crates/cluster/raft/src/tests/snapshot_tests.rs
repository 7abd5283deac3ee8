//! Followers that lack entries which are purged at their leader.

use std::path::Path;

use futures_util::stream::BoxStream;
use quorate_packet::PAYLOAD_SIZE_MIN;
use quorate_peer::{
    FrameMetadata, LinkError,
    message::{Membership, Response, SnapshotBegin, StoredMembership, Vote},
};
use quorate_sim::SimDisk;
use quorate_state::LogPosition;

use super::{
    disk_faults::{Simulated, checkpoint_and_purge},
    snapshot_traffic::SnapshotTraffic,
    *,
};
use crate::snapshots::WINDOW;

/// Enough packets of the largest size for a snapshot of several chunks.
const PACKET_COUNT: u16 = 5_000;

fn large_packet(number: u16, micros: u64) -> SignedPacket {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    let mut payload = vec![0; PAYLOAD_SIZE_MIN - 8];
    payload.extend_from_slice(&micros.to_be_bytes());
    payload.resize(1_000, 7);
    SignedPacket::assume_verified(PublicKey::from_bytes(key), Bytes::from(payload)).unwrap()
}

async fn put_many(node: &Node, packets: impl Iterator<Item = SignedPacket>) {
    let puts = packets.map(|packet| async move { put(node, &packet).await.unwrap() });
    let puts: Vec<_> = puts.collect();
    futures_util::stream::iter(puts)
        .buffer_unordered(256)
        .for_each(|_| std::future::ready(()))
        .await;
}

/// A follower that needs a snapshot, and gets it as soon as it is no longer cut off.
struct LaggingFollower {
    simulated: Simulated,
    leader: Arc<Node>,
    follower: Arc<Node>,
}

impl LaggingFollower {
    async fn start(packet_count: u16, adjust: impl FnMut(&mut RaftConfig)) -> Self {
        let simulated = Simulated::start_with(3, adjust).await;
        let leader = simulated.cluster.leader().clone();
        leader_proposals::agreed_count_max(&leader).await;
        let follower = simulated.cluster.nodes[&simulated.follower()].clone();
        applied(&follower, leader.status().applied_index).await;
        let test = Self {
            simulated,
            leader,
            follower,
        };
        test.cut_off();
        let packets = (0..packet_count).map(|number| large_packet(number, 1));
        put_many(&test.leader, packets).await;
        checkpoint_and_purge(&test.leader).await;
        test
    }

    fn board(&self) -> &Switchboard {
        &self.simulated.cluster.board
    }

    fn traffic(&self) -> &SnapshotTraffic {
        &self.board().snapshots
    }

    fn cut_off(&self) {
        let follower = self.follower.context().config.node;
        self.board().cut_off.lock().unwrap().insert(follower);
    }

    fn reconnect(&self) {
        self.board().cut_off.lock().unwrap().clear();
    }

    fn disk(&self) -> &SimDisk {
        &self.simulated.disks[&self.follower.context().config.node]
    }

    fn has_partial(&self) -> bool {
        let incoming = self
            .follower
            .context()
            .config
            .store()
            .path
            .with_extension("incoming");
        self.disk().files().contains(&incoming)
    }

    /// Writes a checkpoint, up to which the log is purged unless a transfer prevents it.
    async fn write_and_checkpoint(&self, micros: u64) -> LogIndex {
        for key in 0..20 {
            put(&self.leader, &packet(key, micros)).await.unwrap();
        }
        let index = self.leader.status().applied_index;
        self.leader
            .context()
            .write_path
            .raft
            .trigger_checkpoint()
            .await;
        until(&self.leader, |view| view.checkpoint >= index).await;
        let mut purge_checks = self
            .leader
            .context()
            .write_path
            .raft
            .transfers()
            .purge_checks();
        let before = *purge_checks.borrow();
        // The second one certainly starts after the checkpoint.
        let checked = purge_checks.wait_for(|purge_checks| *purge_checks >= before + 2);
        timeout(TIMEOUT, checked).await.unwrap().unwrap();
        index
    }

    async fn expect_caught_up(&self) {
        applied(&self.follower, self.leader.status().applied_index).await;
        let digests = [&self.follower, &self.leader].map(|node| node.digest());
        let [follower, leader] = futures_util::future::join_all(digests)
            .await
            .try_into()
            .unwrap();
        assert_eq!(follower.unwrap().sha256, leader.unwrap().sha256);
    }
}

/// While a snapshot is being sent the log is purged repeatedly, but not the entries that the
/// follower needs next.
#[tokio::test(flavor = "multi_thread")]
async fn under_sustained_writes_a_follower_needs_only_one_snapshot() {
    let test = LaggingFollower::start(20, |config| config.settings.log.kept_count_max = 0).await;
    let traffic = test.traffic();
    traffic.requests_max.send_replace(2);
    test.reconnect();
    traffic.until(|passed| passed.requests > 2).await;
    let mut last = LogIndex(0);
    for micros in 2..5 {
        last = test.write_and_checkpoint(micros).await;
    }
    assert!(test.leader.context().write_path.raft.view().purged < last);
    traffic.requests_max.send_replace(usize::MAX);
    test.expect_caught_up().await;
    assert_eq!(traffic.passed.borrow().started, [0]);
    // The log is purged once the snapshot has been installed.
    until(&test.leader, |view| view.purged >= last).await;
    test.simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_continues_where_its_link_was_lost() {
    let test = LaggingFollower::start(PACKET_COUNT, |config| {
        config.settings.log.kept_count_max = 0;
    })
    .await;
    let traffic = test.traffic();
    traffic.requests_max.send_replace(4);
    test.reconnect();
    traffic
        .until(|passed| passed.chunks == 3 && passed.responses == 4)
        .await;
    // The last checkpoint is a different one by then.
    test.write_and_checkpoint(2).await;
    let [leader, follower] = [&test.leader, &test.follower].map(|node| node.context().config.node);
    test.board().close_links_between(leader, follower);
    assert!(test.has_partial());
    traffic.requests_max.send_replace(usize::MAX);
    test.expect_caught_up().await;
    let passed = traffic.passed.borrow().clone();
    assert_eq!(passed.started, [0, 3]);
    assert!(!test.has_partial());
    test.simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_sent_ahead_of_their_acknowledgements() {
    const { assert!(WINDOW > 1) };
    let test = LaggingFollower::start(2 * PACKET_COUNT, |_| {}).await;
    let traffic = test.traffic();
    // The first response has the chunk to start at.
    traffic.responses_max.send_replace(1);
    test.reconnect();
    traffic.until(|passed| passed.chunks == WINDOW).await;
    assert_eq!(traffic.passed.borrow().responses, 2, "one waits");
    traffic.responses_max.send_replace(usize::MAX);
    test.expect_caught_up().await;
    test.simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_unreachable_just_before_gets_its_snapshot() {
    let test = LaggingFollower::start(20, |_| {}).await;
    let traffic = test.traffic();
    traffic.rejections.store(1, Ordering::Relaxed);
    test.reconnect();
    test.expect_caught_up().await;
    assert_eq!(traffic.passed.borrow().started, [0]);
    test.simulated.cluster.shutdown().await;
}

/// A link on which `peer` sends snapshots.
struct SenderLink {
    requests: tokio::sync::mpsc::UnboundedSender<Result<Frame<Request>, LinkError>>,
    responses: BoxStream<'static, Frame<Response>>,
    peer: NodeId,
    term: Term,
}

impl SenderLink {
    fn open(to: &Node, peer: NodeId) -> Self {
        let (requests, incoming) = tokio::sync::mpsc::unbounded_channel();
        let incoming = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming);
        let service = to.context().service();
        let responses = service.serve(peer, StreamKind::Snapshot, incoming.boxed());
        Self {
            requests,
            responses,
            peer,
            term: to.status().term,
        }
    }

    async fn ask(&mut self, message: Request) -> Response {
        let frame = Frame {
            id: 1,
            message,
            metadata: FrameMetadata::default(),
        };
        self.requests.send(Ok(frame)).unwrap();
        let answer = timeout(TIMEOUT, self.responses.next()).await.unwrap();
        answer.expect("the link is open").message
    }

    async fn begin(&mut self, packets_size: u64) -> Response {
        let vote = Vote {
            term: self.term,
            node: self.peer,
            committed: true,
        };
        let membership = Membership {
            configs: Vec::new(),
            nodes: [].into(),
        };
        let begin = SnapshotBegin {
            vote,
            last_log: Some(LogPosition::new(1, 1_000)),
            membership: StoredMembership {
                position: None,
                membership,
            },
            packets_size,
        };
        self.ask(Request::SnapshotBegin(begin)).await
    }
}

/// This node does not know yet that the first link has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_reconnects_gets_its_own_slot() {
    let test = LaggingFollower::start(20, |_| {}).await;
    let peer = test.leader.context().config.node;
    let mut lost = SenderLink::open(&test.follower, peer);
    assert_eq!(lost.begin(0).await, Response::SnapshotBegun(0));
    let snapshot = test.leader.context().store.snapshot().unwrap();
    let chunk = snapshot.chunks().unwrap().next_chunk().unwrap().unwrap();
    let accepted = lost.ask(Request::SnapshotChunk(chunk)).await;
    assert_eq!(accepted, Response::SnapshotProgress);
    // It continues to wait for more pieces.
    let ended = tokio::spawn(async move { lost.responses.next().await });

    let mut other = SenderLink::open(&test.follower, peer);
    assert_eq!(other.begin(0).await, Response::SnapshotBegun(1));
    let ended = timeout(TIMEOUT, ended).await.unwrap().unwrap();
    assert!(ended.is_none(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_without_space_is_rejected_before_it_is_sent() {
    const GIBIBYTE: u64 = 1024 * 1024 * 1024;
    let test = LaggingFollower::start(20, |_| {}).await;
    test.disk().leave_space(GIBIBYTE);
    let mut link = SenderLink::open(&test.follower, test.leader.context().config.node);
    let rejected = link.begin(2 * GIBIBYTE).await;
    assert!(
        matches!(&rejected, Response::Failed(reason) if reason.contains("are free")),
        "{rejected:?}"
    );
    assert!(!test.has_partial());
    assert_eq!(link.begin(GIBIBYTE / 2).await, Response::SnapshotBegun(0));
}

/// No sender would continue the part that is received before the old leader learns who leads.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_an_earlier_term_is_rejected() {
    let test = LaggingFollower::start(20, |_| {}).await;
    let mut link = SenderLink::open(&test.follower, test.leader.context().config.node);
    link.term = Term(link.term.0 - 1);
    let rejected = link.begin(0).await;
    assert!(
        matches!(&rejected, Response::Failed(reason) if reason.contains("has started")),
        "{rejected:?}"
    );
    assert!(!test.has_partial());
    link.term = test.follower.status().term;
    assert_eq!(link.begin(0).await, Response::SnapshotBegun(0));
}

/// It starts again from another leader, and nothing of the first one is in its way.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_leader_that_is_gone_does_not_block_that_of_the_next() {
    let test = LaggingFollower::start(PACKET_COUNT, |config| {
        config.settings.log.kept_count_max = 0;
    })
    .await;
    let traffic = test.traffic();
    let nodes = &test.simulated.cluster.nodes;
    let known = [
        test.leader.context().config.node,
        test.follower.context().config.node,
    ];
    let next = nodes
        .values()
        .find(|node| !known.contains(&node.context().config.node));
    let next = next.unwrap();
    applied(next, test.leader.status().applied_index).await;
    checkpoint_and_purge(next).await;
    traffic.requests_max.send_replace(4);
    test.reconnect();
    traffic.until(|passed| passed.responses == 4).await;
    let old = test.leader.context().config.node;
    test.board().cut_off.lock().unwrap().insert(old);
    test.board().close_links(old);
    traffic.requests_max.send_replace(usize::MAX);
    until(next, |view| view.role == Role::Leader).await;
    applied(&test.follower, next.status().applied_index).await;
    test.reconnect();
    let packet = packet(200, 9);
    put(next, &packet).await.unwrap();
    applied(&test.follower, next.status().applied_index).await;
    assert!(!test.has_partial());
    assert!(
        test.disk()
            .files()
            .iter()
            .all(|file| file.starts_with(Path::new("/data")))
    );
    test.simulated.cluster.shutdown().await;
}
