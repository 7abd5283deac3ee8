//! Which live members publish packets in the DHT. The leader knows, and its messages say so.
//!
//! The members are bits, in the order of their keys. Nodes that have applied different memberships read
//! them differently for a moment: then two nodes publish a packet, or none does in this round.

use std::{sync::Arc, time::Duration};

use quorate_peer::NodeId;
use quorate_replica::Role;
use tokio::time::sleep;

use crate::{
    adapters::applied_membership, membership::admin::SILENT_ELECTION_TIMEOUTS,
    node_context::NodeContext,
};

/// How often the leader checks who is alive.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl NodeContext {
    /// While this node leads, keeps up to date what its messages say. Never returns.
    pub(crate) async fn report_publishers(self: Arc<Self>) {
        let silence_max = self.config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS;
        loop {
            if self.raft.view().role == Role::Leader {
                let members = self.ordered_members().into_iter().zip(bits());
                let publishers = members
                    .filter(|(member, _)| self.gossip.publishes(*member, silence_max))
                    .fold(0, |all, (_, bit)| all | bit);
                self.gossip.set_publishers(publishers);
            }
            sleep(CHECK_INTERVAL).await;
        }
    }

    /// The live members that publish in the DHT; none while no leader is known.
    pub(crate) fn publishers(&self) -> Vec<NodeId> {
        let publishers = self.gossip.publishers();
        let members = self.ordered_members().into_iter().zip(bits());
        members
            .filter(|(_, bit)| publishers & bit != 0)
            .map(|(member, _)| member)
            .collect()
    }

    fn ordered_members(&self) -> Vec<NodeId> {
        let members = applied_membership(&self.state_machine.meta());
        let members = members.map(|stored| stored.membership.nodes);
        members.unwrap_or_default().into_keys().collect()
    }
}

/// A bit for each of the first 64 members. More do not publish.
fn bits() -> impl Iterator<Item = u64> {
    (0..u64::BITS).map(|place| 1 << place)
}
