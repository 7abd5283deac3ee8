use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt, SinkExt, StreamExt, future::BoxFuture};
use quorate_peer::{Frame, FrameMetadata, Introduce, Link, LogSummary};
use quorate_state::{LogPosition, Registration, Term};
use quorate_store::Meta;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::PollSender;

use super::*;
use crate::{
    RaftConfig, RaftMetrics,
    links::peers::{MemberRoles, Peers},
};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A transport that counts dials, and whose peers answer every request immediately.
#[derive(Default)]
struct Counting {
    dials: AtomicUsize,
    /// Whether dials hang or fail.
    fault: Mutex<Option<Fault>>,
    /// Ends all links when something is sent.
    ends: watch::Sender<Option<LinkError>>,
    /// The log that the peer states.
    stated: Mutex<LogSummary>,
    /// Lets a waiting dial continue.
    go: Arc<Notify>,
}

#[derive(Clone, Copy)]
enum Fault {
    Hangs,
    Waits,
    Fails,
}

impl Transport for Counting {
    fn open(
        &self,
        _: NodeId,
        _: String,
        _: StreamKind,
        _: Introduce,
    ) -> BoxFuture<'static, Result<Link, LinkError>> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        let fault = *self.fault.lock().unwrap();
        let mut ends = self.ends.subscribe();
        ends.mark_unchanged();
        let (stated, go) = (*self.stated.lock().unwrap(), self.go.clone());
        async move {
            match fault {
                Some(Fault::Hangs) => std::future::pending().await,
                Some(Fault::Waits) => go.notified().await,
                Some(Fault::Fails) => return Err(LinkError::Failed("nobody is there".to_owned())),
                None => {}
            }
            let (sender, mut requests) = mpsc::channel::<Frame<Request>>(8);
            let (answers, responses) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                loop {
                    let answer = tokio::select! {
                        Some(request) = requests.recv() => Ok(Frame {
                            id: request.id,
                            message: Response::ReadIndex(None),
                            metadata: FrameMetadata::default(),
                        }),
                        Ok(()) = ends.changed() => {
                            let end = ends.borrow().clone();
                            let _ = answers.send(Err(end.expect("it was sent")));
                            return;
                        }
                        else => return,
                    };
                    let _ = answers.send(answer);
                }
            });
            let closed = |_| LinkError::Closed("the peer is gone".to_owned());
            Ok(Link {
                requests: Box::pin(PollSender::new(sender).sink_map_err(closed)),
                responses: UnboundedReceiverStream::new(responses).boxed(),
                stated,
            })
        }
        .boxed()
    }
}

impl Counting {
    fn dials(&self) -> usize {
        self.dials.load(Ordering::Relaxed)
    }

    /// From now on the peer states that its log ends there.
    fn state(&self, durable: LogPosition) {
        let durable = Some(durable);
        *self.stated.lock().unwrap() = LogSummary {
            durable,
            ..LogSummary::default()
        };
    }

