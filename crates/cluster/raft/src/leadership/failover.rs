//! The election of a new leader as soon as the old one's process is gone.
//!
//! The kernel of a process that has died closes its connections at once, long before its followers
//! miss its heartbeats. That a connection was closed is a hint, no more: so the node knocks at the
//! leader's door. Where nobody opens, it lets go of the leader's lease and stands for election, by
//! pre-vote: it gets a majority only if as many have taken the hint themselves, or have waited for
//! their leader in vain. It asks again every few milliseconds, since they may hear of it later.
//!
//! Voters stand one after the other, in the order of their ids behind the leader, so that they do not
//! split their votes; if they do all the same, they try again in that order. Whoever lacks entries
//! that a majority has is refused, and the next one's turn comes. A cut that closes nothing is left
//! to the election timeout.

use std::{sync::Arc, time::Duration};

use quorate_peer::{NodeId, StreamKind, message::Vote};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep, timeout},
};

use crate::parts::Parts;

/// The part of a heartbeat interval after which a pre-vote is asked for again. A heartbeat interval
/// is more than a message and its answer take, so that several answers are under way at once.
const RETRIES_PER_HEARTBEAT: u32 = 5;

/// How often a node knocks.
const KNOCKS: usize = 2;

/// A leader that may be gone.
struct Suspect {
    /// The vote of whoever follows it.
    vote: Vote,
    address: String,
}

impl Parts {
    /// Takes hints that the leader is gone, until there are none any more: `hangups`, of peers whose
    /// host has closed the links with them.
    pub(crate) async fn take_hints(self: Arc<Self>, mut hangups: broadcast::Receiver<NodeId>) {
        loop {
            let peer = match hangups.recv().await {
                Ok(peer) => Some(peer),
                // Any peer may be among those that were missed, and a false hint costs a knock.
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            };
            if let Some(suspect) = self.suspect(peer) {
                self.succeed(&suspect).await;
                // A process that dies closes all its links, and each is a hint.
                hangups = hangups.resubscribe();
            }
        }
    }

    /// The leader, if it is another node, and this `peer`.
    fn suspect(&self, peer: Option<NodeId>) -> Option<Suspect> {
        let leader = self.leader.borrow();
        let (node, address) = leader.node.clone()?;
        let is_meant = node != self.config.node && peer.is_none_or(|peer| peer == node);
        is_meant.then_some(Suspect {
            vote: Vote {
                term: leader.term,
                node,
                committed: true,
            },
            address,
        })
    }

    /// Stands against the suspect when it is this node's turn, until it is found alive, another
    /// leads, or it is time for an election without all this.
    async fn succeed(&self, suspect: &Suspect) {
        if !self.may_vote() {
            return;
        }
        let Some(rank) = rank(
            &self.raft.view().voters,
            suspect.vote.node,
            self.config.node,
        ) else {
            return;
        };
        let heartbeat = self.config.heartbeat();
        let (began, turn) = (Instant::now(), heartbeat * self.place(rank));
        let mut released = None;
        let mut election = Election::default();
        while began.elapsed() < self.config.election_timeout_max() {
            let is_due = match self.raft.vote().await {
                Some(vote) if vote == suspect.vote => {
                    // Again whenever it was heard meanwhile: the message may have been under way.
                    if released.is_none_or(|at| self.raft.leader_contact() > at) {
                        if self.answers(suspect).await {
                            return;
                        }
                        released = Some(Instant::now());
                        self.raft.release_lease(vote).await;
                    }
                    began.elapsed() >= turn
                }
                Some(vote) if !vote.committed => {
                    election.has_stalled(vote, turn + heartbeat, Instant::now())
                }
                // Another leads, or Raft has stopped.
                _ => return,
            };
            if is_due {
                self.raft.stand().await;
            }
            sleep(heartbeat / RETRIES_PER_HEARTBEAT).await;
        }
    }

    /// How many turns this node lets pass. One that should not lead comes after all that may.
    fn place(&self, rank: usize) -> u32 {
        let others = match self.gossip.not_electable().borrow().is_empty() {
            true => 0,
            false => self.raft.view().voters.len(),
        };
        u32::try_from(rank + others).unwrap_or(u32::MAX)
    }

