//! What a leader proposes on its own: the id and the capacity of the cluster, a feature level that
//! all members support, the time, and the secrets of DNS cookies.

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
    adapters::applied_membership, membership::admin::SILENT_ELECTION_TIMEOUTS,
    node_context::NodeContext,
};

/// How often to check whether a proposal is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// For this many checks after the start, the next check follows after a heartbeat while a proposal
/// is due. After that many, perhaps because not all members are started, checks become slow.
const QUICK_CHECK_COUNT: u64 = 200;

/// Time is set back after a majority has agreed on an earlier time for this part of the retention.
const WAITS_PER_RETENTION: u32 = 8;

impl NodeContext {
    /// Proposes what is due while this node leads. Never returns.
    pub(crate) async fn propose_due_commands(self: Arc<Self>) {
        let (mut has_warned, mut logged) = (false, None);
        for check in 0_u64.. {
            has_warned = has_warned || self.warn_of_different_capacity();
            let leads = self.raft.view().role == Role::Leader;
            let mut is_rejected = false;
            // Another leader may have proposed it before, and an operator may have requested it.
            if leads
                && self.due_command().is_some()
                && timeout(CHECK_INTERVAL, self.catch_up()).await == Ok(Some(()))
                && let Some(command) = self.due_command()
            {
                let subject = subject(&command);
                // The time is proposed often, so it is not logged.
                let should_log = !matches!(command, Command::Tick { .. });
                if logged.replace(subject) != Some(subject) && should_log {
                    tracing::info!(on = subject, "proposing to the cluster");
                }
                // The applied state shows the result. If it is the same, the command is due again.
                let proposed = self.raft.propose(command.encode()).await;
                is_rejected = proposed == Proposed::Rejected;
            }
            let is_due = self.due_command().is_some();
            // The next due command is logged again, even if it is of the same kind.
            logged = logged.filter(|_| is_due);
            let is_forming = self.state_machine.meta().cluster.forming.is_some();
            let is_urgent = (is_forming || check < QUICK_CHECK_COUNT && is_due) && !is_rejected;
            sleep(match is_urgent {
                true => self.config.heartbeat(),
                false => CHECK_INTERVAL,
            })
            .await;
        }
    }

    /// The command that should be proposed next, if any.
    fn due_command(&self) -> Option<Command> {
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
            .is_some_and(|awaited| voter_count(&meta) >= awaited)
        {
            return Some(Command::FinishFounding);
        }
        let common = common_level(&members(&meta), |member| self.gossip.level(member));
        match common.filter(|common| *common > cluster.level && !self.is_level_on_hold(&meta)) {
            Some(common) => Some(Command::RaiseLevel(common)),
            None => self
                .due_time(&cluster.time)
                .or_else(|| self.due_rotation(&cluster.zones.cookie_secrets)),
        }
    }

    /// Proposes the time if the last time in the log is old or does not fit. Proposes to set time
    /// back if a majority has agreed for an eighth of the retention that it is earlier. All of that
    /// is stored in the log, so neither a new leader nor a restart starts the wait again.
    fn due_time(&self, time: &ClusterTime) -> Option<Command> {
        let (reading, last) = (self.gossip.time(), time.last_in_log()?);
        let now = reading.time;
        let is_old = now.since(last) >= TICK_INTERVAL || time.stamp_at(now).is_none();
        let behind_for = time.behind_for(now).unwrap_or_default();
        let is_agreed = reading.state == ClockState::Agreed;
        if is_agreed && behind_for >= self.config.retention() / WAITS_PER_RETENTION {
            return Some(Command::SetBack { now });
        }
        (is_agreed && is_old).then_some(Command::Tick { now })
    }

    /// Whether a live member does not want a higher level yet. Until a leader knows whether a
    /// member is alive, the last report of that member counts.
    fn is_level_on_hold(&self, meta: &Meta) -> bool {
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

    /// A new secret of DNS cookies, if one is due. While clocks do not agree, only the first one
    /// is.
    fn due_rotation(&self, secrets: &CookieSecrets) -> Option<Command> {
        let reading = self.gossip.time();
        let knows_time = reading.state == ClockState::Agreed || secrets.current.is_none();
        if !knows_time || !secrets.is_due(reading.time) {
            return None;
        }
        Some(Command::RotateCookies {
            secret: CookieSecret(random_bytes()?),
            now: reading.time,
        })
    }

    /// Logs a warning and returns true if the capacity of the cluster differs from the configured
    /// one.
    fn warn_of_different_capacity(&self) -> bool {
        let (agreed, configured) = (
            self.state_machine.meta().cluster.capacity,
            self.config.capacity(),
        );
        let differs = agreed.is_some_and(|agreed| agreed != configured);
        if differs {
            tracing::warn!(
                ?agreed,
                ?configured,
                "the capacity of the cluster differs from [packets] in the configuration, which is only \
                 used to found a cluster: the capacity of the cluster applies"
            );
        }
        differs
    }
}

/// What a command is about, for the log. The values are logged when it is applied.
fn subject(command: &Command) -> &'static str {
    match command {
        Command::Found(_) => "its id and capacity",
        Command::FinishFounding => "that all its first voters have joined",
        Command::RaiseLevel(_) => "its feature level",
        Command::Tick { .. } => "what time it is",
        Command::SetBack { .. } => "to set time back",
        Command::RotateCookies { .. } => "a new secret of DNS cookies",
        _ => "a request of an operator or a node",
    }
}

fn random_bytes<const SIZE: usize>() -> Option<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The number of voters, as of what is applied; 0 during a change of the voters.
fn voter_count(meta: &Meta) -> u32 {
    let membership = applied_membership(meta).map(|stored| stored.membership);
    match membership.as_ref().map(|membership| &*membership.configs) {
        Ok([voters]) => voters.len().try_into().unwrap_or(u32::MAX),
        _ => 0,
    }
}

fn members(meta: &Meta) -> Vec<NodeId> {
    // Raft itself cannot continue if they are unreadable, and reports it.
    let members = applied_membership(meta).map(|stored| stored.membership.nodes);
    members.unwrap_or_default().into_keys().collect()
}

/// The highest level that all members support. `None` unless the levels of all members are known.
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
        let known = |node| {
            [(a, Level(2)), (c, Level(3))]
                .into_iter()
                .find(|(id, _)| *id == node)
        };
        let known = |node| known(node).map(|(_, level)| level);
        assert_eq!(common_level(&[a, b], known), None);
        assert_eq!(common_level(&[a, c], known), Some(Level(2)));
        let all = |node| known(node).or(Some(Level(1)));
        assert_eq!(common_level(&[a, b, c], all), Some(Level(1)));
        assert_eq!(common_level(&[], all), None);
    }
}
