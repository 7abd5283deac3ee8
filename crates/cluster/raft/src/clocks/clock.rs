//! A watch over what the clock of this machine is worth among those of the cluster.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use quorate_clock::ClockState;
use tokio::time::{Instant, timeout};

use crate::{adapters::Raft, clocks::gossip::PeerGossip};

/// How often to look whether the clock of this node agrees with the others.
const CLOCK_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a node that has started waits before it says that it does not know the time: the clocks
/// of the others are heard with the first messages of theirs.
const QUIET_START: Duration = Duration::from_secs(10);

/// Keeps whose clocks count, and says once whenever it changes what the time rests on. Never
/// returns.
pub(crate) async fn watch_clock(gossip: Arc<PeerGossip>, raft: Raft) {
    let (start, mut changes) = (Instant::now(), raft.changes());
    let mut told = ClockState::Agreed;
    loop {
        let voters = raft.view().voters;
        let has_joined = !voters.is_empty();
        gossip.set_voters(voters);
        let state = gossip.time().state;
        let is_alone = gossip.is_alone();
        let is_early = (start.elapsed() < QUIET_START || !has_joined) && !is_alone;
        if state != told && !(state == ClockState::Unknown && is_early) {
            told = state;
            match is_alone {
                true => tell_alone(state),
                false => tell(state, &gossip),
            }
        }
        // At once if the voters are others.
        let _ = timeout(CLOCK_LOOK_INTERVAL, changes.next()).await;
    }
}

fn tell(state: ClockState, gossip: &PeerGossip) {
    match state {
        ClockState::Agreed => {
            tracing::info!("the clock of this node agrees with those of a majority again");
        }
        ClockState::Disagrees => tracing::error!(
            ahead_ms = gossip.time().offset_ms,
            others = gossip.clocks(),
            "the clock of this node is not what a majority of the voters agrees on, so it shall not \
             lead: set it right, best by NTP"
        ),
        ClockState::Held | ClockState::Unknown => tracing::error!(
            others = gossip.clocks(),
            "no majority of the voters' clocks agrees: PUTs go on and nothing expires until one \
             does; if all nodes are up, set their clocks right, best by NTP"
        ),
    }
}

fn tell_alone(state: ClockState) {
    match state {
        ClockState::Agreed | ClockState::Disagrees => {
            tracing::info!("the clock of this machine can be believed again");
        }
        ClockState::Held => tracing::error!(
            "the clock of this machine was set by more than the retention while the node ran: PUTs \
             go on and nothing expires; set it right, or if it is right now, restart the node with \
             `quorate serve --trust-clock`"
        ),
        ClockState::Unknown => tracing::error!(
            "the clock of this machine is further than the retention from what its log told last: PUTs \
             go on and nothing expires; set it right, or if it is right (the node was down for long), \
             restart the node once with `quorate serve --trust-clock`"
        ),
    }
}
