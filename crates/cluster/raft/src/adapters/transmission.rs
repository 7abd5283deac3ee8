//! Sending a snapshot to a peer.

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
    snapshot::{PIECE_TIMEOUT, Snapshot, SnapshotData, rest},
    types::{TypeConfig, Vote},
};
use crate::{
    links::claims::ClaimError,
    links::connection::{CallError, in_time, unexpected},
    links::offloaded::Offloaded,
    links::peer_link::PeerLink,
    snapshots::WINDOW,
    snapshots::transfers::{SharedSnapshot, Transfer},
};

/// How long a snapshot that was refused is not sent again, at first: a peer whose disk is too small
/// for it refuses it after most of the work is done.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// How long at the most. A peer whose disk has space again waits no longer than that.
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
            // It is dialed again soon, and what becomes of its links is told elsewhere.
            Err(error @ SendError::Unreachable(_)) => (error, Duration::ZERO),
            Err(error) => {
                self.failure_count += 1;
                let pause = pause(self.failure_count);
                tracing::warn!(peer = %self.peer, %error, ?pause, "a snapshot was not sent");
                (error, pause)
            }
        };
        tokio::select! {
            closed = &mut cancel => Err(StreamingError::Closed(closed)),
            () = sleep(pause) => Err(error.into()),
        }
    }
}

/// How long to wait after so many failures in a row.
fn pause(failure_count: u32) -> Duration {
    let doublings = failure_count.saturating_sub(1).min(u32::BITS - 1);
    PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

impl Network {
    /// Sends a snapshot and returns the vote of the peer that has installed it.
    async fn send_snapshot(
        &self,
        vote: message::Vote,
        snapshot: Snapshot,
    ) -> Result<message::Vote, SendError> {
        let SnapshotData::Held(held, damage) = snapshot.snapshot else {
            return Err(SendError::Received);
        };
        let last_log = snapshot.meta.last_log_id.into_ours();
        let begin = SnapshotBegin {
            vote,
            last_log,
            membership: snapshot.meta.last_membership.into_ours(),
            packets_size: held.meta().packets.usage.size,
        };
        let address = &self.address;
        let link = self
            .peers
            .own_link(self.peer, address, StreamKind::Snapshot);
        in_time(PIECE_TIMEOUT, link.opened()).await?;
        let floor = last_log.map_or(LogIndex(0), |last| last.index);
        let (transfer, lapsed) = self.transfers.begin(self.peer, held.clone(), floor);
        let sent = tokio::select! {
            sent = self.send_over(link, begin, &held, &transfer) => sent,
            _ = lapsed => Err(SendError::Lapsed),
        };
        match &sent {
            Ok(_) => transfer.complete(),
            // It may come back for the rest.
            Err(SendError::Unreachable(_)) => {}
            Err(SendError::Store(error)) => {
                self.transfers.end_all_of(&held);
                tell_damage(error, &damage);
            }
            Err(_) => transfer.give_up(),
        }
        sent
    }

    /// Sends what the peer lacks of it, a window of chunks ahead of what it has taken.
    async fn send_over(
        &self,
        link: Arc<PeerLink>,
        begin: SnapshotBegin,
        held: &SharedSnapshot,
        transfer: &Transfer,
    ) -> Result<message::Vote, SendError> {
        let last_log = begin.last_log;
        let begin = link.call(Request::SnapshotBegin(begin));
        let begun = in_time(PIECE_TIMEOUT, begin).await?;
        let Response::SnapshotBegun(chunk_count) = begun else {
            return Err(SendError::Refused(unexpected(begun)));
        };
        tracing::info!(peer = %self.peer, ?last_log, chunk_count, "sending a snapshot");
        let mut chunks = Offloaded::new(held.chunks()?);
        for _ in 0..chunk_count {
            // Each chunk holds the digest of all before it.
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
        while let Some(response) = in_time(PIECE_TIMEOUT, responses.try_next()).await? {
            match response {
                Response::SnapshotProgress => transfer.on_progress(),
                Response::SnapshotInstalled(vote) => {
                    return Ok(self.peers.heard(self.peer, vote)?);
                }
                other => return Err(SendError::Refused(unexpected(other))),
            }
        }
        Err(SendError::NotInstalled)
    }
}

async fn next_chunk(
    mut chunks: Offloaded<SnapshotChunks>,
) -> Result<(Option<bytes::Bytes>, Offloaded<SnapshotChunks>), SendError> {
    let begun = Instant::now();
    let read = tokio::task::spawn_blocking(move || Ok((chunks.next_chunk()?, chunks)));
    let read = read.await.map_err(|_| SendError::Panicked)?;
    rest(begun).await;
    read
}

/// One that was cut short for lack of space says nothing of what is on disk.
fn tell_damage(error: &StoreError, damage: &Arc<Notify>) {
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
    Refused(String),
    #[error("the peer has taken all of it and not installed it")]
    NotInstalled,
    #[error("the peer has answered so that it cannot be believed: {0}")]
    Disbelieved(#[from] ClaimError),
    #[error("it cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("it took too long: the log, the store or the disk would have grown too large")]
    Lapsed,
    #[error("reading it panicked")]
    Panicked,
    #[error("a snapshot that was received is installed, never sent on")]
    Received,
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
    fn what_is_refused_again_and_again_is_sent_ever_less_often() {
        let pauses: Vec<_> = (1..=7).map(|count| pause(count).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
