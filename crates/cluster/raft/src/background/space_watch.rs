//! Watches the free disk space.

use std::{sync::Arc, time::Duration};

use quorate_peer::NotElectable;
use tokio::time::sleep;

use crate::parts::Parts;

/// How often to check. At full load the log grows by a megabyte in that time; `free_size_min` is at
/// least sixteen megabytes.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Checks the space periodically, and reports when this node should not lead. Never returns.
pub(crate) async fn watch_space(parts: Arc<Parts>) {
    let space = &parts.raft.space;
    loop {
        space.check(&parts.config, &parts.log, &parts.store, &parts.metrics.raft);
        parts
            .gossip
            .set_not_electable(NotElectable::DISK_FULL, space.is_low());
        sleep(CHECK_INTERVAL).await;
    }
}
