//! The state of the relay, and helpers that all requests use.

use std::sync::Arc;

use axum::http::Uri;
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::Replica;

use crate::{RelayConfig, RelayMetrics, watchers::Watchers};

pub(crate) struct Relay {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) config: RelayConfig,
    pub(crate) metrics: RelayMetrics,
    pub(crate) watchers: Watchers,
}

/// Parses the key in the path, which is followed by `segments_after` segments.
pub(crate) fn key(uri: &Uri, segments_after: usize) -> Result<PublicKey, KeyError> {
    let path = uri.path().as_bytes();
    let segment = path.rsplit(|byte| *byte == b'/').nth(segments_after);
    PublicKey::parse_z32(segment.unwrap_or_default())
}
