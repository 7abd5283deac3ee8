//! When a restarted node starts to serve reads.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use crate::writes::write_path::WritePath;

/// How long a node waits after its start for a leader before it serves what it has. Reads continue
/// without a quorum, and an election takes far less time.
const LEADER_WAIT: Duration = Duration::from_secs(10);

/// The progress of a node since it started.
///
/// The node has applied what it knew to be committed, but it may have served more before it
/// stopped: its knowledge of commits is not synced. So it serves no read before it has caught up
/// once with the leader, unless there is no leader, or no space for the entries that the leader
/// would send.
#[derive(Clone, Default)]
pub(crate) struct Recovery(Arc<AtomicU8>);

impl Recovery {
    const WITHOUT_LEADER: u8 = 1;
    const CAUGHT_UP: u8 = 2;

    /// Whether the node has caught up with a leader.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::CAUGHT_UP
    }

    pub(crate) fn serves_reads(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    pub(crate) async fn run(self, path: WritePath) {
        let mut caught_up = pin!(path.linearized());
        while !self.is_complete() {
            tokio::select! {
                () = &mut caught_up => self.0.store(Self::CAUGHT_UP, Ordering::Release),
                () = sleep(LEADER_WAIT), if !self.serves_reads() => {
                    // A node that has never applied anything has nothing to serve.
                    let has_applied = path.applied.borrow().applied.is_some();
                    let has_leader = path.leader.borrow().node.is_some();
                    if has_applied && (!has_leader || path.raft.space.is_low()) {
                        tracing::warn!(
                            has_leader,
                            "cannot catch up with a leader now: serving reads from what is known to be committed"
                        );
                        self.0.store(Self::WITHOUT_LEADER, Ordering::Release);
                    }
                }
            }
        }
    }
}
