//! Receives a snapshot from a peer.

use std::sync::Arc;

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use quorate_disk::dir_of;
use quorate_peer::{
    NodeId,
    message::{Request, Response, SnapshotBegin},
};
use quorate_store::Store;
use tokio::time::{Instant, timeout};

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    raft::Raft,
    snapshot::{PIECE_TIMEOUT, ReceivedInSlot, Snapshot, SnapshotData, throttle},
    state_machine::blocking,
    types::{SnapshotMeta, Vote},
};
use crate::{
    error::BoxError,
    links::WithRequestId,
    links::drop_in_background::DropInBackground,
    links::peers::Peers,
    snapshots::receive_slot::{PartialSnapshot, SlotGuard},
};

/// The reception of snapshots on the snapshot stream of one peer.
struct SnapshotReception {
    raft: Raft,
    store: Arc<Store>,
    peers: Arc<Peers>,
    peer: NodeId,
    incoming: Option<IncomingSnapshot>,
}

/// A snapshot that is being received. When it is dropped, the received part stays in its slot.
struct IncomingSnapshot {
    vote: Vote,
    meta: SnapshotMeta,
    slot: SlotGuard,
}

impl Raft {
    /// Receives snapshots from `peer`, one after the other, in files of `store`, and installs them.
    /// Pieces are handled one by one: pieces that are sent ahead wait on the link.
    pub(crate) fn receive_snapshots(
        &self,
        store: Arc<Store>,
        peers: Arc<Peers>,
        peer: NodeId,
        requests: BoxStream<'static, WithRequestId<Request>>,
    ) -> BoxStream<'static, WithRequestId<Response>> {
        let reception = SnapshotReception {
            raft: self.clone(),
            store,
            peers,
            peer,
            incoming: None,
        };
        stream::unfold(
            (reception, requests),
            async |(mut reception, mut requests)| {
                let (id, request) = reception.next_piece(&mut requests).await?;
                let response = reception.answer(request).await;
                Some(((id, response), (reception, requests)))
            },
        )
        .boxed()
    }
}

impl SnapshotReception {
    /// The next request. `None` ends the link. A sender that has started a snapshot and stops
    /// sending loses its link, and with it the slot that others wait for. So does a sender that has
    /// opened another link.
    async fn next_piece(
        &self,
        requests: &mut BoxStream<'static, WithRequestId<Request>>,
    ) -> Option<WithRequestId<Request>> {
        if self.incoming.is_none() {
            return requests.next().await;
        }
        tokio::select! {
            request = timeout(PIECE_TIMEOUT, requests.next()) => request.ok()?,
            () = self.raft.receive_slot.wanted_for_other_link(self.peer) => None,
        }
    }

    async fn answer(&mut self, request: Request) -> Response {
        // Pieces that were sent before the peer knew of a rejection are rejected without a log
        // line.
        let was_sent_ahead =
            self.incoming.is_none() && matches!(request, Request::SnapshotChunk(_));
        self.handle_piece(request).await.unwrap_or_else(|error| {
            let reason = error.to_string();
            if !was_sent_ahead {
                tracing::warn!(peer = %self.peer, reason, "rejected a snapshot");
            }
            Response::Failed(reason)
        })
    }

    /// Handles one piece. After an error no snapshot is being received.
    async fn handle_piece(&mut self, request: Request) -> Result<Response, BoxError> {
        let peer = self.peer;
        self.peers.check(peer, &request)?;
        match (request, self.incoming.take()) {
            (Request::SnapshotBegin(begin), before) => {
                drop(before);
                let slot = self.acquire_slot(&begin).await?;
                let chunk_count = slot.as_ref().map_or(0, |partial| partial.chunk_count);
                self.incoming = Some(IncomingSnapshot::new(begin, slot)?);
                Ok(Response::SnapshotBegun(chunk_count))
            }
            (Request::SnapshotChunk(chunk), Some(incoming)) => {
                self.incoming = Some(incoming.push(chunk).await?);
                Ok(Response::SnapshotProgress)
            }
            (Request::SnapshotEnd, Some(incoming)) => {
                let vote = self.end(incoming).await?;
                tracing::info!(%peer, "installed a snapshot");
                Ok(Response::SnapshotInstalled(vote.into_ours()))
            }
            _ => Err("the request does not belong to a started snapshot".into()),
        }
    }

