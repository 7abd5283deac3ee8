//! Requests for the read index that several reads share.

use std::sync::{Arc, Mutex};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use quorate_peer::lock;
use quorate_state::LogIndex;

/// One request for the read index, shared by several reads.
pub(super) type ReadIndexRequest = Shared<BoxFuture<'static, Option<LogIndex>>>;

/// Lets reads share their requests for the read index. One request is in progress at a time, and
/// all reads that arrive meanwhile share the next one. So any number of reads takes almost no
/// capacity of the link from PUTs.
#[derive(Clone, Default)]
pub(crate) struct ReadIndexRequests {
    next: Arc<Mutex<Option<ReadIndexRequest>>>,
    in_progress: Arc<tokio::sync::Mutex<()>>,
}

impl ReadIndexRequests {
    /// Joins the next request, which calls `send` later than this call.
    pub(super) fn join<F>(&self, send: impl FnOnce() -> F + Send + 'static) -> ReadIndexRequest
    where
        F: Future<Output = Option<LogIndex>> + Send,
    {
        let request = || {
            let requests = self.clone();
            let sent = async move {
                let _turn = requests.in_progress.lock().await;
                // Reads that arrive from here on need a new request.
                *lock(&requests.next) = None;
                send().await
            };
            sent.boxed().shared()
        };
        lock(&self.next).get_or_insert_with(request).clone()
    }
}