    fn set_fault(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    async fn until_dialed(&self, dials: usize) {
        let dialed = async {
            while self.dials() < dials {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(TIMEOUT, dialed).await.expect("it is dialed");
    }
}

fn peers() -> (Arc<Counting>, Peers) {
    let transport = Arc::new(Counting::default());
    let config = RaftConfig::numbered(2, BTreeMap::new(), PathBuf::new());
    let gossip = Arc::new(PeerGossip::new(&config));
    let membership_view = Arc::new(MembershipView::new(&config));
    membership_view.update(&BTreeMap::new(), BTreeSet::new(), &Meta::default(), true);
    let metrics = RaftMetrics::register(&quorate_metrics::Registry::new()).unwrap();
    let peers = Peers::new(transport.clone(), membership_view, gossip, metrics);
    (transport, peers)
}

fn peer() -> NodeId {
    NodeId::from(1)
}

fn voters_of(members: &BTreeMap<NodeId, String>) -> BTreeSet<NodeId> {
    members.keys().copied().collect()
}

fn own() -> NodeId {
    NodeId::from(2)
}

/// The members: only the peer, at this address.
fn at(address: &str) -> BTreeMap<NodeId, String> {
    BTreeMap::from([(peer(), address.to_owned())])
}

/// This node and the peer are voters.
fn voters() -> MemberRoles {
    MemberRoles {
        votes: true,
        ..MemberRoles::default()
    }
}

async fn until_answered(link: &PeerLink) {
    let answered = async {
        while link.call(Request::ReadIndex).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(TIMEOUT, answered).await.expect("the link is open");
}

#[tokio::test]
async fn no_call_dials() {
    let (transport, peers) = peers();
    peers.set_members(own(), &at("peer:1"), voters());
    for _ in 0..50 {
        // As openraft does for each vote.
        for stream_kind in [StreamKind::Control, StreamKind::Append, StreamKind::Forward] {
            let link = peers.link(peer(), "peer:1", stream_kind);
            timeout(TIMEOUT, link.opened()).await.unwrap().unwrap();
            link.call(Request::ReadIndex).await.unwrap();
        }
    }
    assert_eq!(transport.dials(), 3, "one for each stream kind");
}

#[tokio::test]
async fn a_call_does_not_wait_for_a_dial() {
    let (transport, peers) = peers();
    for fault in [Fault::Hangs, Fault::Fails] {
        transport.set_fault(Some(fault));
        let link = peers.new_link(peer(), "peer:1", StreamKind::Control);
        transport.until_dialed(transport.dials() + 1).await;
        let call = link.call(Request::ReadIndex).now_or_never();
        assert!(matches!(call, Some(Err(CallError::NotSent(_)))));
    }
}

#[tokio::test]
async fn a_caller_that_waits_for_a_dial_receives_its_failure() {
    let (transport, peers) = peers();
    transport.set_fault(Some(Fault::Fails));
    let link = peers.new_link(peer(), "peer:1", StreamKind::Pull);
    let opened = timeout(TIMEOUT, link.opened()).await.unwrap();
    assert!(matches!(opened, Err(CallError::NotSent(_))));
}

#[tokio::test]
async fn a_lost_link_is_opened_again_without_any_call() {
    let (transport, peers) = peers();
    let link = peers.link(peer(), "peer:1", StreamKind::Control);
    timeout(TIMEOUT, link.opened()).await.unwrap().unwrap();
    transport.set_fault(Some(Fault::Fails));
    let gone = LinkError::Failed("gone".to_owned());
    transport.ends.send_replace(Some(gone));
    transport.until_dialed(4).await;
    let call = link.call(Request::ReadIndex).await;
    assert!(matches!(call, Err(CallError::NotSent(_))));
    transport.set_fault(None);
    until_answered(&link).await;
}

#[tokio::test]
async fn a_dropped_link_is_not_dialed_again() {
    let (transport, peers) = peers();
    transport.set_fault(Some(Fault::Fails));
    let link = peers.new_link(peer(), "peer:1", StreamKind::Snapshot);
    transport.until_dialed(2).await;
    let task = link.task.clone();
    drop(link);
    let ended = async {
        while !task.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(TIMEOUT, ended).await.unwrap();
}

#[tokio::test]
async fn a_peer_at_another_address_gets_another_link() {
    let (transport, peers) = peers();
    let former = peers.link(peer(), "peer:1", StreamKind::Control);
    assert!(Arc::ptr_eq(
        &former,
        &peers.link(peer(), "peer:1", StreamKind::Control)
    ));
    let moved = peers.link(peer(), "peer:2", StreamKind::Control);
    assert!(!Arc::ptr_eq(&former, &moved));
    transport.until_dialed(2).await;
    until_answered(&moved).await;
}

#[tokio::test]
async fn links_that_the_peer_closes_are_a_hint_and_others_are_not() {
    let (transport, peers) = peers();
    let mut hangups = peers.link_tracker.hangups.subscribe();
    peers.set_members(own(), &at("peer:1"), voters());
    let open = async || {
        for stream_kind in [StreamKind::Control, StreamKind::Append, StreamKind::Forward] {
            until_answered(&peers.link(peer(), "peer:1", stream_kind)).await;
        }
    };
    open().await;
    let silent = LinkError::Failed("silent".to_owned());
    transport.ends.send_replace(Some(silent));
    transport.until_dialed(6).await;
    open().await;
    assert!(hangups.try_recv().is_err(), "nobody hung up");
    let closed = LinkError::Closed("closed".to_owned());
    transport.ends.send_replace(Some(closed));
    let hung_up = timeout(TIMEOUT, hangups.recv()).await.unwrap();
    assert_eq!(hung_up, Ok(peer()));
    assert!(hangups.try_recv().is_err(), "once for all of its links");
}

#[tokio::test]
async fn a_peer_that_has_lost_its_data_gets_nothing() {
    let (transport, peers) = peers();
    let mut meta = Meta::default();
    let registration = Registration {
        has_data: true,
        ..Registration::default()
    };
    let node_registry = Arc::make_mut(&mut meta.cluster.node_registry);
    node_registry.registrations.insert(peer().0, registration);
    let members = BTreeMap::from([(peer(), "peer:1".to_owned())]);
    peers
        .membership_view
        .update(&members, voters_of(&members), &meta, true);
    let link = peers.link(peer(), "peer:1", StreamKind::Append);
    transport.until_dialed(2).await;
    let opened = timeout(TIMEOUT, link.opened()).await.unwrap();
    let Err(CallError::NotSent(error)) = opened else {
        panic!("its log is empty but was not before");
    };
    assert!(error.to_string().contains("has lost its data"), "{error}");
}

/// The leader dials, and the voter states in its answer where its log ends.
#[tokio::test]
async fn a_voter_that_states_less_than_it_acknowledged_gets_nothing() {
    let (transport, peers) = peers();
    let had = LogPosition::new(0, 7);
    peers
        .membership_view
        .record_acknowledged(Term(0), peer(), had);
    let link = peers.link(peer(), "peer:1", StreamKind::Append);
    let opened = timeout(TIMEOUT, link.opened()).await.unwrap();
    opened.expect("it was no voter when it acknowledged this");

    let members = at("peer:1");
    let membership_view = &peers.membership_view;
    membership_view.update(&members, voters_of(&members), &Meta::default(), true);
    membership_view.record_acknowledged(Term(0), peer(), had);
    for (index, is_refused) in [(6, true), (7, false), (8, false)] {
        transport.state(LogPosition::new(0, index));
        let link = peers.new_link(peer(), "peer:1", StreamKind::Append);
        let opened = timeout(TIMEOUT, link.opened()).await.unwrap();
        match opened {
            Err(CallError::NotSent(error)) if is_refused => {
                let text = error.to_string();
                for expected in [
                    "has lost its data",
                    "entry 7 of term 0",
                    "entry 6 of term 0",
                ] {
                    assert!(text.contains(expected), "{expected:?} is not in {text}");
                }
            }
            other => assert!(other.is_ok() && !is_refused, "{index}: {other:?}"),
        }
    }
    // What a node acknowledged is forgotten when it is no longer a voter.
    membership_view.update(&members, BTreeSet::new(), &Meta::default(), true);
    let before = membership_view.acknowledged();
    assert_eq!(
        membership_view.lost_data(peer(), LogSummary::default(), &before),
        None
    );
}

/// Its other links receive entries meanwhile: it acknowledges these after it stated its log.
#[tokio::test]
async fn an_acknowledgement_during_a_dial_does_not_count_as_lost_data() {
    let (transport, peers) = peers();
    let (membership_view, members) = (&peers.membership_view, at("peer:1"));
    membership_view.update(&members, voters_of(&members), &Meta::default(), true);
    membership_view.record_acknowledged(Term(0), peer(), LogPosition::new(0, 7));
    transport.state(LogPosition::new(0, 7));
    transport.set_fault(Some(Fault::Waits));
    let link = peers.new_link(peer(), "peer:1", StreamKind::Append);
    transport.until_dialed(1).await;
    membership_view.record_acknowledged(Term(0), peer(), LogPosition::new(0, 9));
    transport.go.notify_one();
    let opened = timeout(TIMEOUT, link.opened()).await.unwrap();
    opened.expect("it had what it acknowledged before");

    transport.set_fault(None);
    let link = peers.new_link(peer(), "peer:1", StreamKind::Append);
    let opened = timeout(TIMEOUT, link.opened()).await.unwrap();
    assert!(opened.is_err(), "it lacks what it acknowledged before");
}

#[tokio::test]
async fn links_end_with_the_membership_of_the_peer_and_with_its_address() {
    let (transport, peers) = peers();
    peers.set_members(own(), &at("peer:1"), voters());
    let first = peers.link(peer(), "peer:1", StreamKind::Append);
    until_answered(&first).await;
    peers.set_members(own(), &at("peer:2"), voters());
    let moved = peers.link(peer(), "peer:1", StreamKind::Append);
    assert_eq!(
        moved.address, "peer:2",
        "the address in the membership is used"
    );
    until_answered(&moved).await;
    peers.set_members(own(), &BTreeMap::new(), voters());
    for link in [first, moved] {
        let ended = async {
            while !link.task.is_finished() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(TIMEOUT, ended).await.expect("it is closed");
        assert!(link.call(Request::ReadIndex).await.is_err());
    }
    let dials = transport.dials();
    assert!(dials <= 6, "each stream kind once at each address: {dials}");
}

/// Between two learners no link is kept open, except those opened on demand.
#[tokio::test]
async fn links_follow_the_roles_of_members() {
    let (transport, peers) = peers();
    let learns = |votes| MemberRoles {
        votes,
        learners: [peer()].into(),
    };
    peers.set_members(own(), &at("peer:1"), learns(false));
    let asked_for = peers.link(peer(), "peer:1", StreamKind::Admin);
    until_answered(&asked_for).await;
    assert_eq!(transport.dials(), 1);
    peers.set_members(own(), &at("peer:1"), voters());
    transport.until_dialed(4).await;
    let append = peers.link(peer(), "peer:1", StreamKind::Append);
    let forward = peers.link(peer(), "peer:1", StreamKind::Forward);
    until_answered(&append).await;
    until_answered(&forward).await;
    peers.set_members(own(), &at("peer:1"), learns(true));
    let ended = async {
        while !forward.task.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(TIMEOUT, ended).await.expect("it is closed");
    until_answered(&append).await;
    until_answered(&asked_for).await;
}
