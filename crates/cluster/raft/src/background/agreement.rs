//! What a leader has its cluster agree on unasked: who the cluster is and its capacity, a feature level
//! that all members support, what time it is, and the secrets of DNS cookies.

use std::{sync::Arc, time::Duration};

use quorate_clock::ClockState;
use quorate_peer::{NodeId, message::Proposed};
use quorate_replica::Role;
use quorate_state::{
    ClusterTime, Command, CookieSecret, CookieSecrets, Found, Level, TICK_INTERVAL,
};
use quorate_store::Meta;
use tokio::time::{sleep, timeout};

use crate::{
    adapters::applied_membership, membership::admin::SILENT_ELECTION_TIMEOUTS, parts::Parts,
};

/// How often to look whether something is to be agreed on.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often to look every heartbeat interval while something is due in a node that has started. If that
/// takes longer, until its members are started perhaps, it is done at leisure.
const QUICK_LOOK_COUNT: u64 = 200;

/// The part of the retention for which a majority must agree on an earlier time before it is set back.
const WAITS_PER_RETENTION: u32 = 8;

impl Parts {
    /// Proposes what is due while this node leads. Never returns.
    pub(crate) async fn agree(self: Arc<Self>) {
        let (mut has_warned, mut told) = (false, None);
        for look in 0_u64.. {
            has_warned = has_warned || self.warn_of_another_capacity();
            let leads = self.raft.view().role == Role::Leader;
            let mut is_refused = false;
            // Others may have proposed it before, an operator's wish among it perhaps.
            if leads
                && self.due().is_some()
                && timeout(LOOK_INTERVAL, self.catch_up()).await == Ok(Some(()))
                && let Some(command) = self.due()
            {
                let on = subject(&command);
                // The time is told often.
                let is_news = !matches!(command, Command::Tick { .. });
                if told.replace(on) != Some(on) && is_news {
                    tracing::info!(on, "having the cluster agree");
                }
                // What became of it shows in what is applied, and if nothing did it is due again.
                let proposed = self.raft.propose(command.encode()).await;
                is_refused = proposed == Proposed::Refused;
            }
            let is_due = self.due().is_some();
            // What is due next is said again, though it be of the same kind.
            told = told.filter(|_| is_due);
            let is_forming = self.state_machine.meta().cluster.forming.is_some();
            let is_quick = (is_forming || look < QUICK_LOOK_COUNT && is_due) && !is_refused;
            sleep(match is_quick {
                true => self.config.heartbeat(),
                false => LOOK_INTERVAL,
            })
            .await;
        }
    }

    /// What is to be proposed next.
    fn due(&self) -> Option<Command> {
        let meta = self.state_machine.meta();
        let cluster = &meta.cluster;
        if cluster.id.is_none() {
            let founding = self.config.founding.as_ref()?;
            return Some(Command::Found(Found {
                id: self.config.cluster,
                voters: founding.voters,
                invite: founding.invite.clone(),
                capacity: self.config.capacity(),
            }));
        }
        if cluster
            .forming
            .is_some_and(|wanted| voter_count(&meta) >= wanted)
        {
            return Some(Command::Form);
        }
        let common = common_level(&members(&meta), |member| self.gossip.level(member));
        match common.filter(|common| *common > cluster.level && !self.level_is_held(&meta)) {
            Some(common) => Some(Command::RaiseLevel(common)),
            None => self
                .due_time(&cluster.time)
                .or_else(|| self.due_rotation(&cluster.zones.cookie_secrets)),
        }
    }

    /// The time, if the log has not told it for long, or has told another one; and if a majority has agreed
    /// for an eighth of the retention that it is earlier, that it is to be set back. All of that stands in
    /// the log, so neither a new leader nor a restart begins to wait anew.
    fn due_time(&self, time: &ClusterTime) -> Option<Command> {
        let (reading, told) = (self.gossip.time(), time.told()?);
        let now = reading.time;
        let is_old = now.since(told) >= TICK_INTERVAL || time.stamp_at(now).is_none();
        let behind_for = time.behind_for(now).unwrap_or_default();
        let is_agreed = reading.state == ClockState::Agreed;
        if is_agreed && behind_for >= self.config.retention() / WAITS_PER_RETENTION {
            return Some(Command::SetBack { now });
        }
        (is_agreed && is_old).then_some(Command::Tick { now })
    }

    /// Whether a member that lives wants no higher level yet. Until a leader has heard of a member whether
    /// it lives, its last word counts.
    fn level_is_held(&self, meta: &Meta) -> bool {
        let silence_max = self.config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS;
        let followers = self.raft.view().followers;
        let is_gone = |node: NodeId| {
            let known = followers.iter().find(|follower| follower.node == node);
            let age = known.and_then(|follower| follower.ack_age);
            age.is_some_and(|age| age > silence_max)
        };
        let holds = |node: &NodeId| self.gossip.holds_level(*node) && !is_gone(*node);
        members(meta).iter().any(holds)
    }

    /// Another secret of DNS cookies, if it is time: without agreement on that, only the first.
    fn due_rotation(&self, secrets: &CookieSecrets) -> Option<Command> {
        let reading = self.gossip.time();
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
            self.state_machine.meta().cluster.capacity,
            self.config.capacity(),
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
        Command::Form => "having as many voters as it was founded for",
        Command::RaiseLevel(_) => "its feature level",
        Command::Tick { .. } => "what time it is",
        Command::SetBack { .. } => "setting time back",
        Command::RotateCookies { .. } => "another secret of DNS cookies",
        _ => "what an operator or a node asks",
    }
}

fn random<const SIZE: usize>() -> Option<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// How many vote, as of what is applied; none while a change is half made.
fn voter_count(meta: &Meta) -> u32 {
    let membership = applied_membership(meta).map(|stored| stored.membership);
    match membership.as_ref().map(|membership| &*membership.configs) {
        Ok([voters]) => voters.len().try_into().unwrap_or(u32::MAX),
        _ => 0,
    }
}

fn members(meta: &Meta) -> Vec<NodeId> {
    // Raft itself cannot go on when they are unreadable, and says so.
    let members = applied_membership(meta).map(|stored| stored.membership.nodes);
    members.unwrap_or_default().into_keys().collect()
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
