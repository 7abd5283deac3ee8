//! An open link and the requests in flight on it.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt, stream::BoxStream};
use quorate_peer::{
    Frame, LinkError, NodeId, RequestSink, lock,
    message::{Request, Response},
};
use tokio::{
    sync::{SetOnce, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::clocks::gossip::PeerGossip;

/// The most requests that a peer processes at the same time for one link. Enough to fill a link with a
/// long delay, few enough to limit the memory that waits for the disk.
pub(crate) const PIPELINE_MAX: usize = 64;

/// The most requests without a response on one link: a full pipeline, and another one of requests whose
/// callers are gone. The requests themselves have been sent: an entry here takes about 100 bytes.
const IN_FLIGHT_COUNT_MAX: usize = 2 * PIPELINE_MAX;

/// How often a link checks within the answer timeout whether the peer has answered.
const CHECKS_PER_TIMEOUT: u32 = 4;

/// Why there is no response.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// The request never left this node.
    #[error("the request was not sent: {0}")]
    NotSent(LinkError),
    /// The request left and may have arrived.
    #[error("no answer came: {0}")]
    Lost(LinkError),
}

/// Fails when `work` takes longer than `limit`.
pub(crate) async fn in_time<T, E: From<CallError>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let late = |_| CallError::Lost(LinkError::Failed(format!("not within {limit:?}")));
    timeout(limit, work).await.map_err(late)?
}

/// The error text for a response that does not belong to the request.
pub(crate) fn unexpected(response: Response) -> String {
    match response {
        Response::Failed(reason) => format!("the peer rejected the request: {reason}"),
        other => format!("the answer does not belong to the request: {other:?}"),
    }
}

/// An open link, shared by all callers.
///
/// Callers write their requests themselves, and one task reads all responses: a request costs one
/// hand-over between tasks. If a caller goes away, its request stays in flight, and the response is
/// read and dropped.
pub(crate) struct Connection {
    peer: NodeId,
    gossip: Arc<PeerGossip>,
    requests: tokio::sync::Mutex<RequestSink>,
    in_flight: Mutex<InFlight>,
    /// Why the link has ended, once it has.
    end: SetOnce<LinkError>,
}

struct InFlight {
    last_id: u64,
    /// In the order in which they were sent.
    pending: BTreeMap<u64, PendingRequest>,
    /// When the last response came.
    last_response: Instant,
}

struct PendingRequest {
    sent: Instant,
    reply: oneshot::Sender<Result<Response, CallError>>,
}

/// A response that has not arrived yet.
pub(crate) struct Reply {
    /// When the request was about to be sent.
    pub(crate) sent: Instant,
    response: oneshot::Receiver<Result<Response, CallError>>,
}

impl Reply {
    pub(crate) async fn response(&mut self) -> Result<Response, CallError> {
        let lost = || LinkError::Failed("the link was closed".to_owned());
        (&mut self.response)
            .await
            .unwrap_or_else(|_| Err(CallError::Lost(lost())))
    }
}

impl Connection {
    pub(crate) fn new(peer: NodeId, gossip: Arc<PeerGossip>, requests: RequestSink) -> Self {
        Self {
            peer,
            gossip,
            requests: requests.into(),
            in_flight: Mutex::new(InFlight {
                last_id: 0,
                pending: BTreeMap::new(),
                last_response: Instant::now(),
            }),
            end: SetOnce::new(),
        }
    }

