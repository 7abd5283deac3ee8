//! The far side of the links that this node dials, in errors and in the log.

use std::{
    error::Error,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use quorate_rpc::{Lane, LinkError, NodeId};

use crate::{dial::DialError, frame::FrameError, log_budget::LogBudget};

/// Where a link leads.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) peer: NodeId,
    pub(crate) address: String,
    pub(crate) lane: Lane,
    /// Of this peer and lane, whatever the address.
    pub(crate) route: Arc<RouteState>,
    /// Of all peers: one that comes and goes does not fill the log.
    pub(crate) log: Arc<LogBudget>,
}

/// How the last link on a lane to a peer fared, so that only changes are logged.
#[derive(Debug, Default)]
pub(crate) struct RouteState(Mutex<Option<LinkState>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    /// It was opened.
    Open,
    /// It was open and ended.
    Lost,
    /// It could not be opened.
    Unreachable,
}

impl Remote {
    pub(crate) fn on_open(&self) {
        if let Some(unlogged) = self.log_change(LinkState::Open) {
            let Self {
                peer,
                address,
                lane,
                ..
            } = self;
            tracing::info!(%peer, address, ?lane, unlogged, "the link to a peer is open");
        }
    }

    /// Says what the failure of a dial is to callers.
    pub(crate) fn on_unreachable(&self, error: &DialError) -> LinkError {
        let (error, lane) = (self.error(error), self.lane);
        match self.log_change(LinkState::Unreachable) {
            Some(unlogged) => {
                tracing::warn!(%error, ?lane, unlogged, "a peer is out of reach");
            }
            None => tracing::debug!(%error, ?lane, "a peer is still out of reach"),
        }
        error
    }

    /// Says what the end of a link is to callers.
    pub(crate) fn on_lost(&self, error: &FrameError) -> LinkError {
        let (error, lane) = match error.is_disconnect() {
            true => (self.error(&FrameError::Closed), self.lane),
            false => (self.error(error), self.lane),
        };
        if let Some(unlogged) = self.log_change(LinkState::Lost) {
            tracing::info!(%error, ?lane, unlogged, "the link to a peer is lost");
        }
        error
    }

    /// Notes how the link fares. If that is news for the log, tells how many lines were left out
    /// before it.
    fn log_change(&self, state: LinkState) -> Option<u32> {
        let RouteState(last) = &*self.route;
        let last = last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(state);
        if last == Some(state) {
            return None;
        }
        self.log.take(Instant::now())
    }

    /// The error with its sources, and where it happened.
    fn error(&self, error: &dyn Error) -> LinkError {
        let Self { peer, address, .. } = self;
        let mut text = format!("peer {peer} at {address}: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            write!(text, ": {error}").expect("a String takes every write");
            source = error.source();
        }
        LinkError(text)
    }
}
