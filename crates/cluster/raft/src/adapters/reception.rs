//! Receiving a snapshot from a peer.

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
    snapshot::{PIECE_TIMEOUT, Received, Snapshot, SnapshotData, rest},
    state_machine::blocking,
    types::{SnapshotMeta, Vote},
};
use crate::{
    error::BoxError,
    links::Numbered,
    links::offloaded::Offloaded,
    links::peers::Peers,
    snapshots::incoming::{Partial, Slot},
};

/// What a peer sends on its snapshot stream.
struct Reception {
    raft: Raft,
    store: Arc<Store>,
    peers: Arc<Peers>,
    peer: NodeId,
    incoming: Option<Incoming>,
}

/// A snapshot that is being received. Dropped, it leaves what is there of it in its slot.
struct Incoming {
    vote: Vote,
    meta: SnapshotMeta,
    slot: Slot,
}

impl Raft {
    /// Receives snapshots from `peer`, one after the other, in files of `store`, and installs them.
    /// Pieces are taken one by one: what is sent ahead waits on the link.
    pub(crate) fn receive_snapshots(
        &self,
        store: Arc<Store>,
        peers: Arc<Peers>,
        peer: NodeId,
        requests: BoxStream<'static, Numbered<Request>>,
    ) -> BoxStream<'static, Numbered<Response>> {
        let reception = Reception {
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

impl Reception {
    /// The next request. A sender that has begun a snapshot and stops sending loses its link, and
    /// with it the place that others wait for; so does one that comes back over another link.
    async fn next_piece(
        &self,
        requests: &mut BoxStream<'static, Numbered<Request>>,
    ) -> Option<Numbered<Request>> {
        if self.incoming.is_none() {
            return requests.next().await;
        }
        tokio::select! {
            request = timeout(PIECE_TIMEOUT, requests.next()) => request.ok()?,
            () = self.raft.incoming.claimed(self.peer) => None,
        }
    }

    async fn answer(&mut self, request: Request) -> Response {
        // The pieces that were sent ahead of a refusal are refused without a word.
        let is_sent_ahead = self.incoming.is_none() && matches!(request, Request::SnapshotChunk(_));
        self.take_piece(request).await.unwrap_or_else(|error| {
            let reason = error.to_string();
            if !is_sent_ahead {
                tracing::warn!(peer = %self.peer, reason, "refused a snapshot");
            }
            Response::Failed(reason)
        })
    }

    /// Takes one piece. After an error nothing is being received.
    async fn take_piece(&mut self, request: Request) -> Result<Response, BoxError> {
        let peer = self.peer;
        self.peers.check(peer, &request)?;
        match (request, self.incoming.take()) {
            (Request::SnapshotBegin(begin), before) => {
                drop(before);
                let slot = self.slot_for(&begin).await?;
                let chunk_count = slot.as_ref().map_or(0, |partial| partial.chunk_count);
                self.incoming = Some(Incoming::new(begin, slot)?);
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
            _ => Err("a piece of a snapshot that was not begun, or no piece of one".into()),
        }
    }

    /// The place to receive a snapshot in, with what is there already of it, if there is space for one.
    async fn slot_for(&self, begin: &SnapshotBegin) -> Result<Slot, BoxError> {
        let term = self.raft.view().term;
        if begin.vote.term < term {
            return Err(format!("term {term} has begun, whose leader is to send one").into());
        }
        if self.raft.space.is_low() {
            return Err(self.raft.space.pause().await.into());
        }
        let slot = self.raft.incoming.slot(self.peer).await?;
        let partial = slot.as_ref();
        match partial.filter(|partial| partial.is_of(self.peer, begin.last_log)) {
            Some(Partial { chunk_count, .. }) => {
                tracing::info!(peer = %self.peer, chunk_count, "going on with a snapshot");
                Ok(slot)
            }
            None => {
                self.check_room(begin.packets_size)?;
                self.anew(slot, begin).await
            }
        }
    }

    /// Refuses a snapshot that has no room before it is sent.
    fn check_room(&self, packets_size: u64) -> Result<(), BoxError> {
        let config = self.store.config();
        // What cannot be told is told by a write.
        match config.disk.free_space(&dir_of(&config.path)) {
            Ok(free) if free < packets_size => Err(format!(
                "its packets take {packets_size} bytes, and {free} are free on the disk"
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// The place, with an empty file in it.
    async fn anew(&self, mut slot: Slot, begin: &SnapshotBegin) -> Result<Slot, BoxError> {
        let (store, peer, last_log) = (self.store.clone(), self.peer, begin.last_log);
        tracing::info!(%peer, ?last_log, "receiving a snapshot");
        let slot = blocking(move || {
            if let Some(before) = slot.take() {
                drop(before.receiver.into_inner());
            }
            let receiver = Store::receiver(store.config())?;
            *slot = Some(Partial::new(peer, last_log, receiver));
            Ok(slot)
        });
        Ok(slot.await?)
    }

    async fn end(&self, incoming: Incoming) -> Result<Vote, BoxError> {
        let Incoming {
            vote,
            meta,
            mut slot,
        } = incoming;
        let partial = slot.take().ok_or("nothing of it is there")?;
        let received = blocking(move || {
            let snapshot = partial.receiver.into_inner().complete()?;
            Ok(Offloaded::new(Received { snapshot, slot }))
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

impl Incoming {
    fn new(begin: SnapshotBegin, slot: Slot) -> Result<Self, BoxError> {
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

    /// Takes a chunk. One that is wrong makes all of it useless.
    async fn push(mut self, chunk: bytes::Bytes) -> Result<Self, BoxError> {
        let begun = Instant::now();
        let pushed = blocking(move || {
            if let Some(partial) = self.slot.as_mut() {
                let pushed = partial.receiver.push(&chunk);
                partial.chunk_count += 1;
                partial.changed = Instant::now();
                if let Err(error) = pushed {
                    let spoiled = self.slot.take();
                    drop(spoiled.map(|partial| partial.receiver.into_inner()));
                    return Err(error);
                }
            }
            Ok(self)
        });
        let pushed = pushed.await?;
        rest(begun).await;
        Ok(pushed)
    }
}
