//! The task that forms batches and sees each through.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use quorate_peer::message::Proposed;
use quorate_replica::PutError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::{
    batch::{Batch, PendingProposal},
    queue::Queue,
};
use crate::{leadership::leader::Leader, writes::write_path::WritePath};

/// The most batches under way: enough for a long way to the disks of a majority.
const BATCHES_IN_FLIGHT_MAX: usize = 4;

/// How many packets must wait for a batch to leave while others are under way. Below, what arrives
/// meanwhile gathers, and leaves as soon as nothing is under way: so batches grow with the load, a
/// lone packet never waits, and an entry costs less than the packets in it. Above, what an entry costs
/// hardly counts any more.
const PIPELINED_COUNT_MIN: usize = 64;

/// How long to wait before a batch that was not taken is tried again, if nothing is heard of a new
/// leader before.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// How often to look for packets whose deadline has passed: a PUT is answered this much late at the
/// most.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(50);

/// Forms batches of what is in the queue, and answers all of it.
pub(super) struct Batcher {
    path: WritePath,
    queue: Arc<Queue>,
    in_flight: BTreeMap<u64, Batch>,
    attempts: FuturesUnordered<BoxFuture<'static, (u64, Proposed)>>,
    attempt_count: u64,
    /// Before this moment nothing is tried again.
    retry_at: Instant,
}

impl Batcher {
    pub(super) fn new(path: WritePath, queue: Arc<Queue>) -> Self {
        Self {
            path,
            queue,
            in_flight: BTreeMap::new(),
            attempts: FuturesUnordered::new(),
            attempt_count: 0,
            retry_at: Instant::now(),
        }
    }

    /// Runs until the queue is closed, or nobody says any more who leads.
    pub(super) async fn run(mut self) {
        let mut expiry = expiry_ticks();
        while !self.queue.is_closed() {
            self.send();
            let (is_waiting, is_held) = (self.is_waiting(), self.is_held());
            tokio::select! {
                biased;
                Some((attempt, proposed)) = self.attempts.next() => self.settle(attempt, proposed),
                changed = self.path.leader.changed() => {
                    self.retry_at = Instant::now();
                    if changed.is_err() {
                        break;
                    }
                }
                () = self.queue.arrived() => {}
                () = sleep_until(self.retry_at), if is_held && is_waiting => {}
                _ = expiry.tick(), if is_waiting => self.expire(),
            }
        }
        self.give_up();
    }

    /// Sends batches of what waits, as far as it may.
    fn send(&mut self) {
        if self.path.raft.space.is_low() {
            self.wake_at_once();
            return self.give_up_all(PutError::DiskFull);
        }
        let leader = self.path.leader.borrow_and_update().clone();
        let Some((node, _)) = &leader.node else {
            return self.wake_at_once();
        };
        let leads = *node == self.path.node;
        while !self.is_held() && self.queue.holds(self.wanted()) {
            let mut batch = Batch::default();
            self.queue.take_while(|offer| match offer {
                offer if offer.is_gone() => Ok(()),
                // Only a leader takes what others forward, and never forwards it on.
                PendingProposal::Forwarded { .. } if !leads => {
                    offer.give_up(PutError::NoLeader);
                    Ok(())
                }
                offer => batch.push(offer),
            });
            if batch.is_empty() {
                return;
            }
            self.begin(batch, &leader);
        }
    }

    fn begin(&mut self, mut batch: Batch, leader: &Leader) {
        let packets = batch.take_packets();
        let metrics = &self.path.metrics;
        metrics.batch_packets.observe(packets.count() as f64);
        self.attempt_count += 1;
        let attempt = self.attempt_count;
        self.in_flight.insert(attempt, batch);
        let (path, leader) = (self.path.clone(), leader.clone());
        let proposed = async move { (attempt, path.bring_into_log(&leader, packets).await) };
        self.attempts.push(proposed.boxed());
    }

    fn settle(&mut self, attempt: u64, proposed: Proposed) {
        let Some(batch) = self.in_flight.remove(&attempt) else {
            return;
        };
        let undecided = batch.settle(proposed);
        if !undecided.is_empty() {
            self.retry_at = Instant::now() + RETRY_INTERVAL;
            self.queue.put_back(undecided);
        }
    }

    /// Answers all whose deadline has passed.
    fn expire(&mut self) {
        let now = Instant::now();
        self.queue.retain(|offer| {
            offer.expire(now);
            !offer.is_gone()
        });
        for batch in self.in_flight.values_mut() {
            batch.expire(now);
        }
    }

    /// Answers all that is left.
    fn give_up(mut self) {
        for batch in std::mem::take(&mut self.in_flight).into_values() {
            self.queue.put_back(batch.settle(Proposed::Unknown));
        }
        self.queue.close();
        self.give_up_all(PutError::ShuttingDown);
    }

    fn give_up_all(&self, reason: PutError) {
        self.queue.take_while(|offer| {
            offer.give_up(reason);
            Ok(())
        });
    }

    /// Has whoever comes next wake this task: while nothing is sent, nobody may wait unseen.
    fn wake_at_once(&self) {
        self.queue.holds(1);
    }

    /// How many packets make a batch that is worth sending now.
    fn wanted(&self) -> usize {
        match self.in_flight.len() {
            0 => 1,
            1..BATCHES_IN_FLIGHT_MAX => PIPELINED_COUNT_MIN,
            _ => usize::MAX,
        }
    }

    /// Whether what was not taken is not to be tried again yet.
    fn is_held(&self) -> bool {
        Instant::now() < self.retry_at
    }

    fn is_waiting(&self) -> bool {
        !self.in_flight.is_empty() || !self.queue.is_empty()
    }
}

fn expiry_ticks() -> Interval {
    let mut ticks = interval(EXPIRY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
