//! PUTs on their way into the log: batched with what arrives beside them, sent to the leader, tried
//! again until the outcome is known or the deadline has passed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use quorate_packet::SignedPacket;
use quorate_replica::{PutError, PutOutcome};
use quorate_rpc::{
    NodeId,
    message::{Proposed, Request, Response},
};
use quorate_state::{BATCH_COUNT_MAX, BATCH_SIZE_MAX, Command, LogIndex, PutBatch, UnixMillis};
use quorate_store::Meta;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Metrics,
    adapters::Raft,
    forward::{ForwardError, Forwarder},
    leadership::Leader,
    proposer::propose,
};

/// The most packets that wait for a batch. At 5,000 PUT/s this is three seconds of work: whoever
/// comes later would not be answered before it has given up.
const QUEUE_COUNT_MAX: usize = 16 * 1024;

/// The most batches under path. While all are, packets that arrive gather for the next one, so
/// batches grow with the load and a lone packet never waits. Two keep the disk busy while one is
/// applied; more made smaller batches (with 32 writers 5 packets instead of 9) and each PUT dearer.
const BATCHES_IN_FLIGHT_MAX: usize = 2;

/// How long to wait before a refused batch is tried again, if nothing is heard of a new leader
/// before.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How long one leader may take to say up to where a read must have applied: some heartbeats.
const READ_INDEX_TIMEOUT: Duration = Duration::from_secs(1);

/// Takes packets and brings them into the log.
pub(crate) struct Puts {
    queue: mpsc::Sender<Waiting>,
    deadline: Duration,
}

/// What is needed to bring a batch into the log.
#[derive(Clone)]
pub(crate) struct WritePath {
    pub(crate) node: NodeId,
    pub(crate) raft: Raft,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) leader: watch::Receiver<Leader>,
    pub(crate) applied: watch::Receiver<Meta>,
    pub(crate) metrics: Metrics,
}

impl Puts {
    /// Starts the task that forms batches. It ends when this is dropped.
    pub(crate) fn spawn(path: WritePath, deadline: Duration) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_COUNT_MAX);
        tokio::spawn(form_batches(path, waiting));
        Self { queue, deadline }
    }

    /// Brings a packet into the log within `time_left`.
    pub(crate) async fn put(
        &self,
        packet: SignedPacket,
        time_left: Duration,
    ) -> Result<PutOutcome, PutError> {
        let deadline = Instant::now() + time_left.min(self.deadline);
        let (reply, outcome) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let waiting = Waiting {
            packet,
            reply,
            ticket: ticket.clone(),
            deadline,
        };
        self.queue.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PutError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => PutError::ShuttingDown,
        })?;
        match timeout_at(deadline, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(ticket.abandon()),
        }
    }
}

/// A packet whose PUT waits for an answer.
struct Waiting {
    packet: SignedPacket,
    reply: oneshot::Sender<Result<PutOutcome, PutError>>,
    ticket: Arc<Ticket>,
    deadline: Instant,
}

/// Whether a packet can have entered the log: what decides between "surely not stored" and
/// "unknown" when time is up. Batch and waiter agree on it without a lock.
#[derive(Default)]
struct Ticket(AtomicU8);

impl Ticket {
    const HELD: u8 = 0;
    const SENT: u8 = 1;
    const UNKNOWN: u8 = 2;
    const ABANDONED: u8 = 3;

    /// The packet is about to be sent. False when its waiter was told that it is not stored.
    fn claim(&self) -> bool {
        let claimed = self.step(Self::HELD, Self::SENT);
        claimed || self.0.load(Ordering::Acquire) != Self::ABANDONED
    }

    /// The attempt surely failed. What an earlier one left unknown stays so.
    fn release(&self) {
        self.step(Self::SENT, Self::HELD);
    }

    /// The attempt may have succeeded.
    fn doubt(&self) {
        self.step(Self::SENT, Self::UNKNOWN);
    }

    /// The waiter gives up: what it can say.
    fn abandon(&self) -> PutError {
        match self.step(Self::HELD, Self::ABANDONED) {
            true => PutError::NoLeader,
            false => PutError::Unknown,
        }
    }