    /// Acquires the slot, with the part that was already received. Fails if the sender is not the
    /// leader of this term, if there is no space, or if the slot is in use.
    async fn acquire_slot(&self, begin: &SnapshotBegin) -> Result<SlotGuard, BoxError> {
        let term = self.raft.view().term;
        if begin.vote.term < term {
            return Err(
                format!("term {term} has started: only its leader may send a snapshot").into(),
            );
        }
        if self.raft.space.is_low() {
            return Err(self.raft.space.wait_before_rejection().await.into());
        }
        let slot = self.raft.receive_slot.acquire(self.peer).await?;
        let partial = slot.as_ref();
        match partial.filter(|partial| partial.belongs_to(self.peer, begin.last_log)) {
            Some(PartialSnapshot { chunk_count, .. }) => {
                tracing::info!(peer = %self.peer, chunk_count, "continuing a snapshot");
                Ok(slot)
            }
            None => {
                self.check_free_space(begin.packets_size)?;
                self.reset_slot(slot, begin).await
            }
        }
    }

    /// Fails if there is no space for a snapshot, before it is sent.
    fn check_free_space(&self, packets_size: u64) -> Result<(), BoxError> {
        let config = self.store.config();
        // If the free space is unknown, the next write reports the problem.
        match config.disk.free_space(&dir_of(&config.path)) {
            Ok(free) if free < packets_size => Err(format!(
                "its packets need {packets_size} bytes, and only {free} bytes are free on the disk"
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Empties the slot and creates a new file in it.
    async fn reset_slot(
        &self,
        mut slot: SlotGuard,
        begin: &SnapshotBegin,
    ) -> Result<SlotGuard, BoxError> {
        let (store, peer, last_log) = (self.store.clone(), self.peer, begin.last_log);
        tracing::info!(%peer, ?last_log, "receiving a snapshot");
        let slot = blocking(move || {
            if let Some(before) = slot.take() {
                drop(before.receiver.into_inner());
            }
            let receiver = Store::receiver(store.config())?;
            *slot = Some(PartialSnapshot::new(peer, last_log, receiver));
            Ok(slot)
        });
        Ok(slot.await?)
    }

    async fn end(&self, incoming: IncomingSnapshot) -> Result<Vote, BoxError> {
        let IncomingSnapshot {
            vote,
            meta,
            mut slot,
        } = incoming;
        let partial = slot.take().ok_or("no part of the snapshot was received")?;
        let received = blocking(move || {
            let snapshot = partial.receiver.into_inner().complete()?;
            Ok(DropInBackground::new(ReceivedInSlot { snapshot, slot }))
        });
        let snapshot = Snapshot {
            meta,
            snapshot: SnapshotData::Received(Box::new(received.await?)),
        };
        let raft = &self.raft.openraft;
        let installed = raft.install_full_snapshot(vote, snapshot).await?;
        Ok(installed.vote)
    }
}

impl IncomingSnapshot {
    fn new(begin: SnapshotBegin, slot: SlotGuard) -> Result<Self, BoxError> {
        let meta = SnapshotMeta {
            last_log_id: begin.last_log.into_openraft(),
            last_membership: begin.membership.into_openraft()?,
        };
        Ok(Self {
            vote: begin.vote.into_openraft(),
            meta,
            slot,
        })
    }

    /// Adds a chunk. A wrong chunk makes the complete snapshot useless.
    async fn push(mut self, chunk: bytes::Bytes) -> Result<Self, BoxError> {
        let started_at = Instant::now();
        let pushed = blocking(move || {
            if let Some(partial) = self.slot.as_mut() {
                let pushed = partial.receiver.push(&chunk);
                partial.chunk_count += 1;
                partial.last_chunk_at = Instant::now();
                if let Err(error) = pushed {
                    let useless = self.slot.take();
                    drop(useless.map(|partial| partial.receiver.into_inner()));
                    return Err(error);
                }
            }
            Ok(self)
        });
        let pushed = pushed.await?;
        throttle(started_at).await;
        Ok(pushed)
    }
}
