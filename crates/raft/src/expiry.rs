//! The expiry of old packets, by the node that leads.

use std::{sync::Arc, time::Duration};

use quorate_rpc::message::Proposed;
use quorate_state::{Command, EXPIRE_COUNT_MAX, Outcome};
use quorate_store::Store;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    Config, Metrics,
    adapters::Raft,
    clock::{Clock, now},
};

/// The longest time between looks for old packets.
const EXPIRE_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// The shortest one.
const EXPIRE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Removes old packets while this node leads. Never returns.
pub(crate) async fn expire_packets(
    raft: Raft,
    store: Arc<Store>,
    config: Config,
    metrics: Metrics,
) {
    let mut clock = Clock::start();
    let pause = (config.retention() / 10).clamp(EXPIRE_INTERVAL_MIN, EXPIRE_INTERVAL_MAX);
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if clock.has_jumped() {
            tracing::error!(
                pause = ?config.retention(),
                "the clock of this machine has jumped ahead: this node expires nothing for now"
            );
            clock.distrust(config.retention());
        }
        if !clock.is_trusted() {
            continue;
        }
        let cutoff = now().saturating_sub(config.retention());
        while store
            .oldest_received()
            .is_some_and(|oldest| oldest < cutoff)
        {
            let command = Command::Expire {
                cutoff,
                count_max: EXPIRE_COUNT_MAX,
            };
            match raft.propose(command.encode()).await {
                Proposed::Applied {
                    outcomes: Outcome::Expired(count),
                    ..
                } if count > 0 => {
                    metrics.expired_packets_total.inc_by(count as u64);
                    tracing::info!(
                        count,
                        "removed packets that were not received again in time"
                    );
                }
                _ => break,
            }
        }
    }
}
