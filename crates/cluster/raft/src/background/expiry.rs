//! The expiry of old packets, by the node that leads.

use std::{sync::Arc, time::Duration};

use quorate_peer::message::Proposed;
use quorate_state::{Command, EXPIRE_COUNT_MAX, Outcome, UnixMillis};
use tokio::time::{MissedTickBehavior, interval};

use crate::parts::Parts;

/// The longest time between looks for old packets.
const EXPIRE_INTERVAL_MAX: Duration = Duration::from_secs(60);

const EXPIRE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Removes old packets while this node leads.
pub(crate) struct Expiry(pub(crate) Arc<Parts>);

impl Expiry {
    /// Looks for old packets again and again. Never returns.
    pub(crate) async fn run(self) {
        let pause =
            (self.0.config.retention() / 10).clamp(EXPIRE_INTERVAL_MIN, EXPIRE_INTERVAL_MAX);
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.remove_old().await;
        }
    }

    /// Removes all packets that are old by the time of the cluster, while a majority agrees on it.
    pub(crate) async fn remove_old(&self) {
        while let Some(cutoff) = self.due_cutoff() {
            let command = Command::Expire {
                cutoff,
                count_max: EXPIRE_COUNT_MAX,
            };
            match self.0.raft.propose(command.encode()).await {
                Proposed::Applied {
                    outcomes: Outcome::Expired(count),
                    ..
                } if count > 0 => {
                    self.0
                        .metrics
                        .raft
                        .expired_packets_total
                        .inc_by(count as u64);
                    tracing::info!(
                        count,
                        "removed packets that were not received again in time"
                    );
                }
                _ => break,
            }
        }
    }

    /// The moment before which packets are old, if there are any and they may go.
    fn due_cutoff(&self) -> Option<UnixMillis> {
        let reading = self.0.exchange.time();
        let cutoff = reading.time.saturating_sub(self.0.config.retention());
        let is_due = reading.may_expire && self.0.store.oldest_received()? < cutoff;
        is_due.then_some(cutoff)
    }
}
