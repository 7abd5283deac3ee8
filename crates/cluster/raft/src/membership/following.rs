//! The roster and the links, kept as the members are.

use std::{sync::Arc, time::Duration};

use quorate_store::Meta;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::roster::Roster;
use crate::{adapters::Raft, links::peers::Peers};

/// How long to wait after a look: what is applied changes with every entry.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// How often to look although nothing has changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the membership that is in effect and what is applied, and has links to all members
/// and to nobody else. Returns when the node is gone.
pub(crate) async fn follow(
    roster: Arc<Roster>,
    raft: Raft,
    has_caught_up: impl Fn() -> bool + Send,
    mut applied: watch::Receiver<Meta>,
    peers: Arc<Peers>,
) {
    let mut changes = raft.changes();
    loop {
        let cluster = applied.borrow_and_update().cluster.clone();
        roster.update(raft.membership().nodes, &cluster, has_caught_up());
        peers.set_members(roster.node, &roster.members());
        let changed = async {
            tokio::select! {
                is_open = changes.next() => is_open,
                changed = applied.changed() => changed.is_ok(),
            }
        };
        if timeout(LOOK_INTERVAL, changed).await == Ok(false) {
            return;
        }
        sleep(LOOK_PAUSE).await;
    }
}