    /// Sends a request. The requests of one caller arrive in the order in which it sends them.
    pub(crate) async fn send(&self, request: Request) -> Result<Reply, CallError> {
        let ready = async {
            let mut requests = self.requests.lock().await;
            // A sink must not be polled after an error, so the link ends while the lock is held.
            if let Some(error) = self.end.get() {
                return Err(error.clone());
            }
            let ready = poll_fn(|cx| requests.poll_ready_unpin(cx)).await;
            ready.map_err(|error| self.on_broken(error))?;
            Ok(requests)
        };
        let mut requests = self.unless_ended(ready).await.map_err(CallError::NotSent)?;
        let (id, reply) = self.register().map_err(CallError::NotSent)?;
        let frame = Frame {
            id,
            message: request,
            metadata: self.gossip.metadata(self.peer),
        };
        if let Err(error) = requests.start_send_unpin(frame) {
            lock(&self.in_flight).pending.remove(&id);
            return Err(CallError::NotSent(self.on_broken(error)));
        }
        match self.unless_ended(requests.flush()).await {
            Ok(()) => Ok(reply),
            Err(error) => Err(CallError::Lost(self.on_broken(error))),
        }
    }

    /// Hands responses to their callers until the link is lost, and returns why. A link also counts as
    /// lost when a request is in flight and no response came for `answer_timeout`.
    pub(crate) async fn run(
        &self,
        mut responses: BoxStream<'static, Result<Frame<Response>, LinkError>>,
        answer_timeout: Duration,
    ) -> LinkError {
        let mut checks = interval(answer_timeout / CHECKS_PER_TIMEOUT);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let error = loop {
            tokio::select! {
                response = responses.next() => match response {
                    Some(Ok(response)) => self.on_response(response),
                    Some(Err(error)) => break error,
                    None => break self.failed("has closed the link"),
                },
                error = self.end.wait() => break error.clone(),
                _ = checks.tick() => if self.is_silent(answer_timeout) {
                    break self.failed(&format!("has not answered for {answer_timeout:?}"));
                },
            }
        };
        self.on_end(&error);
        error
    }

    fn on_response(&self, response: Frame<Response>) {
        let pending = {
            let mut in_flight = lock(&self.in_flight);
            in_flight.last_response = Instant::now();
            in_flight.pending.remove(&response.id)
        };
        // A response without a request does not show how long it took.
        let Some(PendingRequest { sent, reply }) = pending else {
            return;
        };
        self.gossip.on_response(self.peer, sent, response.metadata);
        // The caller may have timed out and be gone.
        let _ = reply.send(Ok(response.message));
    }

    /// Registers a request that is about to be sent. Fails if the link has ended or is full.
    fn register(&self) -> Result<(u64, Reply), LinkError> {
        let mut in_flight = lock(&self.in_flight);
        if let Some(error) = self.end.get() {
            return Err(error.clone());
        }
        if in_flight.pending.len() >= IN_FLIGHT_COUNT_MAX {
            return Err(self.failed("has too many requests without an answer"));
        }
        let (reply, response) = oneshot::channel();
        let sent = Instant::now();
        in_flight.last_id += 1;
        let id = in_flight.last_id;
        in_flight.pending.insert(id, PendingRequest { sent, reply });
        Ok((id, Reply { sent, response }))
    }

    fn is_silent(&self, answer_timeout: Duration) -> bool {
        let in_flight = lock(&self.in_flight);
        let oldest = in_flight.pending.first_key_value();
        oldest.is_some_and(|(_, oldest)| {
            oldest.sent.max(in_flight.last_response).elapsed() > answer_timeout
        })
    }

    /// Runs `work`; fails when the connection ends before it is done.
    async fn unless_ended<T>(
        &self,
        work: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, LinkError> {
        tokio::select! {
            biased;
            done = work => done,
            error = self.end.wait() => Err(error.clone()),
        }
    }

    /// Ends the connection, because writing to it failed.
    fn on_broken(&self, error: LinkError) -> LinkError {
        self.on_end(&error);
        error
    }

    /// Ends the connection for all pending requests.
    pub(crate) fn on_end(&self, error: &LinkError) {
        // The first reason stays.
        let _ = self.end.set(error.clone());
        // No request is registered from here on.
        for (_, pending) in std::mem::take(&mut lock(&self.in_flight).pending) {
            let _ = pending.reply.send(Err(CallError::Lost(error.clone())));
        }
    }

    fn failed(&self, problem: &str) -> LinkError {
        LinkError::Failed(format!("peer {} {problem}", self.peer))
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
