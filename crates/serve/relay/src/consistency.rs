//! How a packet is read, and what the answer says of it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use quorate_replica::ReadState;

use crate::field::Field;

const CONSISTENCY: HeaderName = HeaderName::from_static("quorate-consistency");
const KNOWN_LEADER: HeaderName = HeaderName::from_static("quorate-known-leader");
const APPLIED_INDEX: HeaderName = HeaderName::from_static("quorate-applied-index");

/// How a packet is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// From the local replica, which may lag.
    Stale,
    /// After everything committed before the request was applied.
    Linearizable,
}

impl Consistency {
    /// Writes the `Quorate-…` fields of an answer that was read so, from a replica of this state.
    pub(crate) fn describe(self, state: ReadState, headers: &mut HeaderMap) {
        let consistency = match self {
            Self::Stale => HeaderValue::from_static("stale"),
            Self::Linearizable => HeaderValue::from_static("linearizable"),
        };
        let known_leader = match state.has_leader {
            true => HeaderValue::from_static("true"),
            false => HeaderValue::from_static("false"),
        };
        let applied_index = Field::new().number(state.applied_index.0).value();
        headers.insert(CONSISTENCY, consistency);
        headers.insert(KNOWN_LEADER, known_leader);
        headers.insert(APPLIED_INDEX, applied_index);
    }
}
