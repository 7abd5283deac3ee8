//! Sends a snapshot to a peer.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::{TryStreamExt, stream};
use openraft::{
    OptionalSend,
    errors::{NetworkError, ReplicationClosed, StreamingError, Unreachable},
    network::{NetSnapshot, RPCOption},
    raft::SnapshotResponse,
};
use quorate_peer::{
    StreamKind,
    message::{self, Request, Response, SnapshotBegin},
};
use quorate_state::LogIndex;
use quorate_store::{SnapshotChunks, StoreError};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    network::Network,
    snapshot::{PIECE_TIMEOUT, Snapshot, SnapshotData, throttle},
    types::{TypeConfig, Vote},
};
use crate::{
    links::claims::ClaimError,
    links::connection::{CallError, in_time, unexpected},
    links::drop_in_background::DropInBackground,
    links::peer_link::PeerLink,
    snapshots::WINDOW,
    snapshots::transfers::{SharedSnapshot, SnapshotTransfer},
};

/// The first pause after a snapshot was rejected: a peer whose disk is too small rejects it after
/// most of the work is done.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause. A peer whose disk has space again waits no longer than that.
const PAUSE_MAX: Duration = Duration::from_secs(30);

impl NetSnapshot<TypeConfig> for Network {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let mut cancel = pin!(cancel);
        let sent = tokio::select! {
            closed = &mut cancel => return Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote.into_ours(), snapshot) => sent,
        };
        let (error, pause) = match sent {
            Ok(vote) => {
                self.failure_count = 0;
                return Ok(SnapshotResponse::new(vote.into_openraft()));
            }
            // The peer is dialed again soon, and the state of its links is logged elsewhere.
            Err(error @ SendError::Unreachable(_)) => (error, Duration::ZERO),
            Err(error) => {
                self.failure_count += 1;
                let pause = pause(self.failure_count);
                tracing::warn!(peer = %self.peer, %error, ?pause, "could not send a snapshot");
                (error, pause)
            }
        };
        tokio::select! {
            closed = &mut cancel => Err(StreamingError::Closed(closed)),
            () = sleep(pause) => Err(error.into()),
        }
    }
}

/// How long to wait after this many failures in a row.
fn pause(failure_count: u32) -> Duration {
    let doublings = failure_count.saturating_sub(1).min(u32::BITS - 1);
    PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

impl Network {
    /// Sends a snapshot. Returns the vote of the peer once it has installed it.
    async fn send_snapshot(
        &self,
        vote: message::Vote,
        snapshot: Snapshot,
    ) -> Result<message::Vote, SendError> {
        let SnapshotData::Local(local, damage) = snapshot.snapshot else {
            return Err(SendError::NotLocal);
        };
        let last_log = snapshot.meta.last_log_id.into_ours();
        let begin = SnapshotBegin {
            vote,
            last_log,
            membership: snapshot.meta.last_membership.into_ours(),
            packets_size: local.meta().packets.usage.size,
        };
        let address = &self.address;
        let link = self
            .peers
            .new_link(self.peer, address, StreamKind::Snapshot);
        in_time(PIECE_TIMEOUT, link.opened()).await?;
        let match_index = last_log.map_or(LogIndex(0), |last| last.index);
        let (transfer, ended) = self.transfers.begin(self.peer, local.clone(), match_index);
        let sent = tokio::select! {
            sent = self.send_over(link, begin, &local, &transfer) => sent,
            _ = ended => Err(SendError::TransferEnded),
        };
        match &sent {
            Ok(_) => transfer.complete(),
            // The peer may continue with the rest later.
            Err(SendError::Unreachable(_)) => {}
            Err(SendError::Store(error)) => {
                self.transfers.end_all_of(&local);
                notify_damage(error, &damage);
            }
            Err(_) => transfer.abandon(),
        }
        sent
    }

    /// Sends the chunks that the peer lacks, up to a window ahead of what it has stored.
    async fn send_over(
        &self,
        link: Arc<PeerLink>,
        begin: SnapshotBegin,
        local: &SharedSnapshot,
        transfer: &SnapshotTransfer,
    ) -> Result<message::Vote, SendError> {
        let last_log = begin.last_log;
        let begin = link.call(Request::SnapshotBegin(begin));
        let response = in_time(PIECE_TIMEOUT, begin).await?;
        let Response::SnapshotBegun(chunk_count) = response else {
            return Err(SendError::Rejected(unexpected(response)));
        };
        tracing::info!(peer = %self.peer, ?last_log, chunk_count, "sending a snapshot");
        let mut chunks = DropInBackground::new(local.chunks()?);
        for _ in 0..chunk_count {
            // Earlier chunks must be read too: each chunk has the digest of all before it.
            chunks = next_chunk(chunks).await?.1;
            transfer.on_progress();
        }
        let pieces = stream::try_unfold(Some(chunks), async |chunks| {
            let Some(chunks) = chunks else {
                return Ok::<_, SendError>(None);
            };
            Ok(Some(match next_chunk(chunks).await? {
                (Some(chunk), rest) => (Request::SnapshotChunk(chunk), Some(rest)),
                (None, _) => (Request::SnapshotEnd, None),
            }))
        });
        let mut responses = pin!(link.pipelined(pieces, WINDOW));
        while let Some((_, response)) = in_time(PIECE_TIMEOUT, responses.try_next()).await? {
            match response {
                Response::SnapshotProgress => transfer.on_progress(),
                Response::SnapshotInstalled(vote) => {
                    return Ok(self.peers.check_vote(self.peer, vote)?);
                }
                other => return Err(SendError::Rejected(unexpected(other))),
            }
        }
        Err(SendError::NotInstalled)
    }
}

async fn next_chunk(
    mut chunks: DropInBackground<SnapshotChunks>,
) -> Result<(Option<bytes::Bytes>, DropInBackground<SnapshotChunks>), SendError> {
    let started_at = Instant::now();
    let read = tokio::task::spawn_blocking(move || Ok((chunks.next_chunk()?, chunks)));
    let read = read.await.map_err(|_| SendError::Panicked)?;
    throttle(started_at).await;
    read
}

/// Notifies of damage. A read that stopped for lack of space proves nothing about the file on disk.
fn notify_damage(error: &StoreError, damage: &Arc<Notify>) {
    match error {
        StoreError::NoSpace { .. } => {}
        _ => damage.notify_one(),
    }
}

/// Why a snapshot was not sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the peer cannot be reached: {0}")]
    Unreachable(#[from] CallError),
    #[error("{0}")]
    Rejected(String),
    #[error("the peer received all of it and did not install it")]
    NotInstalled,
    #[error("the answer of the peer was rejected: {0}")]
    RejectedClaim(#[from] ClaimError),
    #[error("the snapshot cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("it took too long, or the log or the disk became too full")]
    TransferEnded,
    #[error("reading the snapshot panicked")]
    Panicked,
    #[error("a received snapshot can only be installed, not sent")]
    NotLocal,
}

impl From<SendError> for StreamingError<TypeConfig> {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unreachable(error) => Self::Unreachable(Unreachable::new(&error)),
            error => Self::Network(NetworkError::new(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_is_rejected_repeatedly_is_sent_less_and_less_often() {
        let pauses: Vec<_> = (1..=7).map(|count| pause(count).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
