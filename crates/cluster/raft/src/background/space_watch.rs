//! A watch over the space that is left.

use std::{sync::Arc, time::Duration};

use quorate_peer::NotElectable;
use tokio::time::sleep;

use crate::parts::Parts;

/// How often to look. At full load the log grows by a megabyte in that time, of the sixteen that the
/// lowest floor leaves.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Looks again and again, and says when this node should not lead. Never returns.
pub(crate) async fn watch_space(parts: Arc<Parts>) {
    let space = &parts.raft.space;
    loop {
        space.look(&parts.config, &parts.log, &parts.store, &parts.metrics.raft);
        parts
            .gossip
            .set_unfit(NotElectable::DISK_FULL, space.is_low());
        sleep(LOOK_INTERVAL).await;
    }
}
