//! Snapshots for a member whose stored packets are damaged. Before it takes part in consensus, it
//! asks the others one by one until one sends a snapshot that fits its own log.
//!
//! Its log is undamaged, so its votes and its acknowledged entries are too. It neither votes nor
//! applies entries meanwhile.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use quorate_peer::{
    NodeId, StreamKind, chain,
    message::{Request, Response, SnapshotOffer},
};
use quorate_state::{LogIndex, LogPosition};
use quorate_store::{
    CheckpointScope, IoSpeed, Meta, ReceivedSnapshot, SnapshotChunks, Store, StoreError,
};
use tokio::time::{sleep, timeout};

use crate::{
    OpenError, RaftConfig,
    adapters::{StateMachine, applied_membership, blocking},
    error::BoxError,
    links::WithRequestId,
    links::claims::ClaimError,
    links::connection::{CallError, in_time, unexpected},
    links::drop_in_background::DropInBackground,
    links::peer_link::PeerLink,
    links::peers::Peers,
    snapshots::WINDOW,
};

/// How long a peer may take for one piece, or to request the next: it may have to write a
/// checkpoint first, or to store a piece.
const PULL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait before the next round when no other member could send a snapshot. They may be
/// starting too.
const ROUND_PAUSE: Duration = Duration::from_secs(1);

/// Fetches the packets of another member as of entry `index_min` or later. Asks the others in turn
/// until one has sent them. Fails only if this node cannot store them.
pub(crate) async fn pull_packets(
    config: &RaftConfig,
    peers: &Peers,
    index_min: LogIndex,
) -> Result<(ReceivedSnapshot, Meta), OpenError> {
    let mut logged = BTreeMap::new();
    loop {
        for (peer, address) in &peers.membership_view.members() {
            if *peer == config.node {
                continue;
            }
            let link = peers.new_link(*peer, address, StreamKind::Pull);
            let check_offer = |last| peers.check_offer(*peer, last);
            match pull_from(link, config, index_min, check_offer).await {
                Ok(pulled) => {
                    tracing::info!(%peer, applied = ?pulled.1.applied, "fetched the packets");
                    return Ok(pulled);
                }
                Err(PullError::Local(error)) => return Err(error),
                Err(PullError::Peer(error)) => {
                    let reason = chain(&*error);
                    if logged.get(peer) != Some(&reason) {
                        tracing::warn!(%peer, reason, "this member cannot send its packets now");
                        logged.insert(*peer, reason);
                    }
                }
            }
        }
        sleep(ROUND_PAUSE).await;
    }
}

async fn pull_from(
    link: Arc<PeerLink>,
    config: &RaftConfig,
    index_min: LogIndex,
    check_offer: impl Fn(LogPosition) -> Result<(), ClaimError>,
) -> Result<(ReceivedSnapshot, Meta), PullError> {
    in_time(PULL_TIMEOUT, link.opened()).await?;
    let request = link.call(Request::PullSnapshot(index_min));
    let offer = match in_time(PULL_TIMEOUT, request).await? {
        Response::SnapshotOffer(offer) => offer,
        other => return Err(unexpected_response(other)),
    };
    check_offer(offer.last_log).map_err(|reason| PullError::Peer(reason.into()))?;
    let store = config.store();
    let mut receiver =
        run_store_work(move || Ok(DropInBackground::new(Store::receiver(&store)?))).await?;
    let requests = stream::repeat(Ok::<_, CallError>(Request::PullChunk));
    let mut chunks = pin!(link.pipelined(requests, WINDOW));
    while let Some((_, response)) = in_time(PULL_TIMEOUT, chunks.try_next()).await? {
        let chunk = match response {
            Response::PulledChunk(Some(chunk)) => chunk,
            Response::PulledChunk(None) => break,
            other => return Err(unexpected_response(other)),
        };
        receiver = run_store_work(move || receiver.push(&chunk).map(|()| receiver)).await?;
    }
    let meta = Meta {
        applied: Some(offer.last_log),
        membership: offer.membership.encode(),
        ..Meta::default()
    };
    let received = run_store_work(move || receiver.into_inner().complete()).await?;
    let level = received.cluster().level;
    level.check(config.level_max).map_err(OpenError::from)?;
    Ok((received, meta))
}

