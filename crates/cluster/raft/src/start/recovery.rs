//! From when on a restarted node serves reads.

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

/// How long a node that has started waits to hear of a leader before it serves what it has. Reads
/// go on without a quorum; an election takes far less.
const LEADER_WAIT: Duration = Duration::from_secs(10);

/// How far a node has come since it started.
///
/// It has applied what it knew to be committed, but it may have shown more before it stopped: what
/// it knows of commits is not synced. So it serves no read before it has caught up once with the
/// leader, unless there is none, or no space for what that would send.
#[derive(Clone, Default)]
pub(crate) struct Recovery(Arc<AtomicU8>);

impl Recovery {
    const ALONE: u8 = 1;
    const CAUGHT_UP: u8 = 2;

    /// Whether it has caught up with a leader.
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
                    // Who has never applied anything knows of nothing.
                    let has_applied = path.applied.borrow().applied.is_some();
                    let has_leader = path.leader.borrow().node.is_some();
                    if has_applied && (!has_leader || path.raft.space.is_low()) {
                        tracing::warn!(
                            has_leader,
                            "not catching up now: serving what is known to be committed"
                        );
                        self.0.store(Self::ALONE, Ordering::Release);
                    }
                }
            }
        }
    }
}
