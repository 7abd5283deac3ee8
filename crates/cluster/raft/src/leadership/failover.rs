//! The election of a new leader as soon as the old one is gone.
//!
//! Two hints say that a leader may be gone:
//!
//! - A closed connection. The kernel of a process that has died closes its connections immediately,
//!   long before its followers miss its heartbeats. The node then probes the leader with a new link.
//! - Silence, see [`silence`](super::silence). It comes later, and also when the leader's process
//!   stands still, or its network loses what it sends or what is sent to it.
//!
//! The node then releases the leader's lease and becomes a candidate by pre-vote. It gets a majority
//! only if enough others have received a hint themselves, or their leader has been silent for too
//! long: a single node that cannot hear the leader changes nothing. It retries every few
//! milliseconds, because they may receive the hint later. If it hears the leader again, it honors
//! the lease again.
//!
//! Voters become candidates one after the other, in the order of their ids after the leader, so
//! that they do not split their votes. If they do, they retry in that order. A candidate that lacks
//! entries which a majority has is rejected, and the next voter's turn comes.

use std::{sync::Arc, time::Duration};

use quorate_peer::{NodeId, StreamKind, message::Vote};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{leadership::silence::SilenceDetector, node_context::NodeContext};

/// A pre-vote is requested again after this part of a heartbeat interval. A heartbeat interval is
/// more than a message and its answer take, so several answers are in progress at the same time.
const RETRIES_PER_HEARTBEAT: u32 = 5;

/// How often a node probes the leader.
const PROBE_COUNT: usize = 2;

/// Why a leader may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    /// Its host has closed the links.
    Hangup,
    /// It is silent, or no quorum hears it.
    Silence,
}

/// A leader that may be gone.
struct SuspectedLeader {
    hint: Hint,
    /// The vote of the nodes that follow it.
    vote: Vote,
    address: String,
}

