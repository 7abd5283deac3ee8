//! What a leader proposes on its own: the id and the capacity of the cluster, a feature level that
//! all members support, and the time.

use std::{sync::Arc, time::Duration};

use quorate_clock::ClockState;
use quorate_peer::{NodeId, message::Proposed};
use quorate_replica::Role;
use quorate_state::{ClusterState, Command, Found, Level, SettingsChange, TICK_INTERVAL};
use quorate_store::Meta;
use tokio::time::{sleep, timeout};

use crate::{
    PacketSettings, adapters::applied_membership, membership::admin::SILENT_ELECTION_TIMEOUTS,
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
        let (mut warned_of, mut logged) = (Vec::new(), None);
        for check in 0_u64.. {
            self.warn_of_different_settings(&mut warned_of);
            let retention = self.retention(&self.state_machine.meta().cluster);
            self.gossip.set_retention(retention);
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
        if cluster.retention_secs.is_none() {
            let retention_secs = Some(self.config.settings.packets.retention_secs);
            return Some(Command::ChangeSettings(SettingsChange {
                retention_secs,
                ..SettingsChange::default()
            }));
        }
        let common = common_level(&members(&meta), |member| self.gossip.level(member));
        match common.filter(|common| *common > cluster.level && !self.is_level_on_hold(&meta)) {
            Some(common) => Some(Command::RaiseLevel(common)),
            None => self.due_time(cluster),
        }
    }

    /// Proposes the time if the last time in the log is old or does not fit. Proposes to set time
    /// back if a majority has agreed for an eighth of the retention that it is earlier. All of that
    /// is stored in the log, so neither a new leader nor a restart starts the wait again.
    fn due_time(&self, cluster: &ClusterState) -> Option<Command> {
        let time = &cluster.time;
        let (reading, last) = (self.gossip.time(), time.last_in_log()?);
        let now = reading.time;
        let is_old = now.since(last) >= TICK_INTERVAL || time.stamp_at(now).is_none();
        let behind_for = time.behind_for(now).unwrap_or_default();
        let is_agreed = reading.state == ClockState::Agreed;
        if is_agreed && behind_for >= self.retention(cluster) / WAITS_PER_RETENTION {
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

    /// How long a packet is kept after it was last received.
    pub(crate) fn retention(&self, cluster: &ClusterState) -> Duration {
        let agreed = cluster.retention();
        agreed.unwrap_or_else(|| self.config.retention())
    }

    /// Logs a warning, once, if the cluster has agreed on other settings than are configured.
    fn warn_of_different_settings(&self, warned_of: &mut Vec<(&'static str, u64)>) {
        let PacketSettings {
            count_max,
            size_max,
            retention_secs,
        } = self.config.settings.packets;
        let (capacity, agreed_secs) = {
            let meta = self.state_machine.meta();
            (meta.cluster.capacity, meta.cluster.retention_secs)
        };
        let agreed_count = capacity.map(|capacity| capacity.count_max);
        let agreed_size = capacity.map(|capacity| capacity.size_max);
        let differs = [
            ("packets.count_max", count_max, agreed_count),
            ("packets.size_max", size_max, agreed_size),
            ("packets.retention_secs", retention_secs, agreed_secs),
        ]
        .into_iter()
        .filter_map(|(setting, configured, agreed)| Some((setting, configured, agreed?)))
        .filter(|(_, configured, agreed)| agreed != configured);
        for (setting, configured, agreed) in differs {
            if warned_of.contains(&(setting, agreed)) {
                continue;
            }
            warned_of.retain(|(known, _)| *known != setting);
            warned_of.push((setting, agreed));
            tracing::warn!(
                setting,
                configured,
                agreed,
                "the cluster has agreed on another value than is configured, and that one applies: \
                 correct the configuration, or change the cluster with `quorate cluster set`"
            );
        }
    }
}

/// What a command is about, for the log. The values are logged when it is applied.
fn subject(command: &Command) -> &'static str {
    match command {
        Command::Found(_) => "its id and capacity",
        Command::ChangeSettings(_) => "its retention",
        Command::FinishFounding => "that all its first voters have joined",
        Command::RaiseLevel(_) => "its feature level",
        Command::Tick { .. } => "what time it is",
        Command::SetBack { .. } => "to set time back",
        _ => "a request of an operator or a node",
    }
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
