//! The service behind the nodes of tests.

use std::{
    collections::BTreeSet,
    future::{pending, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    Acknowledgements, Admission, DataLoss, Frame, Introduction, InviteId, JoinAnswer, JoinRequest,
    JoinToken, Joined, LogSummary, NodeId, Removal, Service, StreamKind, Voucher, is_vouched_for,
    message::Response,
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use quorate_state::{LogIndex, LogPosition, Term};
use tokio::sync::watch;

use crate::test_home::{ALICE, BOB, HOME, Requests, echo, id, introduction, read};

pub(crate) trait Answering: Send + Sync + 'static {
    fn answer(&self, requests: Requests) -> BoxStream<'static, Frame<Response>>;
}

/// Answers each request with its own text.
pub(crate) struct Echo;

impl Answering for Echo {
    fn answer(&self, requests: Requests) -> BoxStream<'static, Frame<Response>> {
        read(requests).map(echo).boxed()
    }
}

/// Answers with a function.
pub(crate) struct Serve<F>(pub(crate) F);

impl<F> Answering for Serve<F>
where
    F: Fn(Requests) -> BoxStream<'static, Frame<Response>> + Send + Sync + 'static,
{
    fn answer(&self, requests: Requests) -> BoxStream<'static, Frame<Response>> {
        self.0(requests)
    }
}

/// Admits Alice, and whom a test adds.
pub(crate) struct TestService {
    answering: Box<dyn Answering>,
    admitted: watch::Sender<BTreeSet<NodeId>>,
    /// The removed node, and the removal that is sent to it.
    removed: Mutex<Option<(NodeId, Removal)>>,
    /// What a greeting node is known to have acknowledged, if anything.
    acknowledged: Mutex<Option<Option<(Term, LogPosition)>>>,
    expects_joiners: AtomicBool,
    /// The answer to nodes that have proved the token of tests. `None`: no answer.
    answer: Mutex<Option<JoinAnswer>>,
}

impl TestService {
    pub(crate) fn new(answering: impl Answering) -> Self {
        Self {
            answering: Box::new(answering),
            admitted: watch::Sender::new([id(ALICE)].into()),
            removed: Mutex::default(),
            acknowledged: Mutex::default(),
            expects_joiners: AtomicBool::new(false),
            answer: Mutex::new(Some(JoinAnswer::Joined(joined()))),
        }
    }

    pub(crate) fn admit(&self, name: u8) {
        self.admitted.send_modify(|admitted| {
            admitted.insert(id(name));
        });
    }

    pub(crate) fn unlist(&self, name: u8) {
        self.admitted.send_modify(|admitted| {
            admitted.remove(&id(name));
        });
    }

    /// From now on this node counts as removed.
    pub(crate) fn remove(&self, name: u8, removal: Removal) {
        *self.removed.lock().unwrap() = Some((id(name), removal));
    }

    /// From now on a node that greets with an empty log counts as one that had entries.
    pub(crate) fn miss_data(&self) {
        *self.acknowledged.lock().unwrap() = Some(None);
    }

    /// From now on a greeting node has acknowledged this position to this node, the leader of the term.
    pub(crate) fn remember(&self, term: Term, position: LogPosition) {
        *self.acknowledged.lock().unwrap() = Some(Some((term, position)));
    }

    /// Answers joiners with this from now on, or never.
    pub(crate) fn expect_joiners(&self, answer: Option<JoinAnswer>) {
        *self.answer.lock().unwrap() = answer;
        self.expects_joiners.store(true, Ordering::Relaxed);
    }
}

/// The token that Bob knows.
pub(crate) fn token(members: Vec<(NodeId, String)>) -> JoinToken {
    JoinToken {
        cluster: HOME,
        invite: InviteId([5; 16]),
        seed: [6; 32],
        members,
    }
}

/// Bob's answer to those that have it, unless a test sets another.
pub(crate) fn joined() -> Joined {
    Joined {
        id: HOME,
        index: LogIndex(9),
        term: Term(4),
        members: vec![
            (id(BOB), "bob:1".to_owned()),
            (id(ALICE), "alice:1".to_owned()),
        ],
    }
}

impl Service for TestService {
    fn introduction(&self) -> Introduction {
        introduction()
    }

    fn admission(&self, peer: NodeId, vouchers: &[Voucher]) -> Admission {
        if self.admitted.borrow().contains(&peer) {
            return Admission::Listed;
        }
        let lists = |node| self.admitted.borrow().contains(&node);
        match is_vouched_for(peer, vouchers, HOME, LogIndex(0), lists) {
            true => Admission::Vouched,
            false => match &*self.removed.lock().unwrap() {
                Some((removed, removal)) if *removed == peer => Admission::Removed(removal.clone()),
                _ => Admission::Stranger,
            },
        }
    }

    fn removed(&self, peer: NodeId, vouchers: Vec<Voucher>) -> BoxFuture<'static, ()> {
        let mut admitted = self.admitted.subscribe();
        async move {
            let is_expelled = |admitted: &BTreeSet<NodeId>| {
                let lists = |node| admitted.contains(&node);
                !lists(peer) && !is_vouched_for(peer, &vouchers, HOME, LogIndex(0), lists)
            };
            if admitted.wait_for(is_expelled).await.is_err() {
                pending::<()>().await;
            }
        }
        .boxed()
    }

    fn acknowledged(&self) -> Acknowledgements {
        Acknowledgements::new()
    }

    fn lost_data(
        &self,
        _peer: NodeId,
        stated: LogSummary,
        _before: &Acknowledgements,
    ) -> Option<DataLoss> {
        let acknowledged = *self.acknowledged.lock().unwrap();
        acknowledged.and_then(|acknowledged| DataLoss::of(acknowledged, stated))
    }

    fn expects_joiners(&self) -> bool {
        self.expects_joiners.load(Ordering::Relaxed)
    }

    fn join(
        self: Arc<Self>,
        joiner: NodeId,
        request: JoinRequest,
    ) -> BoxFuture<'static, Option<JoinAnswer>> {
        let key = JoinToken::public_key_of(&token(Vec::new()).seed);
        if !request.is_proved(&key, HOME, joiner, id(BOB)) {
            return ready(None).boxed();
        }
        match self.answer.lock().unwrap().clone() {
            Some(answer) => ready(Some(answer)).boxed(),
            None => pending().boxed(),
        }
    }

    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        _lane: StreamKind,
        requests: Requests,
    ) -> BoxStream<'static, Frame<Response>> {
        let _ = peer;
        self.answering.answer(requests)
    }
}
