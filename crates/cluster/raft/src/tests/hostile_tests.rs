//! One lying member: its claims about other nodes and terms that are too high change nothing on disk.

use futures_util::stream;
use quorate_api::{
    AdminRequest, DeletePacket, ForwardedAnswer, ForwardedRequest, InviteRequest, MemberChange,
    OpenInvite, Problem, ProblemType, RecordBackup, RegisterNode, RemoveRequest, Rename,
    TransferRequest,
};
use quorate_log::State;
use quorate_peer::{
    Acknowledgements, Admission, DataLoss, FrameMetadata, Introduction, LogSummary, Service,
    Voucher,
    message::{
        Append, Appended, Entry, Membership, Payload, Proposed, Response, SnapshotBegin,
        SnapshotOffer, StoredMembership, TransferLeader, TransferOutcome, Vote, VoteRequest,
        VoteResponse,
    },
};
use quorate_state::{BackupResult, Conditions, EncodedPackets, InviteId, LogPosition};

use super::{elections::calm, test_members::*, *};

/// The lying member: its process has stopped, and an attacker uses its key.
const LIAR: u64 = 3;

const FAR: Term = Term(u64::MAX);

/// What a node answers to the liar on a link that the liar has opened.
pub(super) async fn answered(
    node: &Node,
    peer: NodeId,
    stream_kind: StreamKind,
    request: Request,
) -> Response {
    let frame = Frame {
        id: 1,
        message: request,
        metadata: FrameMetadata::default(),
    };
    let requests = stream::iter([Ok(frame)]).chain(stream::pending());
    let service = node.context().service();
    let mut responses = service.serve(peer, stream_kind, requests.boxed());
    let response = timeout(TIMEOUT, responses.next()).await;
    response
        .expect("it is answered")
        .expect("it is served")
        .message
}

/// A cluster of three whose lying node has stopped.
async fn without_liar() -> Cluster {
    let mut cluster = Cluster::start(3, calm).await;
    leader_proposals::agreed_count_max(cluster.leader()).await;
    let stopped = cluster.nodes.remove(&id(LIAR)).unwrap();
    timeout(TIMEOUT, stopped.shutdown()).await.unwrap().unwrap();
    cluster.board.hang_up(id(LIAR));
    cluster.ready().await;
    cluster
}

fn vote(number: u64, term: Term, committed: bool) -> Vote {
    Vote {
        term,
        node: id(number),
        committed,
    }
}

fn log_position(term: Term, index: u64) -> LogPosition {
    LogPosition {
        term,
        index: LogIndex(index),
    }
}

fn append(vote: Vote, previous: Option<LogPosition>, positions: &[LogPosition]) -> Request {
    let entries = positions.iter().map(|position| Entry {
        position: *position,
        payload: Payload::Blank,
    });
    Request::Append(Append {
        vote,
        previous,
        entries: entries.collect(),
        leader_commit: None,
    })
}

fn vote_request(vote: Vote, last_log: Option<LogPosition>) -> VoteRequest {
    VoteRequest {
        vote,
        last_log,
        leadership_transfer: true,
    }
}

fn snapshot(vote: Vote, last: LogPosition, membership: LogPosition) -> Request {
    Request::SnapshotBegin(SnapshotBegin {
        vote,
        last_log: Some(last),
        membership: StoredMembership {
            position: Some(membership),
            membership: Membership {
                configs: vec![[id(LIAR)].into()],
                nodes: [(id(LIAR), "liar:1".to_owned())].into(),
            },
        },
        packets_size: 0,
    })
}

fn transfer(from: Vote, to: u64) -> Request {
    Request::TransferLeader(TransferLeader {
        from,
        to: id(to),
        last_log: None,
    })
}

fn log_of(node: &Node) -> State {
    node.context().log.state()
}

/// Whether nothing changed: term, vote, leader and entries are as before.
fn is_untouched(before: &State, after: &State) -> bool {
    (before.vote, before.purged) == (after.vote, after.purged)
        && after.last.map(|last| last.term) == before.last.map(|last| last.term)
}

/// Sends lies to each node on each stream, in the liar's own name or another's. All are rejected.
async fn expect_rejected(
    cluster: &Cluster,
    stream_kind: StreamKind,
    lies: impl Fn(&State) -> Vec<Request>,
) {
    for node in cluster.nodes.values() {
        for lie in lies(&log_of(node)) {
            let before = log_of(node);
            let response = answered(node, id(LIAR), stream_kind, lie.clone()).await;
            assert!(
                matches!(response, Response::Failed(_)),
                "{lie:?}: {response:?}"
            );
            let after = log_of(node);
            assert!(
                is_untouched(&before, &after),
                "{lie:?}: {before:?} {after:?}"
            );
        }
    }
    for node in cluster.nodes.values() {
        assert_eq!(
            put(node, &packet(7, 5)).await.unwrap(),
            PutOutcome::Unchanged
        );
    }
}

