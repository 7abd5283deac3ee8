//! PUTs on their way into the log: batched with others that arrive at the same time, sent to the
//! leader, and retried until the outcome is known or the deadline has passed.
//!
//! ```text
//! put ──────── queue ── batch ──┬─ this node leads ── one entry of the log ── applied ── answers
//! forwarded ──┘                 └─ another leads ──── forwarded to it         └─ (here)
//! ```
//!
//! One task of the node, the [`batcher`], owns every packet from the queue until its answer. So it
//! knows for each packet whether it can have entered the log. At the leader it puts forwarded
//! packets into the same entries as its own, so that batches grow with the load on all nodes.

mod batch;
mod batcher;
mod linearized;
mod queue;
pub(crate) mod read_index;
mod stages;
pub(crate) mod write_path;

use std::{sync::Arc, time::Duration};

use quorate_packet::SignedPacket;
use quorate_peer::message::Proposed;
use quorate_replica::{PutError, PutOutcome};
use quorate_state::{Conditions, EncodedPackets};
use tokio::{sync::oneshot, time::Instant};

use self::{
    batch::{PendingProposal, PendingPut},
    batcher::Batcher,
    queue::ProposalQueue,
    stages::SlowPuts,
};
use crate::writes::write_path::WritePath;

/// Accepts packets and gets them into the log.
pub(crate) struct WriteQueue {
    queue: Arc<ProposalQueue>,
    slow_puts: SlowPuts,
}

impl WriteQueue {
    /// Starts the batcher. It ends when this is dropped. PUTs that take longer than `slow` are logged.
    pub(crate) fn spawn(path: WritePath, slow: Duration) -> Self {
        let queue = Arc::<ProposalQueue>::default();
        let slow_puts = SlowPuts::new(slow, path.metrics.clone());
        tokio::spawn(Batcher::new(path, queue.clone()).run());
        Self { queue, slow_puts }
    }

    /// Gets a packet into the log before the deadline, to be stored there on `conditions`. Fails if
    /// it was not stored, or if that is unknown.
    pub(crate) async fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
        deadline: Instant,
    ) -> Result<PutOutcome, PutError> {
        let (reply, answer) = oneshot::channel();
        let put = PendingPut::new(packet, conditions, deadline, reply);
        self.queue.push(PendingProposal::Own(put));
        // The batcher answers at the deadline at the latest. If it has ended, the outcome is
        // unknown.
        let Ok((outcome, times)) = answer.await else {
            return Err(PutError::Unknown);
        };
        self.slow_puts.answered(&times, &outcome);
        outcome
    }

    /// Gets packets that another node forwards into the log, if this node leads.
    pub(crate) async fn propose(&self, packets: EncodedPackets) -> Proposed {
        let (reply, proposed) = oneshot::channel();
        self.queue
            .push(PendingProposal::Forwarded { packets, reply });
        proposed.await.unwrap_or(Proposed::Unknown)
    }

    /// Answers all that waits and rejects everything from now on.
    pub(crate) fn close(&self) {
        self.queue.close();
    }
}

impl Drop for WriteQueue {
    fn drop(&mut self) {
        self.close();
    }
}
