//! The task that forms batches of packets and answers every one of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use quorate_peer::message::Proposed;
use quorate_replica::PutError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::{
    batch::{Batch, PendingProposal},
    queue::ProposalQueue,
    stages::AttemptTimes,
};
use crate::{leadership::leader::Leader, writes::write_path::WritePath};

/// The most batches in flight: enough when the disks of a majority are far away.
const BATCHES_IN_FLIGHT_MAX: usize = 4;

/// While other batches are in flight, a new one is sent when at least this many packets wait. Fewer
/// packets gather until nothing is in flight. So batches grow with the load, a single packet never
/// waits, and an entry costs less than the packets in it. With this many packets or more, the cost
/// of an entry hardly matters.
const PIPELINED_COUNT_MIN: usize = 64;

/// How long packets gather at most, if the last batch did not take less. Where a commit takes longer, over
/// distances or on slow disks, a longer wait would be felt and bring little more.
const GATHERING_TIME_MAX: Duration = Duration::from_millis(3);

/// How long to wait before a rejected batch is retried, unless a new leader is known earlier.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How often packets are checked for a passed deadline: the answer to a PUT is at most this late.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(50);

/// The number of an attempt, its result and its times.
type Attempted = (u64, Proposed, AttemptTimes);

/// What the next batch waits for while nothing is in flight: as many packets as the last one had.
///
/// Those who publish all the time have just got the answers to the last batch, and send their next packets
/// now. Without the wait the first of them would leave alone, and the others would wait for its commit.
#[derive(Debug, Clone, Copy)]
struct Gathering {
    packet_count: usize,
    until: Instant,
}

impl Gathering {
    /// After a batch that took so long. `None` after a batch of one packet: a lone client never waits.
    fn after(packet_count: usize, took: Duration) -> Option<Self> {
        (packet_count > 1).then(|| Self {
            packet_count,
            until: Instant::now() + took.min(GATHERING_TIME_MAX),
        })
    }
}

/// Forms batches of the proposals in the queue, and answers all of them.
pub(super) struct Batcher {
    path: WritePath,
    queue: Arc<ProposalQueue>,
    in_flight: BTreeMap<u64, Batch>,
    attempts: FuturesUnordered<BoxFuture<'static, Attempted>>,
    attempt_count: u64,
    /// Nothing is retried before this time.
    retry_at: Instant,
    /// What the next batch waits for, if nothing is in flight.
    gathering: Option<Gathering>,
}

impl Batcher {
    pub(super) fn new(path: WritePath, queue: Arc<ProposalQueue>) -> Self {
        Self {
            path,
            queue,
            in_flight: BTreeMap::new(),
            attempts: FuturesUnordered::new(),
            attempt_count: 0,
            retry_at: Instant::now(),
            gathering: None,
        }
    }

    /// Runs until the queue is closed, or the task that reports the leader has ended.
    pub(super) async fn run(mut self) {
        let mut expiry = expiry_ticks();
        while !self.queue.is_closed() {
            self.send();
            let (is_waiting, is_pausing) = (self.is_waiting(), self.is_pausing());
            let gathered = self.gathering.map(|gathering| gathering.until);
            tokio::select! {
                biased;
                Some(attempted) = self.attempts.next() => self.settle(attempted),
                changed = self.path.leader.changed() => {
                    self.retry_at = Instant::now();
                    if changed.is_err() {
                        break;
                    }
                }
                () = self.queue.has_enough() => {}
                () = until(gathered) => self.gathering = None,
                () = sleep_until(self.retry_at), if is_pausing && is_waiting => {}
                _ = expiry.tick(), if is_waiting => self.expire(),
            }
        }
        self.close();
    }

    /// Sends as many batches of waiting proposals as may be sent now.
    fn send(&mut self) {
        if self.path.raft.space.is_low() {
            self.wake_on_next();
            return self.fail_all(PutError::DiskFull);
        }
        let leader = self.path.leader.borrow_and_update().clone();
        if leader.node.is_none() {
            return self.wake_on_next();
        }
        let leads = leader.is(self.path.node);
        while !self.is_pausing() && self.queue.has_packets(self.count_min()) {
            let mut batch = Batch::default();
            self.queue.take_while(|proposal| match proposal {
                proposal if proposal.is_gone() => Ok(()),
                // Only a leader accepts forwarded packets. They are never forwarded again.
                PendingProposal::Forwarded { .. } if !leads => {
                    proposal.fail(PutError::NoLeader);
                    Ok(())
                }
                proposal => batch.push(proposal),
            });
            if batch.is_empty() {
                return;
            }
            self.start_attempt(batch, &leader);
        }
    }

    fn start_attempt(&mut self, mut batch: Batch, leader: &Leader) {
        let packets = batch.take_packets();
        let metrics = &self.path.metrics;
        let sizes = match leader.is(self.path.node) {
            true => &metrics.entry_packets,
            false => &metrics.forward_packets,
        };
        sizes.observe(packets.count() as f64);
        let mut times = AttemptTimes::start();
        batch.leave_queue(times.started, metrics);
        self.gathering = None;
        self.attempt_count += 1;
        let attempt = self.attempt_count;
        self.in_flight.insert(attempt, batch);
        let (path, leader) = (self.path.clone(), leader.clone());
        let proposed = async move {
            let proposed = path.propose(&leader, packets, &mut times).await;
            (attempt, proposed, times)
        };
        self.attempts.push(proposed.boxed());
    }

    fn settle(&mut self, (attempt, proposed, times): Attempted) {
        let Some(mut batch) = self.in_flight.remove(&attempt) else {
            return;
        };
        if let Proposed::Applied { position, .. } = &proposed {
            let entry = self.path.entry_times.get(position.index);
            batch.set_stages(times.stages(entry, &self.path.metrics));
            self.gathering = Gathering::after(batch.packet_count(), times.started.elapsed());
        }
        let undecided = batch.settle(proposed);
        if !undecided.is_empty() {
            self.retry_at = Instant::now() + RETRY_INTERVAL;
            self.queue.put_back(undecided);
        }
    }

    /// Answers all PUTs whose deadline has passed.
    fn expire(&mut self) {
        let now = Instant::now();
        self.queue.retain(|proposal| {
            proposal.expire(now);
            !proposal.is_gone()
        });
        for batch in self.in_flight.values_mut() {
            batch.expire(now);
        }
    }

    /// Closes the queue and answers all that is left.
    fn close(mut self) {
        for batch in std::mem::take(&mut self.in_flight).into_values() {
            self.queue.put_back(batch.settle(Proposed::Unknown));
        }
        self.queue.close();
        self.fail_all(PutError::ShuttingDown);
    }

    fn fail_all(&self, error: PutError) {
        self.queue.take_while(|proposal| {
            proposal.fail(error);
            Ok(())
        });
    }

    /// Lets the next proposal wake this task. While nothing is sent, no proposal may wait
    /// unnoticed.
    fn wake_on_next(&self) {
        self.queue.has_packets(1);
    }

    /// How many packets must wait before a batch is sent now.
    fn count_min(&self) -> usize {
        match self.in_flight.len() {
            0 => self.gathering.map_or(1, |gathering| gathering.packet_count),
            1..BATCHES_IN_FLIGHT_MAX => PIPELINED_COUNT_MIN,
            _ => usize::MAX,
        }
    }

    fn is_pausing(&self) -> bool {
        Instant::now() < self.retry_at
    }

    fn is_waiting(&self) -> bool {
        !self.in_flight.is_empty() || !self.queue.is_empty()
    }
}

/// Resolves at this time, or never.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn expiry_ticks() -> Interval {
    let mut ticks = interval(EXPIRY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
