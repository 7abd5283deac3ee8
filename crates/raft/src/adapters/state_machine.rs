//! The state machine as openraft sees it: the store, and the rules of log + checkpoint.

use std::{io, sync::Arc};

use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};
use quorate_log::Log;
use quorate_rpc::message;
use quorate_state::Outcome;
use quorate_store::{Meta, PacketsMut, Store, StoreError};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    log_storage::flushed,
    snapshot::{Snapshot, SnapshotData},
    types::{Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig},
};

/// The most entries applied in one transaction.
const APPLY_COUNT_MAX: usize = 256;

/// The bytes of commands at which a transaction is closed: a few milliseconds of work, so that
/// catching up leaves room for everything else on the thread.
const APPLY_SIZE_MAX: usize = 256 * 1024;

/// Applies entries to the store and makes checkpoints of it.
#[derive(Clone)]
pub(crate) struct StateMachine {
    store: Arc<Store>,
    log: Arc<Log>,
    /// Held by whoever writes to the store. The store would make them wait too, but on the thread.
    write_lock: Arc<Mutex<()>>,
    /// What is applied, for those who wait for it.
    applied: watch::Sender<Meta>,
}

impl StateMachine {
    pub(crate) fn new(store: Arc<Store>, log: Arc<Log>) -> Result<Self, StoreError> {
        let applied = watch::Sender::new(store.meta()?);
        Ok(Self {
            store,
            log,
            write_lock: Arc::default(),
            applied,
        })
    }

    /// What is applied, now and later.
    pub(crate) fn applied(&self) -> watch::Receiver<Meta> {
        self.applied.subscribe()
    }

    /// Makes durable what is applied, and returns it as a snapshot.
    ///
    /// The log goes to disk first. Were the store ahead of it after a loss of power, entries that
    /// the store holds could be overwritten in the log by those of a new leader.
    pub(crate) async fn checkpoint(&self) -> io::Result<quorate_store::Snapshot> {
        let write_lock = self.write_lock.clone().lock_owned().await;
        flushed(|on_flushed| self.log.sync(on_flushed)).await?;
        let store = self.store.clone();
        let (snapshot, _write_lock) = blocking(write_lock, move || {
            store.checkpoint()?;
            store.snapshot()
        })
        .await?;
        Ok(snapshot)
    }

    /// Applies a group of entries in one transaction and answers those who wait for them.
    async fn apply_group(&self, group: Group) -> io::Result<()> {
        let _write_lock = self.write_lock.lock().await;
        let (entries, responders): (Vec<_>, Vec<_>) = group.entries.into_iter().unzip();
        let (meta, outcomes): (_, Vec<Option<Outcome>>) = self
            .store
            .transact(|packets, meta| {
                entries
                    .into_iter()
                    .map(|entry| apply_entry(packets, meta, entry))
                    .collect()
            })
            .map_err(into_io)?;
        self.applied.send_replace(meta);
        for (responder, outcome) in responders.into_iter().zip(outcomes) {
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }
}

/// Entries to apply in one transaction.
#[derive(Default)]
struct Group {
    entries: Vec<EntryResponder<TypeConfig>>,
    size: usize,
}

impl Group {
    fn push(&mut self, item: EntryResponder<TypeConfig>) {
        if let EntryPayload::Normal(command) = &item.0.payload {
            self.size += command.0.len();
        }
        self.entries.push(item);
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= APPLY_COUNT_MAX || self.size >= APPLY_SIZE_MAX
    }
}

fn apply_entry(
    packets: &mut PacketsMut<'_>,
    meta: &mut Meta,
    entry: Entry,
) -> Result<Option<Outcome>, StoreError> {
    meta.applied = Some(entry.log_id.into_ours());
    match entry.payload {
        EntryPayload::Blank => Ok(None),
        EntryPayload::Normal(command) => {
            let outcome = quorate_state::apply(packets, command.0)?;
            if let Outcome::Rejected(error) = &outcome {
                tracing::error!(index = entry.log_id.index(), %error, "rejected a log entry");
            }
            Ok(Some(outcome))
        }
        EntryPayload::Membership(membership) => {
            let stored = StoredMembership::new(Some(entry.log_id), membership);
            meta.membership = stored.into_ours().encode();
            Ok(None)
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let meta = snapshot_meta(&self.store.meta().map_err(into_io)?)?;
        Ok((meta.last_log_id, meta.last_membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut group = Group::default();
        while let Some(item) = entries.next().await {
            group.push(item?);
            if group.is_full() {
                self.apply_group(std::mem::take(&mut group)).await?;
                tokio::task::yield_now().await;
            }
        }
        match group.entries.is_empty() {
            true => Ok(()),
            false => self.apply_group(group).await,
        }
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        let write_lock = self.write_lock.clone().lock_owned().await;
        // What openraft cut off the log for this snapshot must not come back behind it.
        flushed(|on_flushed| self.log.sync(on_flushed)).await?;
        let new = Meta {
            applied: meta.last_log_id.into_ours(),
            membership: meta.last_membership.into_ours().encode(),
            packet_count: 0,
        };
        let store = self.store.clone();
        let (meta, _write_lock) = blocking(write_lock, move || {
            snapshot.install(&store, new)?;
            store.meta()
        })
        .await?;
        self.applied.send_replace(meta);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshot = self.store.snapshot().map_err(into_io)?;
        match snapshot.meta().applied {
            Some(_) => held(snapshot).map(Some),
            None => Ok(None),
        }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        held(self.checkpoint().await?)
    }
}

fn held(snapshot: quorate_store::Snapshot) -> io::Result<Snapshot> {
    Ok(Snapshot {
        meta: snapshot_meta(snapshot.meta())?,
        snapshot: SnapshotData::Held(snapshot),
    })
}

fn snapshot_meta(meta: &Meta) -> io::Result<SnapshotMeta> {
    let last_membership = match meta.membership.is_empty() {
        true => StoredMembership::default(),
        false => message::StoredMembership::decode(&meta.membership)?.into_openraft()?,
    };
    Ok(SnapshotMeta {
        last_log_id: meta.applied.into_openraft(),
        last_membership,
    })
}

/// Runs slow work of the store beside the runtime's threads, keeping the lock until it is done.
async fn blocking<T: Send + 'static>(
    write_lock: OwnedMutexGuard<()>,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> io::Result<(T, OwnedMutexGuard<()>)> {
    let done = tokio::task::spawn_blocking(move || (work(), write_lock)).await;
    let (result, write_lock) = done.map_err(io::Error::other)?;
    Ok((result.map_err(into_io)?, write_lock))
}

fn into_io(error: StoreError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
