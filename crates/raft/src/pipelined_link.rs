//! A link on which several requests are in flight.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use quorate_rpc::{
    Lane, Link, LinkError, NodeId, Transport,
    message::{Request, Response},
};
use sync_wrapper::SyncWrapper;

/// The most requests on their way without a response. Enough to fill a link, few enough that a peer
/// that stops answering is noticed before much memory waits for it.
pub(crate) const PIPELINE_MAX: usize = 64;

/// Where a peer is, and over which lane to reach it.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) peer: NodeId,
    pub(crate) address: String,
    pub(crate) lane: Lane,
}

impl Route {
    fn error(&self, what: &str) -> LinkError {
        let Self { peer, address, .. } = self;
        LinkError(format!("peer {peer} at {address} {what}"))
    }
}

/// A link that is opened when it is needed and opened anew after it failed.
///
/// openraft drops a call when its time is up. Its response is then still in flight, and the next
/// call skips it: opening a new link for every late response would cost a loaded peer a handshake
/// each.
pub(crate) struct PipelinedLink {
    route: Route,
    /// openraft wants its networks to be `Sync`, which a link need not be: it has one user.
    link: Option<SyncWrapper<Link>>,
    /// Whether each response in flight is still wanted, oldest first.
    in_flight: VecDeque<bool>,
}

impl PipelinedLink {
    pub(crate) fn new(route: Route) -> Self {
        Self {
            route,
            link: None,
            in_flight: VecDeque::new(),
        }
    }

    /// Gives up the responses in flight, since whoever waited for them is gone.
    pub(crate) fn forget_in_flight(&mut self) {
        self.in_flight.iter_mut().for_each(|wanted| *wanted = false);
    }

    /// Responses that are in flight and wanted.
    pub(crate) fn wanted(&self) -> usize {
        self.in_flight.iter().filter(|wanted| **wanted).count()
    }

    /// Whether another request may go out.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight.len() < PIPELINE_MAX
    }

    /// Opens the link if there is none. Nothing was sent when this fails.
    pub(crate) async fn open(&mut self) -> Result<(), LinkError> {
        if self.link.is_none() {
            self.in_flight.clear();
            let route = self.route.clone();
            let opened = route.transport.open(route.peer, route.address, route.lane);
            self.link = Some(SyncWrapper::new(opened.await?));
        }
        Ok(())
    }

    /// Sends a request whose response is then in flight. It may have left when this fails.
    pub(crate) async fn send(&mut self, request: Request) -> Result<(), LinkError> {
        if !self.has_room() {
            self.close();
        }
        self.open().await?;
        let link = self.link.as_mut().expect("it was opened above").get_mut();
        // In flight from the moment the sink has the request: this future may be dropped at each await.
        let sent = match link.requests.feed(request).await {
            Ok(()) => {
                self.in_flight.push_back(true);
                link.requests.flush().await
            }
            error => error,
        };
        if sent.is_err() {
            self.close();
        }
        sent
    }

    /// The next response that is wanted. Waits for ever when none is in flight.
    pub(crate) async fn receive(&mut self) -> Result<Response, LinkError> {
        let Some(link) = &mut self.link else {
            return std::future::pending().await;
        };
        let link = link.get_mut();
        loop {
            let response = match link.responses.next().await {
                Some(Ok(response)) => response,
                Some(Err(error)) => {
                    self.close();
                    return Err(error);
                }
                None => {
                    self.close();
                    return Err(self.route.error("closed the link"));
                }
            };
            if self.in_flight.pop_front().unwrap_or(false) {
                return Ok(response);
            }
        }
    }

    /// Sends a request and waits for its response, at most `timeout`.
    pub(crate) async fn call(
        &mut self,
        request: Request,
        timeout: Duration,
    ) -> Result<Response, LinkError> {
        self.forget_in_flight();
        let answered = tokio::time::timeout(timeout, async {
            self.send(request).await?;
            self.receive().await
        });
        let answered = answered.await;
        answered.unwrap_or_else(|_| {
            let what = format!("did not answer in {timeout:?}");
            Err(self.route.error(&what))
        })
    }

    /// Drops the link and everything in flight.
    pub(crate) fn close(&mut self) {
        self.link = None;
        self.in_flight.clear();
    }
}

#[cfg(test)]
#[path = "pipelined_link_tests.rs"]
mod tests;