impl NodeContext {
    /// Starts a failover when the leader may be gone. `hangups` yields peers whose host has closed
    /// the links with them. Returns when that ends.
    pub(crate) async fn watch_leader(self: Arc<Self>, mut hangups: broadcast::Receiver<NodeId>) {
        let mut detector = SilenceDetector::new(&self.config, Instant::now());
        let mut looks = interval(detector.look_interval);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // A hang-up of another peer must not restart the detector: one that crashes again and
            // again would postpone it for ever.
            let suspected_leader = tokio::select! {
                hangup = hangups.recv() => match hangup {
                    Ok(peer) => self.suspected_leader(Some(peer), Hint::Hangup),
                    // Any peer may be among the missed ones, and a wrong hint costs only a probe.
                    Err(RecvError::Lagged(_)) => self.suspected_leader(None, Hint::Hangup),
                    Err(RecvError::Closed) => return,
                },
                _ = looks.tick() => self.silent_leader(&mut detector),
            };
            let Some(suspected_leader) = suspected_leader else {
                continue;
            };
            self.fail_over(&suspected_leader).await;
            if suspected_leader.hint == Hint::Hangup {
                // A process that dies closes all its links, and each is a hint.
                hangups = hangups.resubscribe();
            }
        }
    }

    /// The leader, if it has been silent for too long while this node was listening.
    fn silent_leader(&self, detector: &mut SilenceDetector) -> Option<SuspectedLeader> {
        let now = Instant::now();
        let leader = self.suspected_leader(None, Hint::Silence);
        let heard = leader
            .as_ref()
            .map_or(now, |leader| self.heard(leader.vote.node));
        let is_silent = detector.look(heard, now);
        leader.filter(|_| is_silent)
    }

    /// When the leader last had a quorum, as far as it has told this node. While it has not told,
    /// when this node last accepted a message of it.
    fn heard(&self, leader: NodeId) -> Instant {
        let acknowledged = self.gossip.quorum_acknowledged(leader);
        acknowledged.unwrap_or_else(|| self.raft.leader_contact())
    }

    /// Whether this node, after it released the lease of its leader, has heard that a quorum still
    /// follows it. Then the lease counts again, although openraft restores it with the next term
    /// only.
    pub(crate) fn honors_released_lease(&self) -> bool {
        let Some((vote, released)) = self.raft.released_lease() else {
            return false;
        };
        let leader = self.leader.borrow();
        let is_current = leader.term == vote.term && leader.is(vote.node);
        let heard = self.heard(vote.node);
        is_current && heard > released && heard.elapsed() < self.config.election_timeout_max()
    }

    /// The leader, if it is another node, and if it is `peer` where a peer is given.
    fn suspected_leader(&self, peer: Option<NodeId>, hint: Hint) -> Option<SuspectedLeader> {
        let leader = self.leader.borrow();
        let (node, address) = leader.node.clone()?;
        let is_suspected = node != self.config.node && peer.is_none_or(|peer| peer == node);
        is_suspected.then_some(SuspectedLeader {
            hint,
            vote: Vote {
                term: leader.term,
                node,
                committed: true,
            },
            address,
        })
    }

    /// Becomes a candidate against the suspected leader when it is this node's turn. Stops when the
    /// leader turns out to be alive, when another node leads, or after the election timeout,
    /// because an ordinary election follows then.
    async fn fail_over(&self, suspected_leader: &SuspectedLeader) {
        if !self.may_vote() {
            return;
        }
        let Some(rank) = rank(
            &self.raft.view().voters,
            suspected_leader.vote.node,
            self.config.node,
        ) else {
            return;
        };
        let heartbeat = self.config.heartbeat();
        let (started_at, turn) = (Instant::now(), heartbeat * self.turns_to_wait(rank));
        let mut released = None;
        let mut election = Election::default();
        while started_at.elapsed() < self.config.election_timeout_max() {
            let is_due = match self.raft.vote().await {
                Some(vote) if vote == suspected_leader.vote => {
                    if released.is_none_or(|at| self.was_heard_after(at, suspected_leader)) {
                        if self.is_alive(suspected_leader, released.is_some()).await {
                            return;
                        }
                        if released.is_none() && suspected_leader.hint == Hint::Silence {
                            tracing::info!(leader = %vote.node, "the leader is silent");
                        }
                        released = Some(Instant::now());
                        self.raft.release_lease(vote).await;
                    }
                    started_at.elapsed() >= turn
                }
                Some(vote) if !vote.committed => {
                    election.has_stalled(vote, turn + heartbeat, Instant::now())
                }
                // Another node leads, or Raft has stopped.
                _ => return,
            };
            if is_due {
                self.raft.request_pre_votes().await;
            }
            sleep(heartbeat / RETRIES_PER_HEARTBEAT).await;
        }
    }

    /// How many turns this node waits. A node that should not lead comes after all that may.
    fn turns_to_wait(&self, rank: usize) -> u32 {
        let others = match self.gossip.not_electable().borrow().is_empty() {
            true => 0,
            false => self.raft.view().voters.len(),
        };
        u32::try_from(rank + others).unwrap_or(u32::MAX)
    }

    fn was_heard_after(&self, at: Instant, suspected_leader: &SuspectedLeader) -> bool {
        self.heard(suspected_leader.vote.node) > at
    }

    /// Whether it is alive after all. `was_heard`: since its lease was released.
    ///
    /// After a hangup that may have been in flight, so the leader is probed. It is probed again
    /// before it counts as gone. A leader that was silent is not: the kernel accepts connections
    /// for a process that stands still, and nobody else votes against a leader that is heard.
    async fn is_alive(&self, suspected_leader: &SuspectedLeader, was_heard: bool) -> bool {
        if suspected_leader.hint == Hint::Silence {
            return was_heard;
        }
        for _ in 0..PROBE_COUNT {
            if self.accepts_link(suspected_leader).await {
                return true;
            }
        }
        false
    }

    async fn accepts_link(&self, suspected_leader: &SuspectedLeader) -> bool {
        let SuspectedLeader { vote, address, .. } = suspected_leader;
        let link = self.peers.new_link(vote.node, address, StreamKind::Control);
        // If connections are neither accepted nor refused, the host is gone.
        let opened = timeout(self.config.heartbeat(), link.opened()).await;
        let is_alive = opened.is_ok_and(|opened| opened.is_ok());
        tracing::info!(leader = %vote.node, answers = is_alive, "the leader has closed its links");
        is_alive
    }
}

