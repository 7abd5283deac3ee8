//! A cluster of nodes in one process, whose links are in memory and can be cut.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Deref,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt, SinkExt, StreamExt,
    future::{BoxFuture, select},
    stream,
};
use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey, SignedPacket};
use quorate_peer::{
    Acknowledgements, Admission, Frame, Introduce, Introduction, Link, LinkError, NodeId, Service,
    StreamKind, Transport, message::Request,
};
use quorate_replica::{Conditions, Observer, PutError, PutOutcome, Replica, Role};
use quorate_state::{LogIndex, millis};
use tempfile::TempDir;

use super::{super::*, snapshot_traffic::SnapshotTraffic};
use crate::{
    NodeMetrics, OpenError, RaftConfig, RaftMetrics, WallClock, adapters::RaftView,
    node_context::NodeContext,
};

/// The longest time that anything here may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Which nodes can be reached, and which are cut off.
#[derive(Default)]
pub(super) struct Switchboard {
    pub(super) services: Mutex<HashMap<NodeId, Arc<dyn Service>>>,
    pub(super) cut_off: Mutex<HashSet<NodeId>>,
    /// Sender and receiver: what is sent is lost, and neither end notices.
    /// How many of them were for a leader's entries.
    lost: Mutex<HashMap<[NodeId; 2], usize>>,
    /// Sender and receiver: answers wait, and arrive later, even if others are lost.
    held: watch::Sender<HashSet<[NodeId; 2]>>,
    /// How many pre-votes each node has requested from each other one, if they arrived.
    pre_votes: Mutex<HashMap<[NodeId; 2], usize>>,
    /// How often each node has died. A link does not outlive it.
    pub(super) deaths: Mutex<HashMap<NodeId, usize>>,
    /// How often the links between two nodes were closed, at both ends.
    pub(super) closings: watch::Sender<HashMap<[NodeId; 2], usize>>,
    /// How often a node has failed to open a link to another.
    pub(super) rejections: Mutex<HashMap<[NodeId; 2], usize>>,
    /// Nodes that can only be reached at their current address.
    pub(super) addresses: Mutex<HashMap<NodeId, String>>,
    /// How many read indexes were requested.
    pub(super) read_index_count: AtomicUsize,
    /// The traffic on the snapshot streams.
    pub(super) snapshots: SnapshotTraffic,
}

pub(super) struct Memory {
    pub(super) own: NodeId,
    pub(super) board: Arc<Switchboard>,
    /// How often the node had died before it received this.
    pub(super) deaths: usize,
}

impl Memory {
    pub(super) fn new(own: NodeId, board: Arc<Switchboard>) -> Arc<Self> {
        let deaths = board.deaths(own);
        Arc::new(Self { own, board, deaths })
    }
}

impl Switchboard {
    /// Closes the links to a dead node, as its host does.
    pub(super) fn hang_up(&self, node: NodeId) {
        self.vanish(node);
        self.close_links(node);
    }

    /// Sends nothing more from a dead node.
    pub(super) fn vanish(&self, node: NodeId) {
        self.services.lock().unwrap().remove(&node);
        *self.deaths.lock().unwrap().entry(node).or_default() += 1;
    }

    /// From now on a node accepts links only at this address.
    pub(super) fn listen_at(&self, node: NodeId, address: &str) {
        let mut addresses = self.addresses.lock().unwrap();
        addresses.insert(node, address.to_owned());
    }

    fn listens_at(&self, node: NodeId, address: &str) -> bool {
        let addresses = self.addresses.lock().unwrap();
        addresses.get(&node).is_none_or(|known| known == address)
    }

    /// Closes the links between a node and all others.
    pub(super) fn close_links(&self, node: NodeId) {
        let others: Vec<_> = self.services.lock().unwrap().keys().copied().collect();
        for other in others.into_iter().filter(|other| *other != node) {
            self.close_links_between(node, other);
        }
    }

