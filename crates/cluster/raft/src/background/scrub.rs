//! The scrub: what is on disk is read and verified, slowly and all of it, before it is needed.
//!
//! Packets are served from memory, so damage of the store's file harms no answer: the file is
//! written anew. The log cannot be mended so. The node goes on, since what it has acknowledged is
//! in memory and with the others, says what is damaged, and has those entries purged that the
//! checkpoint holds.

use std::{sync::Arc, time::Duration};

use quorate_peer::chain;
use quorate_store::{CheckpointScope, IoSpeed, StoreError};
use tokio::{
    task::JoinError,
    time::{Instant, sleep, sleep_until},
};

use crate::{adapters::View, metrics::Scrubbed, parts::Parts};

/// How long to wait before a damaged store is written anew once more, after the disk refused: time
/// for an operator to make room.
const MEND_INTERVAL: Duration = Duration::from_secs(60);

/// How often to look whether a checkpoint is there.
const CHECKPOINT_LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Parts {
    /// Scrubs both once in each interval, and mends the store whenever damage of it was seen. Never
    /// returns.
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
                () = self.state_machine.damage.notified() => self.mend_store("it could not be read").await,
            }
        }
    }

    async fn scrub_log(&self) {
        let scrubbed = self.read_paced(self.log.scrub(), |scrub| scrub.next_piece());
        let Err(damage) = scrubbed.await else {
            return self.metrics.raft.scrubs_total.of(Scrubbed::Log).inc();
        };
        self.metrics.raft.damage_total.of(Scrubbed::Log).inc();
        let damage = chain(&damage);
        tracing::error!(
            damage,
            "the Raft log is damaged on disk: a restart would refuse it"
        );
        // With a checkpoint of all that is applied, most of it need not be there.
        let applied = self.raft.view().applied;
        self.raft.trigger_checkpoint().await;
        let behind = |view: View| view.checkpoint < applied && view.failure.is_none();
        self.raft.watch(CHECKPOINT_LOOK_INTERVAL, behind).await;
        self.raft.trigger_purge(applied).await;
    }

    async fn scrub_store(&self) {
        let store = self.store.clone();
        let begun = tokio::task::spawn_blocking(move || store.scrub()).await;
        let scrubbed = match begun {
            Ok(Ok(scrub)) => self.read_paced(scrub, |scrub| scrub.next_piece()).await,
            Ok(Err(error)) => Err(error),
            Err(error) => return tracing::error!(%error, "the scrub of the store has ended"),
        };
        match scrubbed {
            Ok(()) => self.metrics.raft.scrubs_total.of(Scrubbed::Store).inc(),
            Err(error @ StoreError::NoSpace { .. }) => {
                tracing::warn!(
                    error = chain(&error),
                    "the scrub of the store was cut short"
                );
            }
            Err(damage) => self.mend_store(&chain(&damage)).await,
        }
    }

    /// Writes the file of the store anew from memory, again and again until it is whole.
    async fn mend_store(&self, damage: &str) {
        self.metrics.raft.damage_total.of(Scrubbed::Store).inc();
        tracing::error!(
            damage,
            "the store is damaged on disk: writing it anew from memory"
        );
        while let Err(error) = self
            .state_machine
            .checkpoint(CheckpointScope::Everything, IoSpeed::Fast)
            .await
        {
            tracing::error!(error = chain(&error), "the store stays damaged");
            sleep(MEND_INTERVAL).await;
        }
        tracing::info!("the store is whole again");
    }

    /// Reads to the end, piece by piece, with pauses that keep the rate.
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
