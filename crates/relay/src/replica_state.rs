//! What read answers say of the replica they come from.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use quorate_replica::{LogIndex, Observer};
use strum::IntoStaticStr;

/// How old the state in an answer may be. Asking the replica costs more than a read does, and
/// an older index is still a true lower bound of what the read saw.
const AGE_MAX: Duration = Duration::from_millis(50);

const CONSISTENCY: HeaderName = HeaderName::from_static("quorate-consistency");
const KNOWN_LEADER: HeaderName = HeaderName::from_static("quorate-known-leader");
const APPLIED_INDEX: HeaderName = HeaderName::from_static("quorate-applied-index");

/// How a packet was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Consistency {
    /// From the local replica, which may lag.
    Stale,
    /// After everything committed before the request was applied.
    Linearizable,
}

/// How a packet was read, and how the replica was at most [`AGE_MAX`] before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplicaState {
    pub(crate) consistency: Consistency,
    known_leader: bool,
    /// What was read reflects this entry and all before it, and perhaps later ones.
    applied_index: LogIndex,
}

impl ReplicaState {
    /// Writes the `Quorate-…` fields.
    pub(crate) fn describe(self, headers: &mut HeaderMap) {
        let known_leader = if self.known_leader { "true" } else { "false" };
        let consistency = HeaderValue::from_static(self.consistency.into());
        headers.insert(CONSISTENCY, consistency);
        headers.insert(KNOWN_LEADER, HeaderValue::from_static(known_leader));
        headers.insert(APPLIED_INDEX, HeaderValue::from(self.applied_index.0));
    }
}

/// Asks the replica at most every [`AGE_MAX`].
pub(crate) struct ReplicaStateCache {
    replica: Arc<dyn Observer>,
    last: Mutex<Option<(Instant, ReplicaState)>>,
}

impl ReplicaStateCache {
    pub(crate) fn new(replica: Arc<dyn Observer>) -> Self {
        Self {
            replica,
            last: Mutex::new(None),
        }
    }

    /// To be called *before* the read that it shall describe.
    pub(crate) fn before_read(&self, consistency: Consistency) -> ReplicaState {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, state)) = *last
            && consistency == Consistency::Stale
            && asked.elapsed() < AGE_MAX
        {
            return ReplicaState {
                consistency,
                ..state
            };
        }
        let status = self.replica.status();
        let state = ReplicaState {
            consistency,
            known_leader: status.leader.is_some(),
            applied_index: status.applied_index,
        };
        *last = Some((Instant::now(), state));
        state
    }
}
