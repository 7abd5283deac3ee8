//! Watches the free disk space.

use std::{sync::Arc, time::Duration};

use quorate_peer::NotElectable;
use tokio::time::sleep;

use crate::node_context::NodeContext;

/// How often to check. At full load the log grows by a megabyte in that time; `free_size_min` is at
/// least sixteen megabytes.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Checks the space periodically, and reports when this node should not lead. Never returns.
pub(crate) async fn watch_space(context: Arc<NodeContext>) {
    let space = &context.raft.space;
    loop {
        space.check(
            &context.config,
            &context.log,
            &context.store,
            &context.metrics.raft,
        );
        context
            .gossip
            .set_not_electable(NotElectable::DISK_FULL, space.is_low());
        sleep(CHECK_INTERVAL).await;
    }
}
