//! The scrub reads and verifies everything on disk, slowly, before it is needed.
//!
//! Packets are served from memory, so damage of the store's file makes no answer wrong: the file is
//! written again. The log cannot be repaired like this. The node continues, because what it has
//! acknowledged is in memory and on other nodes. It logs the damage, and purges the entries that
//! the checkpoint includes.

use std::{sync::Arc, time::Duration};

use quorate_peer::chain;
use quorate_store::{CheckpointScope, IoSpeed, StoreError};
use tokio::{
    task::JoinError,
    time::{Instant, sleep, sleep_until},
};

use crate::{adapters::RaftView, metrics::ScrubTarget, node_context::NodeContext};

/// How long to wait before a damaged store is rewritten again after the disk failed: time for an
/// operator to free space.
const REPAIR_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// How often to check whether the checkpoint is written.
const CHECKPOINT_POLL_INTERVAL: Duration = Duration::from_secs(1);

impl NodeContext {
    /// Scrubs log and store once in each interval, and repairs the store whenever damage was seen.
    /// Never returns.
    pub(crate) async fn scrub(self: Arc<Self>) {
        let interval = Duration::from_secs(self.config.settings.store.scrub_interval_secs);
        let mut next = Instant::now() + interval;
        loop {
            tokio::select! {
                () = sleep_until(next) => {
                    next = Instant::now() + interval;
                    self.scrub_log().await;
                    self.scrub_store().await;
                }
                () = self.state_machine.damage.notified() => self.repair_store("it could not be read").await,
            }
        }
    }

    async fn scrub_log(&self) {
        let scrubbed = self.read_paced(self.log.scrub(), |scrub| scrub.next_piece());
        let Err(damage) = scrubbed.await else {
            return self.metrics.raft.scrubs_total.of(ScrubTarget::Log).inc();
        };
        self.metrics.raft.damage_total.of(ScrubTarget::Log).inc();
        let damage = chain(&damage);
        tracing::error!(
            damage,
            "the Raft log is damaged on disk: the node would not start with it"
        );
        // With a checkpoint of all that is applied, most of the log is not needed.
        let applied = self.raft.view().applied;
        self.raft.trigger_checkpoint().await;
        let is_pending = |view: RaftView| view.checkpoint < applied && view.failure.is_none();
        self.raft.watch(CHECKPOINT_POLL_INTERVAL, is_pending).await;
        self.raft.trigger_purge(applied).await;
    }

    async fn scrub_store(&self) {
        let store = self.store.clone();
        let started = tokio::task::spawn_blocking(move || store.scrub()).await;
        let scrubbed = match started {
            Ok(Ok(scrub)) => self.read_paced(scrub, |scrub| scrub.next_piece()).await,
            Ok(Err(error)) => Err(error),
            Err(error) => return tracing::error!(%error, "the scrub of the store has failed"),
        };
        match scrubbed {
            Ok(()) => self.metrics.raft.scrubs_total.of(ScrubTarget::Store).inc(),
            Err(error @ StoreError::NoSpace { .. }) => {
                tracing::warn!(
                    error = chain(&error),
                    "the scrub of the store was stopped early"
                );
            }
            Err(damage) => self.repair_store(&chain(&damage)).await,
        }
    }

    /// Rewrites the file of the store from memory, and retries until that succeeds.
    async fn repair_store(&self, damage: &str) {
        self.metrics.raft.damage_total.of(ScrubTarget::Store).inc();
        tracing::error!(
            damage,
            "the store is damaged on disk: writing it again from memory"
        );
        while let Err(error) = self
            .state_machine
            .checkpoint(CheckpointScope::Everything, IoSpeed::Fast)
            .await
        {
            tracing::error!(
                error = chain(&error),
                "the damaged store could not be written again: retrying in a minute"
            );
            sleep(REPAIR_RETRY_INTERVAL).await;
        }
        tracing::info!("the store is repaired");
    }

    /// Reads to the end, piece by piece, with pauses that keep the configured rate. Fails if a
    /// piece is damaged.
    async fn read_paced<S: Send + 'static, E: Send + 'static>(
        &self,
        mut scrub: S,
        next_piece: impl Fn(&mut S) -> Result<Option<usize>, E> + Copy + Send + 'static,
    ) -> Result<(), E> {
        loop {
            let read = tokio::task::spawn_blocking(move || (next_piece(&mut scrub), scrub)).await;
            let (piece, rest) = match read.map_err(JoinError::try_into_panic) {
                Ok(read) => read,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                // The runtime is being shut down.
                Err(Err(_)) => return std::future::pending().await,
            };
            let Some(size) = piece? else {
                return Ok(());
            };
            scrub = rest;
            let rate = self.config.settings.store.scrub_rate;
            sleep(Duration::from_secs_f64(size as f64 / rate as f64)).await;
        }
    }
}
