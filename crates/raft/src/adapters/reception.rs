//! Receiving a snapshot from a peer.

use std::sync::Arc;

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use quorate_rpc::{
    NodeId,
    message::{Request, Response, SnapshotBegin},
};
use quorate_store::{SnapshotReceiver, Store};
use tokio::sync::OwnedMutexGuard;

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    raft::Raft,
    snapshot::{PIECE_TIMEOUT, Snapshot, SnapshotData},
    types::{SnapshotMeta, Vote},
};
use crate::error::BoxError;

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
        requests: BoxStream<'static, Request>,
    ) -> BoxStream<'static, Response> {
        stream::unfold(
            (self.clone(), store, requests, None),
            move |(raft, store, mut requests, incoming)| async move {
                let request = next_piece(&mut requests, incoming.is_some()).await?;
                let (response, incoming) =
                    match raft.take_piece(&store, peer, incoming, request).await {
                        Ok(taken) => taken,
                        Err(error) => {
                            let reason = error.to_string();
                            tracing::warn!(%peer, reason, "refused a snapshot");
                            (Response::Failed(reason), None)
                        }
                    };
                Some((response, (raft, store, requests, incoming)))
            },
        )
        .boxed()
    }

    async fn take_piece(
        &self,
        store: &Store,
        peer: NodeId,
        incoming: Option<Incoming>,
        request: Request,
    ) -> Result<(Response, Option<Incoming>), BoxError> {
        match (request, incoming) {
            (Request::SnapshotBegin(begin), before) => {
                drop(before);
                tracing::info!(%peer, last_log = ?begin.last_log, "receiving a snapshot");
                let incoming = self.begin_snapshot(store, begin)?;
                Ok((Response::SnapshotProgress, Some(incoming)))
            }
            (Request::SnapshotChunk(chunk), Some(mut incoming)) => {
                let pushed = tokio::task::spawn_blocking(move || {
                    incoming.receiver.push(&chunk).map(|()| incoming)
                });
                Ok((Response::SnapshotProgress, Some(pushed.await??)))
            }
            (Request::SnapshotEnd, Some(incoming)) => {
                let vote = self.end_snapshot(incoming).await?;
                tracing::info!(%peer, "installed a snapshot");
                Ok((Response::SnapshotInstalled(vote.into_ours()), None))
            }
            (other, _) => Err(format!("{other:?} does not belong here").into()),
        }
    }

    fn begin_snapshot(&self, store: &Store, begin: SnapshotBegin) -> Result<Incoming, BoxError> {
        let lock = self.receive_lock.clone().try_lock_owned();
        let lock = lock.map_err(|_| "another snapshot is being received")?;
        let meta = SnapshotMeta {
            last_log_id: begin.last_log.into_openraft(),
            last_membership: begin.membership.into_openraft()?,
        };
        Ok(Incoming {
            vote: begin.vote.into_openraft(),
            meta,
            receiver: store.receive()?,
            lock,
        })
    }

    async fn end_snapshot(&self, incoming: Incoming) -> Result<Vote, BoxError> {
        let received = incoming.receiver.complete()?;
        let snapshot = Snapshot {
            meta: incoming.meta,
            snapshot: SnapshotData::Received(received, incoming.lock),
        };
        let installed = self.openraft.install_full_snapshot(incoming.vote, snapshot);
        Ok(installed.await?.vote)
    }
}

/// The next request. A sender that has begun a snapshot and stops sending loses its link, and with it
/// the lock that others wait for.
async fn next_piece(
    requests: &mut BoxStream<'static, Request>,
    has_begun: bool,
) -> Option<Request> {
    match has_begun {
        true => tokio::time::timeout(PIECE_TIMEOUT, requests.next())
            .await
            .ok()?,
        false => requests.next().await,
    }
}
