//! Observes and delays the messages between nodes on the snapshot stream.

use std::sync::atomic::{AtomicUsize, Ordering};

use quorate_peer::message::{Request, Response};

use super::{super::*, cluster::TIMEOUT};

/// The messages that have passed on the snapshot streams, and how many may pass.
pub(super) struct SnapshotTraffic {
    pub(super) passed: watch::Sender<SnapshotCounts>,
    /// How many requests may pass in total. Later ones wait.
    pub(super) requests_max: watch::Sender<usize>,
    pub(super) responses_max: watch::Sender<usize>,
    /// How many links on the snapshot stream are still refused.
    pub(super) rejections: AtomicUsize,
}

#[derive(Debug, Default, Clone)]
pub(super) struct SnapshotCounts {
    pub(super) requests: usize,
    pub(super) responses: usize,
    pub(super) chunks: usize,
    /// For each snapshot that was started: how many of its chunks were already there.
    pub(super) started: Vec<u64>,
}

impl Default for SnapshotTraffic {
    fn default() -> Self {
        Self {
            passed: watch::Sender::default(),
            requests_max: watch::Sender::new(usize::MAX),
            responses_max: watch::Sender::new(usize::MAX),
            rejections: AtomicUsize::new(0),
        }
    }
}

impl SnapshotTraffic {
    /// Whether a link on the snapshot stream is accepted.
    pub(super) fn admits(&self) -> bool {
        let one_less = |rejections: usize| rejections.checked_sub(1);
        let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
        self.rejections.fetch_update(set, read, one_less).is_err()
    }

    /// Resolves when a request may pass.
    pub(super) async fn on_request(&self, request: &Request) {
        let mut number = 0;
        self.passed.send_modify(|passed| {
            number = passed.requests;
            passed.requests += 1;
        });
        let mut max = self.requests_max.subscribe();
        let _ = max.wait_for(|max| number < *max).await;
        if matches!(request, Request::SnapshotChunk(_)) {
            self.passed.send_modify(|passed| passed.chunks += 1);
        }
    }

    /// Resolves when a response may pass.
    pub(super) async fn on_response(&self, response: &Response) {
        let mut number = 0;
        self.passed.send_modify(|passed| {
            number = passed.responses;
            passed.responses += 1;
            if let Response::SnapshotBegun(chunk_count) = response {
                passed.started.push(*chunk_count);
            }
        });
        let mut max = self.responses_max.subscribe();
        let _ = max.wait_for(|max| number < *max).await;
    }

    /// Waits until what has passed meets `condition`.
    pub(super) async fn until(&self, condition: impl Fn(&SnapshotCounts) -> bool) {
        let mut passed = self.passed.subscribe();
        let seen = timeout(TIMEOUT, passed.wait_for(condition)).await;
        drop(seen.expect("the condition is met").unwrap());
    }
}
