//! The requests of operators to the replica.

use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_api::{AdminRequest, NodeId, Problem};
use quorate_packet::PublicKey;
use tokio::sync::watch;

/// The one node of the cluster.
pub(crate) const NODE: NodeId = NodeId(PublicKey::from_bytes([1; 32]));

/// The requests of operators and their answers. Each request is done immediately, unless a test
/// sets something else.
#[derive(Debug)]
pub struct Operators {
    /// Changes wait until this is true.
    pub answers_changes: watch::Sender<bool>,
    /// How many requests were received.
    pub request_count: watch::Sender<usize>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) leader: Option<NodeId>,
    requests: Vec<AdminRequest>,
    rejection: Option<Problem>,
    pub(crate) lag: Option<u64>,
    pub(crate) warnings: Vec<String>,
}

impl Default for Operators {
    fn default() -> Self {
        Self {
            answers_changes: watch::Sender::new(true),
            request_count: watch::Sender::new(0),
            state: Mutex::new(State {
                leader: Some(NODE),
                requests: Vec::new(),
                rejection: None,
                lag: None,
                warnings: Vec::new(),
            }),
        }
    }
}

impl Operators {
    /// Returns the requests so far, in order, and forgets them.
    pub fn take_requests(&self) -> Vec<AdminRequest> {
        std::mem::take(&mut self.lock().requests)
    }

    /// Rejects every request from now on, or accepts them again if this is `None`.
    pub fn reject(&self, rejection: impl Into<Option<Problem>>) {
        self.lock().rejection = rejection.into();
    }

    /// From now on, no leader is known.
    pub fn lose_leader(&self) {
        self.lock().leader = None;
    }

    /// From now on, changes wait for a node that lacks this number of entries.
    pub fn set_lag(&self, lag: Option<u64>) {
        self.lock().lag = lag;
    }

    /// From now on, changes succeed and report this warning.
    pub fn warn(&self, warning: &str) {
        self.lock().warnings = vec![warning.to_owned()];
    }

    pub(crate) fn record(&self, request: AdminRequest) -> Result<(), Problem> {
        let mut state = self.lock();
        state.requests.push(request);
        self.request_count.send_modify(|count| *count += 1);
        state.check()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.rejection.clone().map_or(Ok(()), Err)
    }
}
