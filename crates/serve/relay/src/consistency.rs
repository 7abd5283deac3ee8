//! How a packet is read, and what the answer says of it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
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
    /// Says in an answer that was read so, from a replica of this state, how it was read, and for how
    /// many seconds a cache may keep it. Who asks for a linearizable read wants no cache to answer
    /// unasked.
    pub(crate) fn describe(self, state: ReadState, max_age_secs: u64, headers: &mut HeaderMap) {
        let (consistency, cache_control) = match self {
            Self::Stale => {
                let max_age = Field::new().text("public, max-age=").number(max_age_secs);
                ("stale", max_age.value())
            }
            Self::Linearizable => ("linearizable", HeaderValue::from_static("no-cache")),
        };
        let known_leader = match state.has_leader {
            true => "true",
            false => "false",
        };
        let applied_index = Field::new().number(state.applied_index.0).value();
        headers.insert(header::CACHE_CONTROL, cache_control);
        headers.insert(CONSISTENCY, HeaderValue::from_static(consistency));
        headers.insert(KNOWN_LEADER, HeaderValue::from_static(known_leader));
        headers.insert(APPLIED_INDEX, applied_index);
    }
}
