//! Watches whether the clock of this machine agrees with the clocks of the cluster.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use quorate_clock::ClockState;
use tokio::time::{Instant, timeout};

use crate::{adapters::Raft, clocks::gossip::PeerGossip};

/// How often to check whether the clock of this node agrees with the others.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long no majority of the clocks must agree before that is logged. After a start and after a
/// change of the voters, the clocks of the others arrive with their first messages.
const NO_MAJORITY_GRACE: Duration = Duration::from_secs(10);

/// Sets the voters of the cluster clock, and logs every change of the clock state once. Never
/// returns.
pub(crate) async fn watch_clock(gossip: Arc<PeerGossip>, raft: Raft) {
    let mut changes = raft.changes();
    let mut logged = ClockState::Agreed;
    let mut last_known = Instant::now();
    loop {
        let voters = raft.view().voters;
        let has_joined = !voters.is_empty();
        gossip.set_voters(voters);
        let state = gossip.time().state;
        let is_alone = gossip.is_alone();
        let is_known = matches!(state, ClockState::Agreed | ClockState::Disagrees);
        if is_known || !has_joined {
            last_known = Instant::now();
        }
        if state != logged && (is_known || is_alone || last_known.elapsed() >= NO_MAJORITY_GRACE) {
            logged = state;
            match is_alone {
                true => log_state_alone(state),
                false => log_state(state, &gossip),
            }
        }
        // Immediately if the voters have changed.
        let _ = timeout(CLOCK_CHECK_INTERVAL, changes.next()).await;
    }
}

fn log_state(state: ClockState, gossip: &PeerGossip) {
    match state {
        ClockState::Agreed => {
            tracing::info!("the clock of this node agrees with those of a majority again");
        }
        ClockState::Disagrees => tracing::error!(
            ahead_ms = gossip.time().offset_ms,
            others = gossip.clocks(),
            "the clock of this node differs from the clocks of a majority of the voters, so this node \
             must not lead: set the clock right, best by NTP"
        ),
        ClockState::Held | ClockState::Unknown => tracing::error!(
            others = gossip.clocks(),
            "no majority of the voters' clocks agrees: PUTs continue, and nothing expires until a \
             majority agrees; if all nodes are up, set their clocks right, best by NTP"
        ),
    }
}

fn log_state_alone(state: ClockState) {
    match state {
        ClockState::Agreed | ClockState::Disagrees => {
            tracing::info!("the clock of this machine is trusted again");
        }
        ClockState::Held => tracing::error!(
            "the clock of this machine was changed by more than the retention while the node ran: PUTs \
             continue, and nothing expires; set the clock right, or if it is right now, restart the \
             node with `quorate serve --trust-clock`"
        ),
        ClockState::Unknown => tracing::error!(
            "the clock of this machine differs by more than the retention from the last time in the \
             log: PUTs continue, and nothing expires; set the clock right, or if it is right (the node \
             was down for long), restart the node once with `quorate serve --trust-clock`"
        ),
    }
}
