//! Brings the commit index to disk when the node is quiet.
//!
//! The commit index travels with the next group of log entries, because a sync of its own for each
//! commit would cost as much as the entries. When no group follows, a node that is killed would not
//! know at its next start that its last entries are committed. Started without the other nodes, it
//! would then serve older packets than before.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{adapters::flushed, node_context::NodeContext};

/// How long nothing must be applied before the commit index is synced. Under load this never happens,
/// and groups follow each other faster.
const QUIET_TIME: Duration = Duration::from_millis(100);

/// Syncs the commit index when nothing was applied for [`QUIET_TIME`]. Returns when the node stops.
pub(crate) async fn sync_commit_index(context: Arc<NodeContext>) {
    let mut applied = context.state_machine.applied();
    while applied.changed().await.is_ok() {
        while let Ok(Ok(())) = timeout(QUIET_TIME, applied.changed()).await {}
        // A log without space would wait for some, and votes would wait for the log.
        if !context.raft.space.is_low() {
            // An error has already stopped the node.
            let _ = flushed(|on_flushed| context.log.sync(on_flushed)).await;
        }
    }
}