    fn step(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

async fn form_batches(path: WritePath, mut waiting: mpsc::Receiver<Waiting>) {
    let in_flight = Arc::new(Semaphore::new(BATCHES_IN_FLIGHT_MAX));
    let mut held_over = None;
    loop {
        let permit = in_flight
            .clone()
            .acquire_owned()
            .await
            .expect("it is never closed");
        let first = match held_over.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut batch = vec![first];
        held_over = fill(&mut batch, &mut waiting);
        path.metrics.batch_packets.observe(batch.len() as f64);
        tokio::spawn(run_batch(path.clone(), batch, permit));
    }
}

/// Adds what is waiting already, and returns a packet that did not fit.
fn fill(batch: &mut Vec<Waiting>, waiting: &mut mpsc::Receiver<Waiting>) -> Option<Waiting> {
    let mut size = PutBatch::encoded_size(&batch[0].packet);
    while batch.len() < BATCH_COUNT_MAX {
        let next = waiting.try_recv().ok()?;
        size += PutBatch::encoded_size(&next.packet);
        if size > BATCH_SIZE_MAX {
            return Some(next);
        }
        batch.push(next);
    }
    None
}

async fn run_batch(mut path: WritePath, mut batch: Vec<Waiting>, _permit: OwnedSemaphorePermit) {
    let deadlines = batch.iter().map(|waiting| waiting.deadline);
    let deadline = deadlines.max().expect("a batch has a packet");
    loop {
        let leader = path.leader.borrow_and_update().clone();
        // Without a leader nothing is sent, so nothing is claimed: it could not be in doubt.
        if let Some((node, address)) = &leader.node {
            batch.retain(|waiting| waiting.ticket.claim());
            if batch.is_empty() {
                return;
            }
            let attempt = tokio::select! {
                biased;
                attempt = path.attempt(*node, address, &batch) => attempt,
                () = superseded(path.leader.clone(), &leader) => Proposed::Unknown,
                () = tokio::time::sleep_until(deadline) => Proposed::Unknown,
            };
            match attempt {
                Proposed::Applied { index, outcomes } => {
                    return path.answer(batch, deadline, index, outcomes).await;
                }
                Proposed::Refused => batch.iter().for_each(|waiting| waiting.ticket.release()),
                Proposed::Unknown => batch.iter().for_each(|waiting| waiting.ticket.doubt()),
            }
        }
        if Instant::now() >= deadline {
            return;
        }
        next_leader(&mut path.leader).await;
    }
}

/// Waits until something is heard of a leader, and not for long.
async fn next_leader(leaders: &mut watch::Receiver<Leader>) {
    // Nobody says any more who leads: the node is being stopped, and so is whoever waits here.
    if let Ok(Err(_)) = timeout(RETRY_INTERVAL, leaders.changed()).await {
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Resolves when `leader` no longer leads: what was sent to it may never be answered.
async fn superseded(mut leaders: watch::Receiver<Leader>, leader: &Leader) {
    let other = |now: &Leader| now.node.is_some() && now != leader;
    if leaders.wait_for(other).await.is_err() {
        std::future::pending().await
    }
}

impl WritePath {
    async fn attempt(&self, leader: NodeId, address: &str, batch: &[Waiting]) -> Proposed {
        let packets = batch.iter().map(|waiting| waiting.packet.clone()).collect();
        let batch = PutBatch {
            now: UnixMillis::default(),
            packets,
        };
        match leader == self.node {
            true => propose(&self.raft, batch).await,
            false => self.forward(leader, address, batch).await,
        }
    }

    async fn forward(&self, leader: NodeId, address: &str, batch: PutBatch) -> Proposed {
        let request = Request::Propose(Command::PutBatch(batch).encode());
        match self.forwarder.call(leader, address, request).await {
            Ok(Response::Proposed(proposed)) => proposed,
            Err(ForwardError::NotSent) => Proposed::Refused,
            Ok(_) | Err(ForwardError::Lost) => Proposed::Unknown,
        }
    }

    /// Resolves when this node has applied everything that was committed before the call. Asks
    /// until a leader answers.
    pub(crate) async fn linearized(&self) {
        let mut leaders = self.leader.clone();
        let index = loop {
            let leader = leaders.borrow_and_update().clone();
            // A leader that hangs answers neither yes nor no, and its link may stay open.
            let index = tokio::select! {
                index = timeout(READ_INDEX_TIMEOUT, self.read_index(&leader)) => index,
                () = superseded(self.leader.clone(), &leader) => Ok(None),
            };
            match index {
                Ok(Some(index)) => break index,
                _ => next_leader(&mut leaders).await,
            }
        };
        let mut applied = self.applied.clone();
        let _ = applied.wait_for(|meta| meta.applied_index() >= index).await;
    }

    async fn read_index(&self, leader: &Leader) -> Option<LogIndex> {
        let (leader, address) = leader.node.as_ref()?;
        if *leader == self.node {
            return self.raft.read_index().await;
        }
        let forwarder = &self.forwarder;
        match forwarder.call(*leader, address, Request::ReadIndex).await {
            Ok(Response::ReadIndex(index)) => index,
            _ => None,
        }
    }

    /// Answers once this node has applied the entry, so that whoever then reads here sees it.
    async fn answer(
        &mut self,
        batch: Vec<Waiting>,
        deadline: Instant,
        index: LogIndex,
        outcomes: Vec<PutOutcome>,
    ) {
        let applied = self.applied.wait_for(|meta| meta.applied_index() >= index);
        if !matches!(timeout_at(deadline, applied).await, Ok(Ok(_))) {
            return;
        }
        for (waiting, outcome) in batch.into_iter().zip(outcomes) {
            let _ = waiting.reply.send(Ok(outcome));
        }
    }
}

#[cfg(test)]
#[path = "puts_tests.rs"]
mod tests;
