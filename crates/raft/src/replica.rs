//! A node as fronts see it.

use std::{cmp::Ordering, time::Duration};

use futures_util::future::BoxFuture;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{
    LinearizeError, Linearizer, Observer, PutError, PutOutcome, ReadError, Reader, StateDigest,
    Status, StoredPacket, Writer,
};
use quorate_rpc::{
    chain,
    message::{Request, Response},
};
use quorate_state::{LogIndex, UnixMillis};
use quorate_store::{Store, StoreError};
use tokio::time::timeout;

use crate::{Node, clock::now};

/// The part of the retention after which a packet that is already stored goes through the log once
/// more, so that the cluster learns that its publisher still lives.
const RENEWALS_PER_RETENTION: u32 = 8;

/// How long a read may wait until it is known to be linearizable.
const LINEARIZE_TIMEOUT: Duration = Duration::from_secs(5);

impl Writer for Node {
    /// A packet that the local replica knows to be older is superseded. Identical bytes that it
    /// stores are acknowledged by its own word, even if another node accepted a newer packet a moment
    /// ago, which this one has not applied yet: that is what keeps refreshes out of the log.
    fn put(
        &self,
        packet: SignedPacket,
        time_left: Duration,
    ) -> BoxFuture<'_, Result<PutOutcome, PutError>> {
        Box::pin(async move {
            if self.is_closing() {
                return Err(PutError::ShuttingDown);
            }
            match self.known_outcome(&packet) {
                Some(outcome) => Ok(outcome),
                None => self.puts.put(packet, time_left).await,
            }
        })
    }
}

impl Reader for Node {
    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, ReadError> {
        self.store
            .stored_packet(key)
            .map_err(|error| ReadError(chain(&error)))
    }
}

impl Linearizer for Node {
    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>> {
        Box::pin(async {
            timeout(LINEARIZE_TIMEOUT, self.linearized())
                .await
                .map_err(|_| LinearizeError)
        })
    }
}

impl Observer for Node {
    fn status(&self) -> Status {
        let view = self.write_path.raft.view();
        let leader = self.write_path.leader.borrow().node.clone();
        let meta = self.write_path.applied.borrow().clone();
        Status {
            node: self.config.node.to_string(),
            role: view.role,
            term: view.term,
            leader: leader.map(|(id, _)| id.to_string()),
            last_log_index: view.last_log,
            committed_index: view.committed,
            applied_index: meta.applied_index(),
            checkpoint_index: view.checkpoint,
            purged_index: view.purged,
            replication_lag: view.replication_lag(),
            voters: view.voters.iter().map(ToString::to_string).collect(),
            packet_count: meta.packet_count,
            store_size: self.store.size(),
            not_ready: self.not_ready(),
        }
    }

    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>> {
        let store = self.store.clone();
        Box::pin(async move {
            let digest = tokio::task::spawn_blocking(move || digest(&store)).await;
            let digest = digest.map_err(|error| ReadError(error.to_string()))?;
            digest.map_err(|error| ReadError(chain(&error)))
        })
    }
}

impl Node {
    /// The outcome of a PUT that the local replica decides: the packet is stored already, or a
    /// newer one is.
    fn known_outcome(&self, packet: &SignedPacket) -> Option<PutOutcome> {
        let stored = self.store.stored_packet(packet.key()).ok()??;
        match packet.recency(&stored.packet) {
            Ordering::Less => Some(PutOutcome::Superseded),
            Ordering::Equal if self.is_fresh(stored.received) => Some(PutOutcome::Unchanged),
            _ => None,
        }
    }

    fn is_fresh(&self, received: UnixMillis) -> bool {
        now().since(received) < self.config.retention() / RENEWALS_PER_RETENTION
    }

    async fn read_index(&self) -> Option<LogIndex> {
        let leader = self.write_path.leader.borrow().node.clone();
        let (leader, address) = leader?;
        if leader == self.config.node {
            return self.write_path.raft.read_index().await;
        }
        let forwarder = &self.write_path.forwarder;
        match forwarder.call(leader, &address, Request::ReadIndex).await {
            Ok(Response::ReadIndex(index)) => index,
            _ => None,
        }
    }

    async fn linearized(&self) {
        let mut leader = self.write_path.leader.clone();
        let index = loop {
            if let Some(index) = self.read_index().await {
                break index;
            }
            let _ = timeout(self.config.heartbeat(), leader.changed()).await;
        };
        let mut applied = self.write_path.applied.clone();
        let _ = applied.wait_for(|meta| meta.applied_index() >= index).await;
    }
}

fn digest(store: &Store) -> Result<StateDigest, StoreError> {
    let snapshot = store.snapshot()?;
    let sha256 = snapshot.digest()?;
    let meta = snapshot.meta();
    Ok(StateDigest {
        applied_index: meta.applied_index(),
        packet_count: meta.packet_count,
        sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
