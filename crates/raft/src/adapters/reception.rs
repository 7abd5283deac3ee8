//! Receiving a snapshot from a peer.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use quorate_rpc::{
    NodeId,
    message::{Request, Response, SnapshotBegin},
};
use quorate_store::{SnapshotReceiver, Store};
use tokio::{sync::OwnedMutexGuard, time::timeout};

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    raft::Raft,
    snapshot::{PIECE_TIMEOUT, Snapshot, SnapshotData},
    state_machine::blocking,
    types::{SnapshotMeta, Vote},
};
use crate::{error::BoxError, service::Numbered};

/// What a peer sends on its snapshot lane.
struct Reception {
    raft: Raft,
    store: Arc<Store>,
    peer: NodeId,
    incoming: Option<Incoming>,
}

/// A snapshot that is being received.
struct Incoming {
    vote: Vote,
    meta: SnapshotMeta,
    receiver: SnapshotReceiver,
    lock: OwnedMutexGuard<()>,
}

impl Raft {
    /// Receives snapshots from `peer`, one after the other, in files of `store`, and installs them.
    pub(crate) fn receive_snapshots(
        &self,
        store: Arc<Store>,
        peer: NodeId,
        requests: BoxStream<'static, Numbered<Request>>,
    ) -> BoxStream<'static, Numbered<Response>> {
        let reception = Reception {
            raft: self.clone(),
            store,
            peer,
            incoming: None,
        };
        stream::unfold(
            (reception, requests),
            async |(mut reception, mut requests)| {
                let (id, request) = reception.next_piece(&mut requests).await?;
                let response = reception.take_piece(request).await.unwrap_or_else(|error| {
                    let reason = error.to_string();
                    tracing::warn!(peer = %reception.peer, reason, "refused a snapshot");
                    Response::Failed(reason)
                });
                Some(((id, response), (reception, requests)))
            },
        )
        .boxed()
    }
}

impl Reception {
    /// The next request. A sender that has begun a snapshot and stops sending loses its link, and
    /// with it the lock that others wait for.
    async fn next_piece(
        &self,
        requests: &mut BoxStream<'static, Numbered<Request>>,
    ) -> Option<Numbered<Request>> {
        let limit = self
            .incoming
            .as_ref()
            .map_or(Duration::MAX, |_| PIECE_TIMEOUT);
        timeout(limit, requests.next()).await.ok()?
    }

    /// Takes one piece. After an error nothing is being received.
    async fn take_piece(&mut self, request: Request) -> Result<Response, BoxError> {
        let peer = self.peer;
        match (request, self.incoming.take()) {
            (Request::SnapshotBegin(begin), before) => {
                drop(before);
                tracing::info!(%peer, last_log = ?begin.last_log, "receiving a snapshot");
                self.incoming = Some(self.begin(begin).await?);
                Ok(Response::SnapshotProgress)
            }
            (Request::SnapshotChunk(chunk), Some(mut incoming)) => {
                let pushed = tokio::task::spawn_blocking(move || {
                    incoming.receiver.push(&chunk).map(|()| incoming)
                });
                self.incoming = Some(pushed.await??);
                Ok(Response::SnapshotProgress)
            }
            (Request::SnapshotEnd, Some(incoming)) => {
                let vote = self.end(incoming).await?;
                tracing::info!(%peer, "installed a snapshot");
                Ok(Response::SnapshotInstalled(vote.into_ours()))
            }
            _ => Err("a piece of a snapshot that was not begun, or no piece of one".into()),
        }
    }

    async fn begin(&self, begin: SnapshotBegin) -> Result<Incoming, BoxError> {
        if self.raft.space.is_low() {
            return Err(self.raft.space.pause().await.into());
        }
        let lock = self.raft.receive_lock.clone().try_lock_owned();
        let lock = lock.map_err(|_| "another snapshot is being received")?;
        let meta = SnapshotMeta {
            last_log_id: begin.last_log.into_openraft(),
            last_membership: begin.membership.into_openraft()?,
        };
        let store = self.store.clone();
        let receiver = blocking(move || Store::receiver(store.config())).await?;
        Ok(Incoming {
            vote: begin.vote.into_openraft(),
            meta,
            receiver,
            lock,
        })
    }

    async fn end(&self, incoming: Incoming) -> Result<Vote, BoxError> {
        let Incoming {
            vote,
            meta,
            receiver,
            lock,
        } = incoming;
        let received = blocking(move || receiver.complete()).await?;
        let snapshot = Snapshot {
            meta,
            snapshot: SnapshotData::Received(received, lock),
        };
        let raft = &self.raft.openraft;
        let installed = raft.install_full_snapshot(vote, snapshot).await?;
        Ok(installed.vote)
    }
}
