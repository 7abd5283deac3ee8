//! A link that is kept open.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, TryStreamExt};
use quorate_peer::{
    DataLoss, LinkError, NodeId, StreamKind, Transport,
    message::{Request, Response},
};
use tokio::{
    sync::{SetOnce, watch},
    task::AbortHandle,
    time::{Instant, sleep},
};

use crate::{
    clocks::gossip::PeerGossip,
    links::connection::{CallError, Connection, Reply},
    links::link_tracker::{Direction, LinkTracker},
    membership::membership_view::MembershipView,
};

/// The pauses before a peer is dialed again; the last one repeats. A peer that restarts should not
/// wait for the leader longer than its own election timeout.
pub(crate) const BACKOFF: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
];

/// A link that lasted this long resets the pauses to the first one.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// How long a peer may answer none of the requests on a link before the link counts as dead.
fn answer_timeout(stream_kind: StreamKind) -> Duration {
    Duration::from_secs(match stream_kind {
        // Answered from memory, or after one sync.
        StreamKind::Control => 2,
        // Answered when a quorum has answered the leader.
        StreamKind::Forward => 5,
        // A change of the members may wait for another one and for a handover. The caller has its own
        // limit, which is shorter.
        StreamKind::Admin => 45,
        // Answered once the disk has synced: a disk that takes longer counts as dead.
        StreamKind::Append => 10,
        // A checkpoint may have to be written first. The caller has its own limit.
        StreamKind::Snapshot | StreamKind::Pull | StreamKind::Join => 60,
    })
}

/// The destination of a link, and what it reports to.
#[derive(Clone)]
pub(crate) struct LinkConfig {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) membership_view: Arc<MembershipView>,
    pub(crate) gossip: Arc<PeerGossip>,
    pub(crate) link_tracker: Arc<LinkTracker>,
    pub(crate) peer: NodeId,
    pub(crate) address: String,
    pub(crate) stream_kind: StreamKind,
}

/// One stream to one peer. It is dialed immediately, and again whenever it is lost, even without any
/// calls, until this is dropped. No call ever dials.
pub(crate) struct PeerLink {
    pub(crate) address: String,
    state: watch::Receiver<State>,
    /// Why the link is closed, once it is.
    closed: Arc<SetOnce<LinkError>>,
    task: AbortHandle,
}

#[derive(Clone)]
enum State {
    /// The peer is being dialed for the first time.
    Dialing,
    Open(Arc<Connection>),
    /// The link could not be opened or was lost, and will be dialed again.
    Down(LinkError),
}

impl PeerLink {
    pub(crate) fn open(config: LinkConfig) -> Self {
        let (sender, state) = watch::channel(State::Dialing);
        let closed = Arc::new(SetOnce::new());
        Self {
            address: config.address.clone(),
            state,
            closed: closed.clone(),
            task: tokio::spawn(run(config, sender, closed)).abort_handle(),
        }
    }

    /// Closes the link for all callers that still use it.
    pub(crate) fn close(&self, reason: LinkError) {
        // The first reason stays.
        let _ = self.closed.set(reason);
    }

    /// Waits until the first dial is over. Fails if the link could not be opened.
    pub(crate) async fn opened(&self) -> Result<(), CallError> {
        let mut state = self.state.clone();
        let dialed = state.wait_for(|state| !matches!(state, State::Dialing));
        match dialed.await.as_deref() {
            Ok(State::Open(_)) => Ok(()),
            Ok(State::Down(error)) => Err(CallError::NotSent(error.clone())),
            Ok(State::Dialing) | Err(_) => Err(not_open()),
        }
    }

    /// Sends a request and waits for the response. Fails immediately if the link is not open.
    pub(crate) async fn call(&self, request: Request) -> Result<Response, CallError> {
        self.send(request).await?.response().await
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Reply, CallError> {
        let connection = match &*self.state.borrow() {
            State::Open(connection) => connection.clone(),
            State::Down(error) => return Err(CallError::NotSent(error.clone())),
            State::Dialing => return Err(not_open()),
        };
        connection.send(request).await
    }

    /// Sends up to `in_flight_max` requests ahead of their responses. The responses come in order, each
    /// with the time at which its request was sent.
    pub(crate) fn pipelined<E: From<CallError>>(
        self: Arc<Self>,
        requests: impl Stream<Item = Result<Request, E>>,
        in_flight_max: usize,
    ) -> impl Stream<Item = Result<(Instant, Response), E>> {
        requests
            .and_then(move |request| {
                let link = self.clone();
                async move { Ok(link.send(request).await?) }
            })
            .map_ok(|mut reply| async move { Ok((reply.sent, reply.response().await?)) })
            .try_buffered(in_flight_max)
    }
}

impl Drop for PeerLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The link to such a peer is closed: once it has entries again it would vote, but it has forgotten its
/// votes.
fn lost_data(peer: NodeId, loss: DataLoss) -> LinkError {
    let text = format!("peer {peer} has lost its data: {loss}; replace it by a new node");
    LinkError::Failed(text)
}

fn not_open() -> CallError {
    CallError::NotSent(LinkError::Failed("the link is not open yet".to_owned()))
}

/// Keeps the link open until it is closed.
async fn run(config: LinkConfig, state: watch::Sender<State>, closed: Arc<SetOnce<LinkError>>) {
    let reason = tokio::select! {
        never = keep_open(&config, &state) => never,
        reason = closed.wait() => reason.clone(),
    };
    if let State::Open(connection) = state.send_replace(State::Down(reason.clone())) {
        connection.on_end(&reason);
    }
}

async fn keep_open(config: &LinkConfig, state: &watch::Sender<State>) -> ! {
    let mut failures = 0;
    loop {
        let LinkConfig {
            peer, stream_kind, ..
        } = *config;
        // Read before the dial: when the peer states its log, it may lack what it acknowledges later.
        let before = config.membership_view.acknowledged();
        let (address, membership_view) = (config.address.clone(), config.membership_view.clone());
        let introduce = Box::new(move || membership_view.introduction());
        let opened = config
            .transport
            .open(peer, address, stream_kind, introduce)
            .await;
        let opened = opened.and_then(|link| {
            match config.membership_view.lost_data(peer, link.stated, &before) {
                Some(loss) => Err(lost_data(peer, loss)),
                None => Ok(link),
            }
        });
        let error = match opened {
            Ok(link) => {
                let opened_at = Instant::now();
                let guard = config.link_tracker.enter(peer, Direction::Dialed);
                config.link_tracker.on_opened(peer);
                let connection = Connection::new(peer, config.gossip.clone(), link.requests);
                let connection = Arc::new(connection);
                state.send_replace(State::Open(connection.clone()));
                let lost = connection
                    .run(link.responses, answer_timeout(stream_kind))
                    .await;
                guard.leave(&lost);
                if opened_at.elapsed() >= STABLE_AFTER {
                    failures = 0;
                }
                lost
            }
            Err(error) => {
                config.link_tracker.on_failed(peer, &error);
                error
            }
        };
        state.send_replace(State::Down(error));
        sleep(BACKOFF[failures]).await;
        failures = (failures + 1).min(BACKOFF.len() - 1);
    }
}

#[cfg(test)]
#[path = "peer_link_tests.rs"]
mod tests;