    pub(super) fn close_links_between(&self, a: NodeId, b: NodeId) {
        let close = |closings: &mut HashMap<_, _>| *closings.entry(pair(a, b)).or_default() += 1;
        self.closings.send_modify(close);
    }

    /// Resolves when the links between two nodes are closed.
    pub(super) fn closed(&self, a: NodeId, b: NodeId) -> impl Future<Output = ()> + Send + 'static {
        let mut closings = self.closings.subscribe();
        let count = move |closings: &HashMap<_, usize>| closings.get(&pair(a, b)).copied();
        let then = count(&closings.borrow());
        async move {
            let _ = closings.wait_for(|now| count(now) != then).await;
        }
    }

    pub(super) fn deaths(&self, node: NodeId) -> usize {
        self.deaths.lock().unwrap().get(&node).copied().unwrap_or(0)
    }

    pub(super) fn rejections(&self, from: NodeId, to: NodeId) -> usize {
        let rejections = self.rejections.lock().unwrap();
        rejections.get(&[from, to]).copied().unwrap_or(0)
    }

    /// From now on nothing that one node sends to the other arrives.
    pub(super) fn lose(&self, from: NodeId, to: NodeId) {
        self.lost.lock().unwrap().insert([from, to], 0);
    }

    /// From now on everything arrives again. Links that may have lost something are closed.
    pub(super) fn heal(&self) {
        let lost = std::mem::take(&mut *self.lost.lock().unwrap());
        for [from, to] in lost.into_keys() {
            self.close_links_between(from, to);
        }
    }

    fn loses(&self, from: NodeId, to: NodeId) -> bool {
        let is_held = self.held.borrow().contains(&[from, to]);
        !is_held && self.lost.lock().unwrap().contains_key(&[from, to])
    }

    /// How many requests with entries or commits were lost on this way, since `lose`.
    pub(super) fn lost_appends(&self, from: NodeId, to: NodeId) -> usize {
        self.lost.lock().unwrap()[&[from, to]]
    }

    /// From now on the answers of one node to the other wait until `deliver`.
    pub(super) fn hold_answers(&self, from: NodeId, to: NodeId) {
        self.held.send_if_modified(|held| held.insert([from, to]));
    }

    pub(super) fn deliver_answers(&self, from: NodeId, to: NodeId) {
        self.held.send_if_modified(|held| held.remove(&[from, to]));
    }

    /// Resolves when no answers of one node to the other wait.
    fn delivers(&self, from: NodeId, to: NodeId) -> impl Future<Output = ()> + use<> {
        let mut held = self.held.subscribe();
        async move { drop(held.wait_for(|held| !held.contains(&[from, to])).await) }
    }

    pub(super) fn pre_votes(&self, from: NodeId, to: NodeId) -> usize {
        let pre_votes = self.pre_votes.lock().unwrap();
        pre_votes.get(&[from, to]).copied().unwrap_or(0)
    }

    pub(super) fn is_cut(&self, a: NodeId, b: NodeId) -> bool {
        let cut_off = self.cut_off.lock().unwrap();
        cut_off.contains(&a) || cut_off.contains(&b)
    }
}

fn pair(a: NodeId, b: NodeId) -> [NodeId; 2] {
    [a.min(b), a.max(b)]
}

