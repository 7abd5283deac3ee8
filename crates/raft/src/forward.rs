//! Reaching the leader from a follower.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use quorate_rpc::{
    Lane, NodeId, Transport,
    message::{Request, Response},
};
use tokio::sync::{mpsc, oneshot};

use crate::pipelined_link::{PIPELINE_MAX, PipelinedLink, Route};

/// Keeps one link to the leader and sends requests over it.
pub(crate) struct Forwarder {
    transport: Arc<dyn Transport>,
    current: Mutex<Option<(NodeId, mpsc::Sender<Call>)>>,
}

/// Why there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForwardError {
    /// The request never left this node.
    NotSent,
    /// The request left and may have arrived.
    Lost,
}

struct Call {
    request: Request,
    reply: oneshot::Sender<Result<Response, ForwardError>>,
}

impl Forwarder {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            current: Mutex::default(),
        }
    }

    /// Sends a request to `leader` and waits for the response.
    pub(crate) async fn call(
        &self,
        leader: NodeId,
        address: &str,
        request: Request,
    ) -> Result<Response, ForwardError> {
        let (reply, response) = oneshot::channel();
        let calls = self.calls_to(leader, address);
        calls
            .send(Call { request, reply })
            .await
            .map_err(|_| ForwardError::NotSent)?;
        response.await.unwrap_or(Err(ForwardError::Lost))
    }

    /// The queue of the link to `leader`. The link to a leader of before ends when its last caller
    /// has gone.
    fn calls_to(&self, leader: NodeId, address: &str) -> mpsc::Sender<Call> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((peer, calls)) = &*current
            && *peer == leader
            && !calls.is_closed()
        {
            return calls.clone();
        }
        let (calls, queue) = mpsc::channel(PIPELINE_MAX);
        let route = Route {
            transport: self.transport.clone(),
            peer: leader,
            address: address.to_owned(),
            lane: Lane::Forward,
        };
        tokio::spawn(run_link(PipelinedLink::new(route), queue));
        *current = Some((leader, calls.clone()));
        calls
    }
}

/// Serves one link until it fails or nobody can call any more.
async fn run_link(mut link: PipelinedLink, mut queue: mpsc::Receiver<Call>) {
    let mut waiting = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            response = link.receive(), if !waiting.is_empty() => match response {
                Ok(response) => reply(waiting.pop_front(), Ok(response)),
                Err(error) => {
                    tracing::debug!(%error, "the link to the leader is lost");
                    break;
                }
            },
            call = queue.recv(), if link.has_room() => {
                let Some(Call { request, reply: caller }) = call else { break };
                if let Err(error) = link.open().await {
                    tracing::debug!(%error, "the leader cannot be reached");
                    reply(Some(caller), Err(ForwardError::NotSent));
                    break;
                }
                waiting.push_back(caller);
                if let Err(error) = link.send(request).await {
                    tracing::debug!(%error, "the link to the leader is lost");
                    break;
                }
            }
        }
    }
    // Whoever waits without an answer takes its request for lost.
    drop(waiting);
    queue.close();
    while let Some(Call { reply: caller, .. }) = queue.recv().await {
        reply(Some(caller), Err(ForwardError::NotSent));
    }
}

fn reply(
    caller: Option<oneshot::Sender<Result<Response, ForwardError>>>,
    response: Result<Response, ForwardError>,
) {
    // A caller whose deadline has passed is gone.
    if let Some(caller) = caller {
        let _ = caller.send(response);
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
