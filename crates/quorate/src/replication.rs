//! The replication thread.

use std::{io, thread};

use anyhow::Context;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The thread of consensus and the links to peers, separate from the servers.
///
/// An entry passes through a dozen tasks that wait for each other. In a thread pool, each of these steps
/// may wake another thread, which costs more than the step. And a flood at the servers cannot delay
/// heartbeats here.
pub(crate) struct ReplicationThread {
    handle: Handle,
    _stop: DropGuard,
}

impl ReplicationThread {
    /// Starts the thread. It ends when this is dropped.
    pub(crate) fn spawn() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        thread::Builder::new()
            .name("replication".to_owned())
            .spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Self {
            handle,
            _stop: stop.drop_guard(),
        })
    }

    /// Runs `work`, and everything that it spawns, on the thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let done = self.handle.spawn(work).await;
        done.context("the replication thread has ended")
    }
}