/// A cluster with one packet.
async fn serving() -> Cluster {
    let cluster = without_liar().await;
    put(cluster.leader(), &packet(7, 5)).await.unwrap();
    cluster
}

fn term_of(state: &State) -> Term {
    state.vote.map(|vote| Term(vote.term)).unwrap()
}

fn leader_of(state: &State) -> Vote {
    let vote = state.vote.unwrap();
    Vote {
        term: Term(vote.term),
        node: NodeId(PublicKey::from_bytes(vote.node)),
        committed: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_another_leader_or_of_a_term_too_high_are_rejected() {
    let cluster = serving().await;
    expect_rejected(&cluster, StreamKind::Append, |state| {
        let (leader, last) = (leader_of(state), state.last.unwrap());
        let next = |term| log_position(term, last.index.0 + 1);
        let own = vote(LIAR, term_of(state), true);
        vec![
            // In the name of the current leader, and of one of a later term.
            append(leader, state.last, &[next(leader.term)]),
            append(vote(1, Term(leader.term.0 + 1), true), None, &[]),
            append(vote(2, Term(leader.term.0 + 1), true), None, &[]),
            append(vote(LIAR, FAR, true), None, &[]),
            append(
                vote(LIAR, Term(leader.term.0 + (1 << 20) + 1), true),
                None,
                &[],
            ),
            // A leader that was not elected, and entries of a future term or with a gap.
            append(vote(LIAR, Term(leader.term.0 + 1), false), None, &[]),
            append(own, state.last, &[next(FAR)]),
            append(own, state.last, &[log_position(own.term, last.index.0 + 2)]),
            append(own, Some(log_position(FAR, 1)), &[]),
        ]
    })
    .await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_must_name_itself_and_an_acceptable_term() {
    let cluster = serving().await;
    expect_rejected(&cluster, StreamKind::Control, |state| {
        let next = Term(term_of(state).0 + 1);
        let high = Some(log_position(FAR, u64::MAX));
        let lies = [
            vote_request(vote(1, next, false), state.last),
            vote_request(vote(2, next, false), state.last),
            vote_request(vote(LIAR, FAR, false), state.last),
            vote_request(vote(LIAR, next, true), state.last),
            vote_request(vote(LIAR, next, false), high),
        ];
        let pre_votes = lies.clone().map(Request::PreVote);
        lies.map(Request::Vote)
            .into_iter()
            .chain(pre_votes)
            .collect()
    })
    .await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leader_can_hand_over() {
    let cluster = serving().await;
    expect_rejected(&cluster, StreamKind::Control, |state| {
        let leader = leader_of(state);
        vec![
            transfer(leader, 1),
            transfer(leader, 2),
            transfer(vote(LIAR, FAR, true), 2),
        ]
    })
    .await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_another_leader_or_of_a_term_too_high_is_rejected() {
    let cluster = serving().await;
    expect_rejected(&cluster, StreamKind::Snapshot, |state| {
        let (leader, last) = (leader_of(state), state.last.unwrap());
        let own = vote(LIAR, Term(leader.term.0 + 1), true);
        vec![
            snapshot(leader, last, last),
            snapshot(vote(LIAR, FAR, true), last, last),
            snapshot(own, log_position(FAR, u64::MAX), last),
            snapshot(own, last, log_position(FAR, u64::MAX)),
        ]
    })
    .await;
    cluster.shutdown().await;
}

/// Answers every request with the same lie.
struct Liar {
    introduction: Introduction,
    lie: Box<dyn Fn(&Request) -> Response + Send + Sync>,
}

impl Liar {
    /// From now on answers all requests to the lying member.
    fn takes_part(self, cluster: &Cluster) {
        let mut services = cluster.board.services.lock().unwrap();
        services.insert(id(LIAR), Arc::new(self));
    }
}

impl Service for Liar {
    fn introduction(&self) -> Introduction {
        self.introduction.clone()
    }

    fn admission(&self, _peer: NodeId, _vouchers: &[Voucher]) -> Admission {
        Admission::Listed
    }

    fn removed(
        &self,
        _peer: NodeId,
        _vouchers: Vec<Voucher>,
    ) -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn acknowledged(&self) -> Acknowledgements {
        Acknowledgements::new()
    }

    fn lost_data(
        &self,
        _peer: NodeId,
        _stated: LogSummary,
        _before: &Acknowledgements,
    ) -> Option<DataLoss> {
        None
    }

    fn expects_joiners(&self) -> bool {
        false
    }

    fn join(
        self: Arc<Self>,
        _joiner: NodeId,
        _request: quorate_peer::JoinRequest,
    ) -> futures_util::future::BoxFuture<'static, Option<quorate_peer::JoinAnswer>> {
        Box::pin(std::future::ready(None))
    }

    fn serve(
        self: Arc<Self>,
        _peer: NodeId,
        _lane: StreamKind,
        requests: futures_util::stream::BoxStream<
            'static,
            Result<Frame<Request>, quorate_peer::LinkError>,
        >,
    ) -> futures_util::stream::BoxStream<'static, Frame<Response>> {
        let responses = requests.filter_map(move |request| {
            let response = request.ok().map(|request| Frame {
                id: request.id,
                message: (self.lie)(&request.message),
                metadata: FrameMetadata::default(),
            });
            std::future::ready(response)
        });
        responses.boxed()
    }
}

/// A cluster whose third voter answers with a lie: the others keep their votes, and continue.
async fn answered_by(lie: impl Fn(&Request) -> Response + Send + Sync + 'static) {
    let cluster = serving().await;
    let before: BTreeMap<_, _> = cluster
        .nodes
        .iter()
        .map(|(id, it)| (*id, log_of(it)))
        .collect();
    let rejected = |node: &Node| node.context().metrics.raft.rejected_messages_total.get();
    let introduction = Introduction {
        stated: LogSummary {
            term: FAR,
            durable: Some(log_position(FAR, u64::MAX)),
        },
        ..cluster.leader().context().service().introduction()
    };
    let liar = Liar {
        introduction,
        lie: Box::new(lie),
    };
    liar.takes_part(&cluster);
    let leader = cluster.leader();
    let lied_to = async {
        while rejected(leader) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, lied_to)
        .await
        .expect("its messages arrive");
    for (number, node) in (1..).zip(cluster.nodes.values()) {
        assert_eq!(
            put(node, &packet(number, 9)).await.unwrap(),
            PutOutcome::Stored
        );
        assert!(is_untouched(&before[&node.id], &log_of(node)));
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_with_a_term_too_high_deposes_no_leader() {
    answered_by(|_| Response::Append(Appended::HigherVote(vote(LIAR, FAR, true)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_makes_no_node_a_leader() {
    let lie = |request: &Request| match request {
        Request::Append(append) => Response::Append(Appended::HigherVote(Vote {
            term: Term(append.vote.term.0 + 1),
            ..append.vote
        })),
        _ => Response::Failed("not now".to_owned()),
    };
    answered_by(lie).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_never_sent_are_not_acknowledged() {
    answered_by(|_| Response::Append(Appended::Flushed(Some(log_position(FAR, u64::MAX))))).await;
    answered_by(|_| Response::Append(Appended::Conflict(log_position(FAR, u64::MAX)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_answer_to_a_candidate_changes_nothing() {
    let cluster = serving().await;
    let node = cluster.followers().next().unwrap();
    let liar = Liar {
        introduction: node.context().service().introduction(),
        lie: Box::new(|request| match request {
            Request::TransferLeader(transfer) => {
                Response::TransferLeader(TransferOutcome::VoteChanged {
                    expected: transfer.from,
                    actual: vote(LIAR, FAR, true),
                })
            }
            _ => Response::Vote(VoteResponse {
                vote: vote(LIAR, FAR, true),
                granted: true,
                last_log: Some(log_position(FAR, u64::MAX)),
            }),
        }),
    };
    liar.takes_part(&cluster);
    let before = term_of(&log_of(node));
    let rejected = |node: &Arc<Node>| node.context().metrics.raft.rejected_messages_total.get();
    let lied_to = async {
        while !cluster.nodes.values().any(|node| rejected(node) > 0) {
            // One that wins before it is linked to the liar asks nobody for votes any more: then the
            // other one does.
            for follower in cluster.followers() {
                follower.context().raft.elect().await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(TIMEOUT, lied_to)
        .await
        .expect("the liar receives a vote request");
    cluster.ready().await;
    let after = term_of(&log_of(node));
    assert!(after.0 < before.0 + 1_000, "{before} {after}");
    cluster.shutdown().await;
}

/// A member with damaged packets fetches those of the others, and relies on their claims about them.
#[tokio::test(flavor = "multi_thread")]
async fn packets_of_a_term_too_high_are_not_fetched() {
    let cluster = serving().await;
    let node = cluster.leader();
    for other in cluster.followers() {
        cluster.board.hang_up(other.id);
    }
    let offer = SnapshotOffer {
        last_log: log_position(FAR, u64::MAX),
        membership: StoredMembership {
            position: None,
            membership: Membership {
                configs: Vec::new(),
                nodes: BTreeMap::new(),
            },
        },
    };
    let liar = Liar {
        introduction: node.context().service().introduction(),
        lie: Box::new(move |_| Response::SnapshotOffer(offer.clone())),
    };
    liar.takes_part(&cluster);
    let context = node.context();
    let rejected = async {
        while context.metrics.raft.rejected_messages_total.get() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = crate::snapshots::pull::pull_packets(&context.config, &context.peers, LogIndex(0)) => {
            panic!("nobody has any")
        }
        rejected = timeout(TIMEOUT, rejected) => rejected.expect("the hostile member answers"),
    }
    cluster.shutdown().await;
}

/// As after a long absence, or after a liar led many times.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_returns_from_a_very_old_term_catches_up() {
    let mut cluster = Cluster::prepare(3, |_| {});
    cluster.open_all().await;
    cluster.ready().await;
    put(cluster.leader(), &packet(7, 5)).await.unwrap();
    for (id, node) in std::mem::take(&mut cluster.nodes) {
        timeout(TIMEOUT, node.shutdown()).await.unwrap().unwrap();
        cluster.board.hang_up(id);
    }
    let far = Term(1 << 30);
    for number in [1, 2] {
        far_ahead(&cluster.configs[&id(number)], far).await;
    }
    cluster.open_all().await;
    cluster.ready().await;
    for node in cluster.nodes.values() {
        assert!(term_of(&log_of(node)) > far);
        assert_eq!(
            put(node, &packet(7, 5)).await.unwrap(),
            PutOutcome::Unchanged
        );
    }
    let jumps = |number| {
        let raft = &cluster.nodes[&id(number)].context().metrics.raft;
        raft.term_jumps_total.get()
    };
    assert!(jumps(3) > 0);
    cluster.shutdown().await;
}

/// Makes a stopped node have been a candidate in this term.
async fn far_ahead(config: &RaftConfig, term: Term) {
    let log = quorate_log::LogConfig::new(config.disk.clone(), config.dir.join(crate::LOG_DIR));
    let log = quorate_log::Log::open(log, metrics().log).unwrap();
    let vote = quorate_log::SavedVote {
        term: term.0,
        committed: false,
        node: *config.node.0.as_bytes(),
    };
    crate::adapters::flushed(|on_flushed| log.save_vote(vote, on_flushed))
        .await
        .unwrap();
}

/// A learner may run at the edge, in an unattended building.
#[tokio::test(flavor = "multi_thread")]
async fn a_learner_makes_requests_only_about_itself_and_publishes_for_no_key() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.join(2, true, calm).await;
    let leader = cluster.leader().clone();
    let learner = id(2);
    let ask = async |request: AdminRequest| {
        let forwarded = serde_json::to_vec(&ForwardedRequest::new(request, TIMEOUT)).unwrap();
        let request = Request::Admin(forwarded.into());
        match answered(&leader, learner, StreamKind::Admin, request).await {
            Response::Admin(answer) => {
                serde_json::from_slice::<Result<ForwardedAnswer, Problem>>(&answer).unwrap()
            }
            other => panic!("{other:?}"),
        }
    };
    let key = PublicKey::from_bytes([1; 32]);
    let remove = |node: NodeId| {
        let request = RemoveRequest {
            force: true,
            ..RemoveRequest::default()
        };
        AdminRequest::from(MemberChange::Remove(request).of(node.to_string()))
    };
    let block_secs = None;
    let open = OpenInvite {
        id: InviteId([1; 16]),
        key,
        request: InviteRequest {
            learner: false,
            valid_secs: 60,
            uses: 1,
        },
    };
    let call = RegisterNode {
        invite: InviteId([1; 16]),
        node: id(9),
        name: "n9".to_owned(),
        address: "h:9".to_owned(),
    };
    for request in [
        open.into(),
        call.into(),
        remove(id(1)),
        AdminRequest::from(DeletePacket { key, block_secs }),
        AdminRequest::from(TransferRequest { to: None }),
        AdminRequest::from(RecordBackup {
            result: BackupResult::failed("the target refused"),
        }),
    ] {
        let rejected = ask(request.clone()).await.unwrap_err();
        assert_eq!(rejected.problem_type, ProblemType::NotVoter, "{request:?}");
    }
    let name = "edge".to_owned();
    ask(AdminRequest::from(Rename { name })).await.unwrap();

    // The voter takes the packets that it has verified itself, and those of learners once it has.
    let unsigned = packet(1, 5);
    for (packet, is_taken) in [(unsigned, false), (signed(1), true)] {
        let mut packets = EncodedPackets::default();
        assert!(packets.push(&packet, &Conditions::default()));
        let request = Request::Propose(packets.encode());
        let response = answered(&leader, learner, StreamKind::Forward, request).await;
        let Response::Proposed(proposed) = response else {
            panic!("{response:?}");
        };
        assert_eq!(proposed != Proposed::Rejected, is_taken, "{proposed:?}");
    }
    ask(remove(learner)).await.unwrap();
    cluster.shutdown().await;
}
