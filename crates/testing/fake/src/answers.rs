//! What the replica answers operators.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use quorate_packet::PublicKey;
use quorate_peer::JoinToken;
use quorate_replica::{
    Change, Changed, ClusterId, ClusterMembers, Invited, Member, MemberRole, MemberState, NodeId,
    Operator, PublishChange, ReadError, Refusal, StoredPacket, ZoneChange,
};
use quorate_state::{InviteId, UnixMillis};

use crate::{Asked, FakeReplica, operator::NODE, replica::wait_for};

/// What the cluster is called.
const CLUSTER: ClusterId = ClusterId([2; 32]);
/// The only invite there is.
const INVITE: InviteId = InviteId([3; 16]);

impl Operator for FakeReplica {
    fn members(&self) -> BoxFuture<'_, Result<ClusterMembers, Refusal>> {
        async {
            let state = self.operators.lock();
            state.check()?;
            Ok(ClusterMembers {
                cluster: Some(CLUSTER),
                leader: state.leader,
                members: vec![member()],
            })
        }
        .boxed()
    }

    fn invite(
        &self,
        stays_learner: bool,
        valid: Duration,
    ) -> BoxFuture<'_, Result<Invited, Refusal>> {
        async move {
            self.operators.ask(Asked::Invite(stays_learner, valid))?;
            Ok(Invited {
                token: JoinToken {
                    cluster: CLUSTER,
                    invite: INVITE,
                    seed: [4; 32],
                    members: vec![(NODE, member().address)],
                }
                .to_string(),
                invite: INVITE,
                expires: UnixMillis(1_000),
            })
        }
        .boxed()
    }

    fn change(&self, change: Change, force: bool) -> BoxFuture<'_, Result<Changed, Refusal>> {
        async move {
            self.operators.ask(Asked::Change(change, force))?;
            wait_for(&self.operators.answers_changes).await;
            let state = self.operators.lock();
            Ok(Changed {
                node: NODE,
                lag: state.lag,
                warnings: state.warnings.clone(),
            })
        }
        .boxed()
    }

    fn transfer_leader(&self, to: Option<String>) -> BoxFuture<'_, Result<NodeId, Refusal>> {
        async move {
            self.operators.ask(Asked::Transfer(to))?;
            Ok(NODE)
        }
        .boxed()
    }

    /// Applied as a cluster would, unless a test says otherwise.
    fn change_zone(&self, change: ZoneChange) -> BoxFuture<'_, Result<(), Refusal>> {
        async move {
            self.operators.ask(Asked::ChangeZone(change.clone()))?;
            self.apply_zone_change(&change)
        }
        .boxed()
    }

    /// Applied as a cluster would, unless a test says otherwise.
    fn change_publishing(&self, change: PublishChange) -> BoxFuture<'_, Result<(), Refusal>> {
        async move {
            let asked = Asked::ChangePublishing(change.clone());
            self.operators.ask(asked)?;
            self.apply_publish_change(&change)
        }
        .boxed()
    }

    fn delete_packet(
        &self,
        key: PublicKey,
        block: Option<Duration>,
    ) -> BoxFuture<'_, Result<bool, Refusal>> {
        async move {
            self.operators.ask(Asked::DeletePacket(key, block))?;
            Ok(self.take_out(&key))
        }
        .boxed()
    }

    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError> {
        self.stored_after(after, count)
    }
}

fn member() -> Member {
    Member {
        node: NODE,
        name: "fra-1".into(),
        address: "fra-1.example:9000".into(),
        role: MemberRole::Voter,
        state: MemberState::Leader,
        lag: Some(0),
        silent_ms: None,
    }
}