/// An election in progress.
#[derive(Default)]
struct Election(Option<(Vote, Instant)>);

impl Election {
    /// Whether this node's last vote has been `vote` for `duration` without a majority: the vote
    /// was split, or the candidate is gone too. If so, the wait starts again.
    fn has_stalled(&mut self, vote: Vote, duration: Duration, now: Instant) -> bool {
        match self.0 {
            Some((known, since)) if known == vote && now - since < duration => false,
            known => {
                self.0 = Some((vote, now));
                known.is_some_and(|(known, _)| known == vote)
            }
        }
    }
}

/// How many voters come before `own` in the ring of voters that starts after `leader`. `None` if
/// one of them is no voter.
fn rank(voters: &[NodeId], leader: NodeId, own: NodeId) -> Option<usize> {
    let mut ring: Vec<NodeId> = voters.to_vec();
    ring.sort_unstable();
    let position = |node| ring.iter().position(|voter| *voter == node);
    let (leader, own) = (position(leader)?, position(own)?);
    Some((own + ring.len() - leader - 1) % ring.len())
}

#[cfg(test)]
mod tests {
    use quorate_state::Term;

    use super::*;

    #[test]
    fn voters_become_candidates_one_after_the_other() {
        let mut voters: Vec<_> = (1..=5).map(NodeId::from).collect();
        voters.sort_unstable();
        for leader in &voters {
            let others = voters.iter().filter(|voter| *voter != leader);
            let ranks = others.map(|own| rank(&voters, *leader, *own).unwrap());
            let mut ranks: Vec<_> = ranks.collect();
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2, 3], "after {leader}");
        }
        // The first one is not always the same node.
        assert_eq!(rank(&voters, voters[0], voters[1]), Some(0));
        assert_eq!(rank(&voters, voters[4], voters[0]), Some(0));
    }

    #[test]
    fn an_election_without_a_winner_stalls() {
        let duration = Duration::from_millis(100);
        let (vote, started_at) = (
            |term| Vote {
                term: Term(term),
                node: NodeId::from(1),
                committed: false,
            },
            Instant::now(),
        );
        let mut election = Election::default();
        assert!(!election.has_stalled(vote(2), duration, started_at));
        assert!(!election.has_stalled(vote(2), duration, started_at + duration / 2));
        // Another candidate gets the same time.
        let next = started_at + duration / 2;
        assert!(!election.has_stalled(vote(3), duration, next));
        assert!(!election.has_stalled(vote(3), duration, started_at + duration));
        assert!(election.has_stalled(vote(3), duration, next + duration));
        assert!(!election.has_stalled(vote(3), duration, next + duration * 3 / 2));
        assert!(election.has_stalled(vote(3), duration, next + 2 * duration));
    }

    #[test]
    fn all_nodes_compute_the_same_ranks() {
        let voters: Vec<_> = (1..=3).map(NodeId::from).collect();
        let reversed: Vec<_> = voters.iter().rev().copied().collect();
        for own in &voters[1..] {
            let ranks = [&voters, &reversed].map(|voters| rank(voters, NodeId::from(1), *own));
            assert_eq!(ranks[0], ranks[1]);
        }
    }

    #[test]
    fn a_node_that_may_not_vote_is_no_candidate() {
        let voters = [NodeId::from(1), NodeId::from(2)];
        assert_eq!(rank(&voters, voters[0], NodeId::from(3)), None);
        assert_eq!(rank(&voters, NodeId::from(3), voters[0]), None);
    }
}