impl Transport for Memory {
    fn open(
        &self,
        peer: NodeId,
        address: String,
        stream_kind: StreamKind,
        introduce: Introduce,
    ) -> BoxFuture<'static, Result<Link, LinkError>> {
        let (board, own, own_deaths) = (self.board.clone(), self.own, self.deaths);
        Box::pin(async move {
            let service = board.services.lock().unwrap().get(&peer).cloned();
            let lives = board.deaths(own) == own_deaths;
            let arrives = !board.loses(own, peer) && !board.loses(peer, own);
            let serves = board.listens_at(peer, &address) && !board.is_cut(own, peer) && arrives;
            let takes = serves && (stream_kind != StreamKind::Snapshot || board.snapshots.admits());
            let service = service.filter(|_| lives && takes);
            if service.is_none() {
                *board
                    .rejections
                    .lock()
                    .unwrap()
                    .entry([own, peer])
                    .or_default() += 1;
            }
            let service =
                service.ok_or_else(|| LinkError::Failed(format!("{peer} cannot be reached")))?;
            let before = service.acknowledged();
            let introduction = introduce();
            let vouchers = introduction.vouchers.clone();
            let stated = greet(&*service, own, stream_kind, introduction, &before)?.stated;
            let (requests, incoming) = tokio::sync::mpsc::channel(64);
            let incoming = tokio_stream::wrappers::ReceiverStream::new(incoming);
            let closed = || LinkError::Closed("the other end is gone".into());
            let ended = || {
                let removed = service.removed(own, vouchers.clone());
                select(Box::pin(board.closed(own, peer)), removed)
            };
            let incoming = incoming.take_until(ended());
            let incoming = incoming.map(Ok).chain(stream::iter([Err(closed())]));
            let deaths = board.deaths(peer);
            let passes = {
                let board = board.clone();
                move || {
                    let live = (board.deaths(own), board.deaths(peer)) == (own_deaths, deaths);
                    live && !board.is_cut(own, peer)
                }
            };
            let may_send = passes.clone();
            let counting = board.clone();
            let ended = ended();
            let responses = service
                .clone()
                .serve(own, stream_kind, incoming.boxed())
                .filter({
                    let board = board.clone();
                    move |_| std::future::ready(passes() && !board.loses(peer, own))
                })
                .then({
                    let board = board.clone();
                    move |response| {
                        let board = board.clone();
                        async move {
                            if stream_kind == StreamKind::Snapshot {
                                board.snapshots.on_response(&response.message).await;
                            }
                            response
                        }
                    }
                })
                .map({
                    let board = board.clone();
                    move |response| board.delivers(peer, own).map(move |()| response)
                })
                .buffered(64)
                .take_until(ended)
                .map(Ok)
                .chain(stream::iter([Err(closed())]));
            let requests = tokio_util::sync::PollSender::new(requests)
                .sink_map_err(|_| LinkError::Closed("the link is closed".into()))
                .with_flat_map(move |request: Frame<Request>| {
                    let (board, may_send) = (counting.clone(), may_send.clone());
                    let sent = async move {
                        if let Some(appends) = board.lost.lock().unwrap().get_mut(&[own, peer]) {
                            *appends += usize::from(stream_kind == StreamKind::Append);
                            return None;
                        }
                        if matches!(request.message, Request::PreVote(_)) {
                            let mut pre_votes = board.pre_votes.lock().unwrap();
                            *pre_votes.entry([own, peer]).or_default() += 1;
                        }
                        if request.message == Request::ReadIndex {
                            board.read_index_count.fetch_add(1, Ordering::Relaxed);
                        }
                        if stream_kind == StreamKind::Snapshot {
                            board.snapshots.on_request(&request.message).await;
                        }
                        Some(match may_send() {
                            true => Ok(request),
                            false => Err(LinkError::Failed("the link is cut".into())),
                        })
                    };
                    stream::once(sent).filter_map(std::future::ready)
                });
            Ok(Link {
                requests: Box::pin(requests),
                responses: responses.boxed(),
                stated,
            })
        })
    }
}

