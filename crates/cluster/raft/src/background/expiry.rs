//! The leader removes expired packets.

use std::{sync::Arc, time::Duration};

use quorate_peer::message::Proposed;
use quorate_state::{Command, EXPIRE_COUNT_MAX, Outcome, UnixMillis};
use tokio::time::sleep;

use crate::node_context::NodeContext;

/// The longest time between checks for old packets.
const EXPIRE_INTERVAL_MAX: Duration = Duration::from_secs(60);

const EXPIRE_INTERVAL_MIN: Duration = Duration::from_secs(1);

impl NodeContext {
    /// Removes old packets while this node leads. Never returns.
    pub(crate) async fn expire_packets(self: Arc<Self>) {
        loop {
            self.remove_old().await;
            let pause = self.retention(&self.state_machine.meta().cluster) / 10;
            sleep(pause.clamp(EXPIRE_INTERVAL_MIN, EXPIRE_INTERVAL_MAX)).await;
        }
    }

    /// Removes all packets that are old by the cluster time, while a majority agrees on that time.
    pub(crate) async fn remove_old(&self) {
        while let Some(cutoff) = self.due_cutoff() {
            let command = Command::Expire {
                cutoff,
                count_max: EXPIRE_COUNT_MAX,
            };
            match self.raft.propose(command.encode()).await {
                Proposed::Applied {
                    outcomes: Outcome::Expired(count),
                    ..
                } if count > 0 => {
                    self.metrics.raft.expired_packets_total.inc_by(count as u64);
                    tracing::info!(
                        count,
                        "removed packets that were not received again in time"
                    );
                }
                _ => break,
            }
        }
    }

    /// The stamp before which packets are old, if there are such packets and they may be removed.
    /// After a step of time, the step must be in the log first.
    fn due_cutoff(&self) -> Option<UnixMillis> {
        let reading = self.gossip.time();
        let cluster = self.state_machine.meta().cluster.clone();
        let stamp = cluster.time.stamp_at(reading.time)?;
        let cutoff = cluster.time.cutoff(stamp, self.retention(&cluster));
        let may_expire = reading.may_expire && !cluster.is_newly_restored(stamp);
        let is_due = may_expire && self.store.oldest_received()? < cutoff;
        is_due.then_some(cutoff)
    }
}
