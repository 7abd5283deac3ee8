//! A watch over the space that is left.

use std::{sync::Arc, time::Duration};

use quorate_peer::Unfit;
use tokio::time::{MissedTickBehavior, interval};

use crate::parts::Parts;

/// How often to look. At full load the log grows by a megabyte in that time, of the sixteen that the
/// lowest floor leaves.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Looks again and again, and says when this node should not lead. Never returns.
pub(crate) async fn watch_space(parts: Arc<Parts>) {
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let space = &parts.raft.space;
    loop {
        ticks.tick().await;
        space.look(&parts.config, &parts.log, &parts.store, &parts.metrics.raft);
        parts.exchange.set_unfit(Unfit::DISK_FULL, space.is_low());
    }
}