/// Accepts or rejects a link as the transport does.
fn greet(
    service: &dyn Service,
    caller: NodeId,
    stream_kind: StreamKind,
    introduction: Introduction,
    before: &Acknowledgements,
) -> Result<Introduction, LinkError> {
    let own = service.introduction();
    match service.admission(caller, &introduction.vouchers) {
        Admission::Listed => {}
        Admission::Vouched => match stream_kind {
            StreamKind::Append | StreamKind::Control | StreamKind::Snapshot => {}
            _ => return Err(LinkError::Failed("it is not listed yet".into())),
        },
        Admission::Removed(removal) => {
            return Err(LinkError::Removed("it was removed".into(), removal.into()));
        }
        Admission::Stranger => return Err(LinkError::NotAdmitted("it is not a member".into())),
    }
    if own.cluster != introduction.cluster {
        return Err(LinkError::Failed("it is of another cluster".into()));
    }
    if let Some(loss) = service.lost_data(caller, introduction.stated, before) {
        return Err(LinkError::DataLost("it has lost its data".into(), loss));
    }
    Ok(own)
}

/// How far all clocks of a cluster are ahead of this machine's clock, in milliseconds.
#[derive(Default)]
pub(super) struct Ahead(Arc<AtomicU64>);

impl Ahead {
    /// The clock of one node.
    pub(super) fn clock(&self) -> WallClock {
        let ahead_ms = self.0.clone();
        WallClock::new(move || {
            let ahead = Duration::from_millis(ahead_ms.load(Ordering::Relaxed));
            WallClock::default().now().saturating_add(ahead)
        })
    }

    pub(super) fn set(&self, ahead: Duration) {
        self.0.store(millis(ahead), Ordering::Relaxed);
    }
}

pub(super) struct Cluster {
    pub(super) board: Arc<Switchboard>,
    pub(super) configs: BTreeMap<NodeId, RaftConfig>,
    pub(super) nodes: BTreeMap<NodeId, Arc<Node>>,
    pub(super) _dirs: Vec<TempDir>,
}

/// Expects that nodes hold the same once they have applied the same entries: the leader records news
/// about members in entries of its own.
pub(super) async fn expect_equal_digests(nodes: impl IntoIterator<Item = &Arc<Node>>) {
    let nodes: Vec<_> = nodes.into_iter().collect();
    let equal = async {
        loop {
            let mut digests = Vec::new();
            for node in &nodes {
                digests.push(node.digest().await.unwrap());
            }
            let applied = digests[0].applied_index;
            if digests.iter().all(|digest| digest.applied_index == applied) {
                assert!(
                    digests.iter().all(|digest| *digest == digests[0]),
                    "{digests:?}"
                );
                return;
            }
        }
    };
    timeout(TIMEOUT, equal).await.expect("they apply the same");
}

impl Cluster {
    pub(super) async fn start(count: u64, adjust: impl Fn(&mut RaftConfig)) -> Self {
        let mut cluster = Self::prepare(count, adjust);
        cluster.open_all().await;
        cluster.ready().await;
        cluster
    }

    /// A cluster with all nodes stopped.
    pub(super) fn prepare(count: u64, adjust: impl Fn(&mut RaftConfig)) -> Self {
        let voters: BTreeMap<_, _> = (1..=count)
            .map(|number| (NodeId::from(number), format!("node {number}")))
            .collect();
        let dirs: Vec<_> = voters
            .iter()
            .map(|_| tempfile::tempdir().unwrap())
            .collect();
        let configs = (1..).zip(&dirs).map(|(number, dir)| {
            let mut config = RaftConfig::numbered(number, voters.clone(), dir.path().to_owned());
            config.address = voters[&config.node].clone();
            adjust(&mut config);
            (config.node, config)
        });
        Self {
            board: Arc::default(),
            configs: configs.collect(),
            nodes: BTreeMap::new(),
            _dirs: dirs,
        }
    }

    pub(super) async fn open_all(&mut self) {
        let nodes: Vec<_> = self.configs.keys().copied().collect();
        for node in nodes {
            self.open(node).await.unwrap();
        }
    }

    pub(super) async fn open(&mut self, node: NodeId) -> Result<(), OpenError> {
        let config = self.configs[&node].clone();
        let opened = opened(config, self.transport(node)).await?;
        self.add(node, opened);
        Ok(())
    }

