//! PUTs on their way into the log: batched with what arrives beside them, sent to the leader, tried
//! again until the outcome is known or the deadline has passed.
//!
//! ```text
//! put ──────── queue ── batch ──┬─ this node leads ── one entry of the log ── applied ── answers
//! forwarded ──┘                 └─ another leads ──── forwarded to it         └─ (here)
//! ```
//!
//! One task of the node, the [`batcher`], owns every packet from the queue to its answer, and so
//! knows of each whether it can have entered the log. At the leader it puts what followers forward
//! into the same entries as what arrives there, so that batches grow with the load on all nodes.

mod batch;
mod batcher;
mod linearized;
mod queue;
pub(crate) mod read_index;
pub(crate) mod write_path;

use std::sync::Arc;

use quorate_packet::SignedPacket;
use quorate_peer::message::Proposed;
use quorate_replica::{PutError, PutOutcome};
use quorate_state::{Conditions, EncodedPackets};
use tokio::{sync::oneshot, time::Instant};

use self::{
    batch::{PendingProposal, Waiting},
    batcher::Batcher,
    queue::Queue,
};
use crate::writes::write_path::WritePath;

/// Takes packets and brings them into the log.
pub(crate) struct WriteQueue {
    queue: Arc<Queue>,
}

impl WriteQueue {
    /// Starts the task that forms batches. It ends when this is dropped.
    pub(crate) fn spawn(path: WritePath) -> Self {
        let queue = Arc::<Queue>::default();
        tokio::spawn(Batcher::new(path, queue.clone()).run());
        Self { queue }
    }

    /// Brings a packet into the log before the deadline, to be stored there on `conditions`.
    pub(crate) async fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
        deadline: Instant,
    ) -> Result<PutOutcome, PutError> {
        let (reply, outcome) = oneshot::channel();
        let waiting = Waiting::new(packet, conditions, deadline, reply);
        self.queue.push(PendingProposal::Own(waiting));
        // The batcher answers at the deadline at the latest. One that has ended says nothing.
        outcome.await.unwrap_or(Err(PutError::Unknown))
    }

    /// Brings packets into the log that another node forwards, if this one leads.
    pub(crate) async fn propose(&self, packets: EncodedPackets) -> Proposed {
        let (reply, proposed) = oneshot::channel();
        self.queue
            .push(PendingProposal::Forwarded { packets, reply });
        proposed.await.unwrap_or(Proposed::Unknown)
    }

    /// Answers all that waits and takes nothing more.
    pub(crate) fn close(&self) {
        self.queue.close();
    }
}

impl Drop for WriteQueue {
    fn drop(&mut self) {
        self.close();
    }
}