    /// Whether its process takes a new link. It is asked again before it counts as gone, for a lease
    /// that was let go is not taken back in this term.
    async fn answers(&self, suspect: &Suspect) -> bool {
        for _ in 0..KNOCKS {
            if self.opens(suspect).await {
                return true;
            }
        }
        false
    }

    async fn opens(&self, suspect: &Suspect) -> bool {
        let Suspect { vote, address } = suspect;
        let link = self.peers.own_link(vote.node, address, StreamKind::Control);
        // Where connections are neither taken nor refused, it is the host that is gone.
        let opened = timeout(self.config.heartbeat(), link.opened()).await;
        let answers = opened.is_ok_and(|opened| opened.is_ok());
        tracing::info!(leader = %vote.node, answers, "the leader has closed its links");
        answers
    }
}

/// An election that is under way.
#[derive(Default)]
struct Election(Option<(Vote, Instant)>);

impl Election {
    /// Whether this node's last vote has been `vote` for `patience`, without a majority: it was
    /// split, or the candidate is gone too. Begins to wait anew then.
    fn has_stalled(&mut self, vote: Vote, patience: Duration, now: Instant) -> bool {
        match self.0 {
            Some((known, since)) if known == vote && now - since < patience => false,
            known => {
                self.0 = Some((vote, now));
                known.is_some_and(|(known, _)| known == vote)
            }
        }
    }
}

/// How many voters come before `own` in the ring of voters behind `leader`.
fn rank(voters: &[NodeId], leader: NodeId, own: NodeId) -> Option<usize> {
    let mut ring: Vec<NodeId> = voters.to_vec();
    ring.sort_unstable();
    let place = |node| ring.iter().position(|voter| *voter == node);
    let (leader, own) = (place(leader)?, place(own)?);
    Some((own + ring.len() - leader - 1) % ring.len())
}

#[cfg(test)]
mod tests {
    use quorate_state::Term;

    use super::*;

    #[test]
    fn voters_stand_one_after_the_other() {
        let mut voters: Vec<_> = (1..=5).map(NodeId::from).collect();
        voters.sort_unstable();
        for leader in &voters {
            let others = voters.iter().filter(|voter| *voter != leader);
            let ranks = others.map(|own| rank(&voters, *leader, *own).unwrap());
            let mut ranks: Vec<_> = ranks.collect();
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2, 3], "behind {leader}");
        }
        // Not always the same node is first.
        assert_eq!(rank(&voters, voters[0], voters[1]), Some(0));
        assert_eq!(rank(&voters, voters[4], voters[0]), Some(0));
    }

    #[test]
    fn an_election_that_ends_in_nothing_has_stalled() {
        let patience = Duration::from_millis(100);
        let (vote, began) = (
            |term| Vote {
                term: Term(term),
                node: NodeId::from(1),
                committed: false,
            },
            Instant::now(),
        );
        let mut election = Election::default();
        assert!(!election.has_stalled(vote(2), patience, began));
        assert!(!election.has_stalled(vote(2), patience, began + patience / 2));
        // Another candidate gets as long.
        let next = began + patience / 2;
        assert!(!election.has_stalled(vote(3), patience, next));
        assert!(!election.has_stalled(vote(3), patience, began + patience));
        assert!(election.has_stalled(vote(3), patience, next + patience));
        assert!(!election.has_stalled(vote(3), patience, next + patience * 3 / 2));
        assert!(election.has_stalled(vote(3), patience, next + 2 * patience));
    }

    #[test]
    fn all_nodes_see_the_same_order() {
        let voters: Vec<_> = (1..=3).map(NodeId::from).collect();
        let reversed: Vec<_> = voters.iter().rev().copied().collect();
        for own in &voters[1..] {
            let ranks = [&voters, &reversed].map(|voters| rank(voters, NodeId::from(1), *own));
            assert_eq!(ranks[0], ranks[1]);
        }
    }

    #[test]
    fn who_may_not_vote_does_not_stand() {
        let voters = [NodeId::from(1), NodeId::from(2)];
        assert_eq!(rank(&voters, voters[0], NodeId::from(3)), None);
        assert_eq!(rank(&voters, NodeId::from(3), voters[0]), None);
    }
}