    pub(super) fn transport(&self, node: NodeId) -> Arc<dyn Transport> {
        Memory::new(node, self.board.clone())
    }

    pub(super) fn add(&mut self, node: NodeId, opened: Arc<Node>) {
        let service = opened.context().service();
        self.board.services.lock().unwrap().insert(node, service);
        self.nodes.insert(node, opened);
    }

    pub(super) async fn ready(&self) {
        for node in self.nodes.values() {
            timeout(TIMEOUT, node.ready())
                .await
                .expect("every node finds the leader");
        }
    }

    pub(super) fn leader(&self) -> &Arc<Node> {
        self.nodes
            .values()
            .find(|node| leads(node))
            .expect("the cluster has a leader")
    }

    pub(super) fn followers(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().filter(|node| !leads(node))
    }

    pub(super) async fn shutdown(self) {
        for node in self.nodes.values() {
            timeout(TIMEOUT, node.shutdown())
                .await
                .expect("a node stops")
                .expect("it stops cleanly");
        }
    }
}

pub(super) async fn opened(
    config: RaftConfig,
    transport: Arc<dyn Transport>,
) -> Result<Arc<Node>, OpenError> {
    let node = Arc::new(Node::new(config.node));
    node.open(config, transport, metrics()).await?;
    Ok(node)
}

impl Node {
    pub(super) fn context(&self) -> &OpenNode {
        self.open.get().expect("the node is open")
    }
}

impl OpenNode {
    pub(super) fn service(&self) -> Arc<dyn Service> {
        self.service.clone()
    }

    pub(super) fn known(&self) -> watch::Receiver<KnownMembers> {
        self.peers.membership_view.known()
    }
}

impl Deref for OpenNode {
    type Target = NodeContext;

    fn deref(&self) -> &NodeContext {
        &self.context
    }
}

pub(super) fn metrics() -> NodeMetrics {
    let registry = quorate_metrics::Registry::new();
    NodeMetrics {
        raft: RaftMetrics::register(&registry).unwrap(),
        log: quorate_log::LogMetrics::register(&registry).unwrap(),
        store: quorate_store::StoreMetrics::register(&registry).unwrap(),
    }
}

pub(super) fn packet(key: u8, micros: u64) -> SignedPacket {
    let mut payload = vec![0; PAYLOAD_SIZE_MIN - 8];
    payload.extend_from_slice(&micros.to_be_bytes());
    SignedPacket::assume_verified(PublicKey::from_bytes([key; 32]), Bytes::from(payload)).unwrap()
}

/// A signed packet: the leader accepts no other from a learner.
pub(super) fn signed(seed: u8) -> SignedPacket {
    quorate_fake::packet(seed, 5, "text", 30)
}

pub(super) async fn put(node: &Node, packet: &SignedPacket) -> Result<PutOutcome, PutError> {
    let put = node.put(packet.clone(), Conditions::default());
    timeout(TIMEOUT, put)
        .await
        .expect("a PUT is always answered")
}

/// Waits until a node has applied the entry at `index`.
pub(super) async fn applied(node: &Node, index: LogIndex) {
    let mut applied = node.context().write_path.applied.clone();
    let reached = applied.wait_for(|meta| meta.applied_index() >= index);
    timeout(TIMEOUT, reached)
        .await
        .expect("a node catches up")
        .unwrap();
}

/// Waits until the consensus state of a node fulfils `condition`.
pub(super) async fn until(node: &Node, condition: impl Fn(RaftView) -> bool) {
    let stands = node
        .context()
        .write_path
        .raft
        .watch(Duration::from_millis(10), |view| !condition(view));
    timeout(TIMEOUT, stands).await.expect("it comes about");
}

pub(super) fn leads(node: &Node) -> bool {
    node.context().write_path.raft.view().role == Role::Leader
}
