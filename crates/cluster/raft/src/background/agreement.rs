//! What a leader has its cluster agree on unasked: who the cluster is and its capacity, a feature level
//! that all members support, and the secrets of DNS cookies.

use std::{sync::Arc, time::Duration};

use quorate_clock::ClockState;
use quorate_peer::NodeId;
use quorate_replica::Role;
use quorate_state::{ClusterId, ClusterNames, Command, CookieSecret, CookieSecrets, Found, Level};
use quorate_store::Meta;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{adapters::applied_membership, parts::Parts};

/// How often to look whether something is to be agreed on.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often to look every heartbeat interval before it is done at leisure.
const QUICK_LOOK_COUNT: usize = 200;

pub(crate) struct Agreement {
    parts: Arc<Parts>,
    applied: watch::Receiver<Meta>,
}

impl Agreement {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        let applied = parts.state_machine.applied();
        Self { parts, applied }
    }

    /// Proposes what is due while this node leads. Never returns.
    pub(crate) async fn run(mut self) {
        self.found().await;
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_warned = false;
        loop {
            ticks.tick().await;
            has_warned = has_warned || self.warn_of_another_capacity();
            let leads = self.parts.raft.view().role == Role::Leader;
            if leads && self.due().is_some() && self.catch_up().await {
                self.propose().await;
            }
        }
    }

    /// Looks more often until it is agreed who the cluster is and by which secret its nodes know each
    /// other's cookies, or that this takes longer: until its members are started perhaps.
    async fn found(&mut self) {
        let mut ticks = interval(self.parts.config.heartbeat());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..QUICK_LOOK_COUNT {
            ticks.tick().await;
            let due = self.due();
            let is_due = matches!(
                &due,
                Some(Command::Found(_) | Command::RotateCookies { .. })
            );
            if self.applied.borrow().cluster.names.id.is_some() && !is_due {
                return;
            }
            let leads = self.parts.raft.view().role == Role::Leader;
            if leads && is_due && self.catch_up().await {
                self.propose().await;
            }
        }
    }

    async fn propose(&self) {
        if let Some(command) = self.due() {
            tracing::info!(on = subject(&command), "having the cluster agree");
            // What became of it shows in what is applied, and if nothing did it is due again.
            self.parts.raft.propose(command.encode()).await;
        }
    }

    /// Waits until this leader has applied what others had proposed before it, an operator's wish
    /// among it perhaps. False if it cannot now.
    async fn catch_up(&mut self) -> bool {
        let caught_up = async {
            let index = self.parts.raft.read_index().await?;
            let applied = self.applied.wait_for(|meta| meta.applied_index() >= index);
            applied.await.ok().map(drop)
        };
        matches!(timeout(LOOK_INTERVAL, caught_up).await, Ok(Some(())))
    }

    /// What is to be proposed next.
    fn due(&self) -> Option<Command> {
        let meta = self.applied.borrow();
        let cluster = &meta.cluster;
        if cluster.names.id.is_none() {
            // Without randomness there is no id, and it is due again.
            let id = random()?;
            return Some(Command::Found(Found {
                names: ClusterNames {
                    id: Some(ClusterId(id)),
                    founding: self.parts.config.known.names.founding,
                },
                capacity: self.parts.config.capacity(),
            }));
        }
        let common = common_level(&members(&meta), |member| self.parts.exchange.level(member));
        match common.filter(|common| *common > cluster.level) {
            Some(common) => Some(Command::RaiseLevel(common)),
            None => self.due_rotation(&cluster.zones.cookie_secrets),
        }
    }

    /// Another secret of DNS cookies, if it is time: without agreement on that, only the first.
    fn due_rotation(&self, secrets: &CookieSecrets) -> Option<Command> {
        let reading = self.parts.exchange.time();
        let knows_time = reading.state == ClockState::Agreed || secrets.current.is_none();
        if !knows_time || !secrets.is_due(reading.time) {
            return None;
        }
        Some(Command::RotateCookies {
            secret: CookieSecret(random()?),
            now: reading.time,
        })
    }

    /// Says so if the cluster has agreed on another capacity than this node was told.
    fn warn_of_another_capacity(&self) -> bool {
        let (agreed, configured) = (
            self.applied.borrow().cluster.capacity,
            self.parts.config.capacity(),
        );
        let differs = agreed.is_some_and(|agreed| agreed != configured);
        if differs {
            tracing::warn!(
                ?agreed,
                ?configured,
                "the cluster has another capacity than [packets] says, which only founds it: the \
                 cluster's is in force"
            );
        }
        differs
    }
}

/// On what the cluster agrees by a command. The values are told when it has.
fn subject(command: &Command) -> &'static str {
    match command {
        Command::Found(_) => "its id and capacity",
        Command::RaiseLevel(_) => "its feature level",
        Command::RotateCookies { .. } => "another secret of DNS cookies",
        _ => "what an operator or a node asks",
    }
}

fn random<const SIZE: usize>() -> Option<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

fn members(meta: &Meta) -> Vec<NodeId> {
    // Raft itself cannot go on when they are unreadable, and says so.
    let members = applied_membership(meta).map(|stored| stored.membership.nodes);
    let members = members.unwrap_or_default();
    members.into_iter().map(|(node, _)| node).collect()
}

/// The highest level that all members support, if that is known.
fn common_level(members: &[NodeId], level: impl Fn(NodeId) -> Option<Level>) -> Option<Level> {
    let known = members.iter().map(|member| level(*member));
    known.min().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_raised_once_all_members_are_known_to_support_it() {
        let [a, b, c] = [1, 2, 3].map(NodeId::from);
        let two = |node| {
            [(a, Level(2)), (c, Level(3))]
                .into_iter()
                .find(|(id, _)| *id == node)
        };
        let two = |node| two(node).map(|(_, level)| level);
        assert_eq!(common_level(&[a, b], two), None);
        assert_eq!(common_level(&[a, c], two), Some(Level(2)));
        let all = |node| two(node).or(Some(Level(1)));
        assert_eq!(common_level(&[a, b, c], all), Some(Level(1)));
        assert_eq!(common_level(&[], all), None);
    }
}