fn unexpected_response(response: Response) -> PullError {
    PullError::Peer(unexpected(response).into())
}

/// Runs slow work of this node's store outside of the runtime's threads.
async fn run_store_work<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, PullError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| PullError::Peer(error.into()))??)
}

/// Why packets could not be fetched.
enum PullError {
    /// This peer cannot send them now.
    Peer(BoxError),
    /// This node cannot store them: asking another peer does not help.
    Local(OpenError),
}

impl From<CallError> for PullError {
    fn from(error: CallError) -> Self {
        Self::Peer(error.into())
    }
}

impl From<StoreError> for PullError {
    fn from(error: StoreError) -> Self {
        match error {
            error @ StoreError::Snapshot(_) => Self::Peer(error.into()),
            error => Self::Local(error.into()),
        }
    }
}

impl From<OpenError> for PullError {
    fn from(error: OpenError) -> Self {
        Self::Local(error)
    }
}

/// Answers the requests of a damaged member on its pull stream.
pub(crate) fn offer_packets(
    state_machine: StateMachine,
    peer: NodeId,
    requests: BoxStream<'static, WithRequestId<Request>>,
) -> BoxStream<'static, WithRequestId<Response>> {
    let session = PullSession {
        state_machine,
        peer,
        chunks: None,
    };
    stream::unfold((session, requests), async |(mut session, mut requests)| {
        // An open offer pins pages of the store, so it ends with a timeout.
        let (id, request) = timeout(PULL_TIMEOUT, requests.next()).await.ok()??;
        let response = session.answer(request).await.unwrap_or_else(|error| {
            let (peer, reason) = (session.peer, chain(&*error));
            tracing::debug!(%peer, reason, "could not send the packets to a damaged member");
            Response::Failed(reason)
        });
        Some(((id, response), (session, requests)))
    })
    .boxed()
}

/// The snapshot that is sent to a damaged member.
struct PullSession {
    state_machine: StateMachine,
    peer: NodeId,
    chunks: Option<DropInBackground<SnapshotChunks>>,
}

impl PullSession {
    async fn answer(&mut self, request: Request) -> Result<Response, BoxError> {
        match (request, self.chunks.take()) {
            (Request::PullSnapshot(index_min), _) => self.offer(index_min).await,
            (Request::PullChunk, Some(mut chunks)) => {
                let read = blocking(move || Ok((chunks.next_chunk()?, chunks))).await;
                let (chunk, chunks) =
                    read.inspect_err(|error| self.state_machine.on_failed_read(error))?;
                self.chunks = chunk.is_some().then_some(chunks);
                Ok(Response::PulledChunk(chunk))
            }
            _ => Err("the request does not belong to an offered snapshot".into()),
        }
    }

    /// Offers the last checkpoint, or a new one if the last is too old. Fails if this node has not
    /// applied `index_min` yet.
    async fn offer(&mut self, index_min: LogIndex) -> Result<Response, BoxError> {
        let recent_enough = |meta: &Meta| meta.applied.filter(|applied| applied.index >= index_min);
        if recent_enough(&self.state_machine.meta()).is_none() {
            return Err(format!("it has not applied entry {index_min} yet").into());
        }
        let mut snapshot = self.state_machine.snapshot()?;
        if recent_enough(snapshot.meta()).is_none() {
            self.state_machine
                .checkpoint(CheckpointScope::Changes, IoSpeed::Fast)
                .await?;
            snapshot = self.state_machine.snapshot()?;
        }
        let meta = snapshot.meta();
        let last_log =
            recent_enough(meta).ok_or("its checkpoint is older than what it has applied")?;
        tracing::info!(peer = %self.peer, applied = ?last_log, "sending the packets to a damaged member");
        let membership = applied_membership(meta)?;
        self.chunks = Some(DropInBackground::new(snapshot.chunks()?));
        Ok(Response::SnapshotOffer(SnapshotOffer {
            last_log,
            membership,
        }))
    }
}
