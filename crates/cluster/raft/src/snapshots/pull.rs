//! Snapshots for a member whose stored packets are damaged: it asks the others one by one, before
//! it takes part in consensus, until one gives a snapshot that its own log can follow.
//!
//! Its log is whole, so its votes and its acknowledged entries are. It neither votes nor applies
//! meanwhile.

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
    links::Numbered,
    links::claims::ClaimError,
    links::connection::{CallError, in_time, unexpected},
    links::offloaded::Offloaded,
    links::peer_link::PeerLink,
    links::peers::Peers,
    snapshots::WINDOW,
};

/// How long a peer may take for one piece, or to ask for the next: it may have to make a checkpoint
/// first, or to store a piece.
const PULL_TIMEOUT: Duration = Duration::from_secs(60);

/// How long to wait when no other member could give a snapshot. They may be starting too.
const ROUND_PAUSE: Duration = Duration::from_secs(1);

/// Fetches the packets of another member as of entry `at_least` or later. Tries the others in turn
/// until one has given them.
pub(crate) async fn pull_packets(
    config: &RaftConfig,
    peers: &Peers,
    at_least: LogIndex,
) -> Result<(ReceivedSnapshot, Meta), OpenError> {
    let mut told = BTreeMap::new();
    loop {
        for (peer, address) in &peers.membership_view.members() {
            if *peer == config.node {
                continue;
            }
            let link = peers.own_link(*peer, address, StreamKind::Pull);
            let believes = |last| peers.check_offer(*peer, last);
            match pull_from(link, config, at_least, believes).await {
                Ok(pulled) => {
                    tracing::info!(%peer, applied = ?pulled.1.applied, "fetched the packets");
                    return Ok(pulled);
                }
                Err(PullError::Own(error)) => return Err(error),
                Err(PullError::Peer(error)) => {
                    let reason = chain(&*error);
                    if told.get(peer) != Some(&reason) {
                        tracing::warn!(%peer, reason, "this member cannot give its packets now");
                        told.insert(*peer, reason);
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
    at_least: LogIndex,
    believes: impl Fn(LogPosition) -> Result<(), ClaimError>,
) -> Result<(ReceivedSnapshot, Meta), PullError> {
    in_time(PULL_TIMEOUT, link.opened()).await?;
    let asked = link.call(Request::PullSnapshot(at_least));
    let offer = match in_time(PULL_TIMEOUT, asked).await? {
        Response::SnapshotOffer(offer) => offer,
        other => return Err(refused(other)),
    };
    believes(offer.last_log).map_err(|reason| PullError::Peer(reason.into()))?;
    let store = config.store();
    let mut receiver = stored(move || Ok(Offloaded::new(Store::receiver(&store)?))).await?;
    let requests = stream::repeat(Ok::<_, CallError>(Request::PullChunk));
    let mut chunks = pin!(link.pipelined(requests, WINDOW));
    while let Some(response) = in_time(PULL_TIMEOUT, chunks.try_next()).await? {
        let chunk = match response {
            Response::PulledChunk(Some(chunk)) => chunk,
            Response::PulledChunk(None) => break,
            other => return Err(refused(other)),
        };
        receiver = stored(move || receiver.push(&chunk).map(|()| receiver)).await?;
    }
    let meta = Meta {
        applied: Some(offer.last_log),
        membership: offer.membership.encode(),
        ..Meta::default()
    };
    let received = stored(move || receiver.into_inner().complete()).await?;
    let level = received.cluster().level;
    level.check(config.level_max).map_err(OpenError::from)?;
    Ok((received, meta))
}

fn refused(response: Response) -> PullError {
    PullError::Peer(unexpected(response).into())
}

/// Runs work of the own store beside the runtime's threads.
async fn stored<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, PullError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| PullError::Peer(error.into()))??)
}

/// Why packets could not be fetched.
enum PullError {
    /// This peer cannot give them now.
    Peer(BoxError),
    /// This node cannot keep them: no other peer helps.
    Own(OpenError),
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
            error => Self::Own(error.into()),
        }
    }
}

impl From<OpenError> for PullError {
    fn from(error: OpenError) -> Self {
        Self::Own(error)
    }
}

/// Answers what a damaged member asks on its stream.
pub(crate) fn offer_packets(
    state_machine: StateMachine,
    peer: NodeId,
    requests: BoxStream<'static, Numbered<Request>>,
) -> BoxStream<'static, Numbered<Response>> {
    let offering = Offering {
        state_machine,
        peer,
        chunks: None,
    };
    stream::unfold(
        (offering, requests),
        async |(mut offering, mut requests)| {
            // What is offered pins pages of the store.
            let (id, request) = timeout(PULL_TIMEOUT, requests.next()).await.ok()??;
            let response = offering.answer(request).await.unwrap_or_else(|error| {
                let (peer, reason) = (offering.peer, chain(&*error));
                tracing::debug!(%peer, reason, "could not give the packets to a damaged member");
                Response::Failed(reason)
            });
            Some(((id, response), (offering, requests)))
        },
    )
    .boxed()
}

/// The snapshot that a damaged member is being given.
struct Offering {
    state_machine: StateMachine,
    peer: NodeId,
    chunks: Option<Offloaded<SnapshotChunks>>,
}

impl Offering {
    async fn answer(&mut self, request: Request) -> Result<Response, BoxError> {
        match (request, self.chunks.take()) {
            (Request::PullSnapshot(at_least), _) => self.offer(at_least).await,
            (Request::PullChunk, Some(mut chunks)) => {
                let read = blocking(move || Ok((chunks.next_chunk()?, chunks))).await;
                let (chunk, chunks) =
                    read.inspect_err(|error| self.state_machine.on_failed_read(error))?;
                self.chunks = chunk.is_some().then_some(chunks);
                Ok(Response::PulledChunk(chunk))
            }
            _ => Err("a piece of a snapshot that was not offered, or no piece of one".into()),
        }
    }

    /// Offers the last checkpoint, or a new one if that is too old.
    async fn offer(&mut self, at_least: LogIndex) -> Result<Response, BoxError> {
        let reaches = |meta: &Meta| meta.applied.filter(|applied| applied.index >= at_least);
        if reaches(&self.state_machine.meta()).is_none() {
            return Err(format!("it has not applied entry {at_least} yet").into());
        }
        let mut snapshot = self.state_machine.snapshot()?;
        if reaches(snapshot.meta()).is_none() {
            self.state_machine
                .checkpoint(CheckpointScope::Changes, IoSpeed::Fast)
                .await?;
            snapshot = self.state_machine.snapshot()?;
        }
        let meta = snapshot.meta();
        let last_log = reaches(meta).ok_or("its checkpoint is older than what it has applied")?;
        tracing::info!(peer = %self.peer, applied = ?last_log, "giving the packets to a damaged member");
        let membership = applied_membership(meta)?;
        self.chunks = Some(Offloaded::new(snapshot.chunks()?));
        Ok(Response::SnapshotOffer(SnapshotOffer {
            last_log,
            membership,
        }))
    }
}
