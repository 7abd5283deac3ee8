//! Founding a cluster: only by nodes of which none has been in it before.
//!
//! A node with an empty log may be new, or it may have lost its disk and kept its key. So it asks
//! all others first; and unless they found together, it does not vote before it has caught up with
//! a leader (`docs/decisions/0017-founding.md`).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use quorate_log::Log;
use quorate_peer::{LogState, NodeId};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    OpenError, RaftConfig, adapters::Raft, start::log_state::log_state, start::recovery::Recovery,
};

/// How often a node that waits looks whether a leader has sent it entries.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How long nodes that are started together may take to reach each other before one says that it
/// waits.
const QUIET_START: Duration = Duration::from_secs(1);

/// How often it says for whom it waits.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// Whether a node may vote and stand for election.
///
/// One that began with an empty log may have voted before, and acknowledged entries that are gone.
#[derive(Clone)]
pub(crate) struct Franchise {
    /// Its log had entries when it started, or it has founded the cluster with the others.
    remembers: Arc<AtomicBool>,
    recovery: Recovery,
}

impl Franchise {
    pub(crate) fn new(log: &Log, recovery: Recovery) -> Self {
        let remembers = log_state(log) != LogState::Empty;
        Self {
            remembers: Arc::new(remembers.into()),
            recovery,
        }
    }

    /// Whether it has forgotten nothing, or has caught up since with a leader.
    pub(crate) fn is_given(&self) -> bool {
        self.remembers.load(Ordering::Acquire) || self.recovery.is_complete()
    }

    fn give(&self) {
        self.remembers.store(true, Ordering::Release);
    }
}

/// A node with an empty log, until it may vote.
pub(crate) struct Founding {
    pub(crate) raft: Raft,
    pub(crate) log: Arc<Log>,
    pub(crate) config: RaftConfig,
    pub(crate) franchise: Franchise,
    /// What each peer that was reached says of its log.
    pub(crate) logs: watch::Receiver<BTreeMap<NodeId, LogState>>,
}

/// What keeps a node from founding.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hindrance {
    /// These founding nodes have not been reached yet.
    Unheard(Vec<NodeId>),
    /// These have entries of the cluster: it exists, and this node was in it.
    Joined(Vec<NodeId>),
}

impl Founding {
    /// Has a node with an empty log stand for no election, until [`run`](Self::run) lets it.
    /// Founds the cluster if this node is all of it.
    pub(crate) async fn begin(&self) -> Result<(), OpenError> {
        if self.is_founder() && self.config.voters.len() == 1 {
            self.franchise.give();
            return self.raft.found(&self.config).await;
        }
        self.raft.set_standing(self.franchise.is_given());
        Ok(())
    }

    /// Founds the cluster with the others once all have said that they have not been in it, or
    /// waits until it has caught up with a leader.
    pub(crate) async fn run(mut self) {
        let (begun, mut told) = (Instant::now(), None);
        while !self.franchise.is_given() {
            if self.is_founder() && log_state(&self.log) == LogState::Empty {
                let may_tell = begun.elapsed() >= QUIET_START;
                self.try_to_found(may_tell, &mut told).await;
            }
            if let Ok(Err(_)) = timeout(LOOK_INTERVAL, self.logs.changed()).await {
                return;
            }
        }
        self.raft.set_standing(true);
    }

    /// Whether it is told to found a cluster, and not to join one.
    fn is_founder(&self) -> bool {
        self.config.voters.contains_key(&self.config.node)
    }

    async fn try_to_found(&mut self, may_tell: bool, told: &mut Option<(Hindrance, Instant)>) {
        let hindrance = hindrance(&self.config, &self.logs.borrow_and_update());
        match hindrance {
            Some(hindrance) => {
                let is_told = told.as_ref().is_some_and(|(before, at)| {
                    *before == hindrance && at.elapsed() < REMINDER_INTERVAL
                });
                if may_tell && !is_told {
                    tracing::warn!("this node has no log: {hindrance}");
                    *told = Some((hindrance, Instant::now()));
                }
            }
            None => match self.raft.found(&self.config).await {
                Ok(()) => {
                    self.franchise.give();
                    tracing::info!("founded the cluster with the other nodes");
                }
                Err(error) => tracing::error!(%error, "the cluster cannot be founded"),
            },
        }
    }
}

fn hindrance(config: &RaftConfig, logs: &BTreeMap<NodeId, LogState>) -> Option<Hindrance> {
    let others = config.voters.keys().filter(|node| **node != config.node);
    let (heard, unheard): (Vec<_>, Vec<_>) = others.partition(|node| logs.contains_key(*node));
    let joined = heard.into_iter();
    let joined: Vec<_> = joined
        .filter(|node| logs[*node] == LogState::More)
        .copied()
        .collect();
    if !joined.is_empty() {
        return Some(Hindrance::Joined(joined));
    }
    let unheard: Vec<_> = unheard.into_iter().copied().collect();
    (!unheard.is_empty()).then_some(Hindrance::Unheard(unheard))
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nodes: &[NodeId]| {
            let nodes = nodes.iter().map(ToString::to_string);
            nodes.collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Unheard(nodes) => write!(
                f,
                "it founds the cluster once every founding node was reached; start, or connect, {}",
                list(nodes)
            ),
            Self::Joined(nodes) => write!(
                f,
                "the cluster exists, since {} has entries; this node does not vote until it has \
                 caught up with a leader that was elected without it",
                list(nodes)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::from(number)
    }

    /// What keeps node 1 of three from founding when the others say this.
    fn hindrance_when(logs: &[(u64, LogState)]) -> Option<Hindrance> {
        let voters = (1..=3).map(|number| (node(number), String::new()));
        let config = RaftConfig::new(node(1), voters.collect(), PathBuf::new());
        let logs = logs.iter().map(|(number, log)| (node(*number), *log));
        hindrance(&config, &logs.collect())
    }

    #[test]
    fn a_cluster_is_founded_once_all_have_said_that_they_are_new() {
        use LogState::{Empty, Founding};
        for log in [Empty, Founding] {
            assert_eq!(hindrance_when(&[(2, Empty), (3, log)]), None);
            let third = Some(Hindrance::Unheard(vec![node(3)]));
            assert_eq!(hindrance_when(&[(2, log)]), third);
        }
        let both = Some(Hindrance::Unheard(vec![node(2), node(3)]));
        assert_eq!(hindrance_when(&[]), both);
    }

    #[test]
    fn a_survivor_is_enough_for_a_cluster_not_to_be_founded_anew() {
        use LogState::{Empty, More};
        let survivor = Some(Hindrance::Joined(vec![node(3)]));
        assert_eq!(hindrance_when(&[(2, Empty), (3, More)]), survivor);
        assert_eq!(hindrance_when(&[(3, More)]), survivor);
    }
}
