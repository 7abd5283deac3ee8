//! The leader's handlers for invites, joining nodes and node names.

use std::{collections::BTreeSet, time::Duration};

use quorate_api::{OpenInvite, Problem, RegisterNode};
use quorate_peer::NodeId;
use quorate_state::{Command, Invite, Join, JoinRejection, Outcome, Registration};

use super::{
    address::is_dialable,
    admin::LeaderTask,
    problems::{bad_address, failed, unknown_node, unsuitable_node},
};

impl LeaderTask<'_> {
    /// Opens an invite and returns when it expires. A repeated request finds the invite of the first one.
    pub(super) async fn open_invite(&self, open: OpenInvite) -> Result<u64, Problem> {
        self.check_founded()?;
        let OpenInvite { id, key, request } = open;
        if let Some(known) = self.cluster().node_registry.invites.get(&id) {
            return Ok(known.expires.0);
        }
        let now = self.now();
        let invite = Invite {
            key,
            expires: now.saturating_add(Duration::from_secs(request.valid_secs)),
            stays_learner: request.learner,
            uses: request.uses,
            used_by: BTreeSet::new(),
        };
        let expires = invite.expires.0;
        self.commit(Command::Invite { id, invite, now }).await?;
        tracing::info!(invite = %id, expires, "opened an invite: a node may join");
        Ok(expires)
    }

    /// Registers a node. Fails for a member that comes with another token: it has most likely lost its
    /// data, and with its old identity it would get its vote back.
    pub(super) async fn join(
        &self,
        call: RegisterNode,
    ) -> Result<Result<(), JoinRejection>, Problem> {
        self.check_founded()?;
        if !is_dialable(&call.address) {
            return Err(bad_address(&call.address));
        }
        check_name(&call.name)?;
        let node_registry = self.cluster().node_registry;
        let invite = node_registry.invites.get(&call.invite);
        let has_used_invite = invite.is_some_and(|invite| invite.used_by.contains(&call.node.0));
        if self.membership_snapshot().is_member(call.node) && !has_used_invite {
            let text = "this node is a member already: start it with a new key, or remove it first";
            return Err(unsuitable_node(text));
        }
        let (node, name, address) = (call.node, call.name.clone(), call.address.clone());
        let join = Join {
            invite: call.invite,
            node: call.node.0,
            name: call.name,
            address: call.address,
            now: self.now(),
        };
        // A request that all nodes would reject is not written to the log: a node that once had a token
        // can retry for ever.
        if let Err(rejection) = self.cluster().node_registry.check_join(&join) {
            return Ok(Err(rejection));
        }
        match self.commit(Command::Join(join)).await? {
            (_, Outcome::Joined(joined)) => {
                match &joined {
                    Ok(()) => tracing::info!(name, %node, address, "a node has joined"),
                    Err(reason) => {
                        tracing::info!(%reason, name, %node, address, "rejected a node that wanted to join");
                    }
                }
                Ok(joined)
            }
            (_, other) => Err(failed(format!("joining returned an unexpected {other:?}"))),
        }
    }

    /// Records the configured name of a registered node.
    pub(super) async fn rename(&self, node: NodeId, name: String) -> Result<(), Problem> {
        check_name(&name)?;
        let node_registry = self.cluster().node_registry;
        let known = node_registry.registrations.get(&node.0);
        let known = known.ok_or_else(|| unknown_node(&node.to_string()))?;
        let mut others = node_registry.registrations.iter();
        if others.any(|(key, other)| *key != node.0 && other.name == name) {
            let text =
                format!("another node is called {name:?} already: set another cluster.node_name");
            return Err(unsuitable_node(text));
        }
        let registration = Registration {
            name,
            ..known.clone()
        };
        self.register(node, registration).await
    }
}

/// Rejects names with spaces or control characters: names are shown to operators unescaped.
fn check_name(name: &str) -> Result<(), Problem> {
    match name.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Err(unsuitable_node(format!(
            "{name:?} is not a valid node name: it has spaces or control characters"
        ))),
        false => Ok(()),
    }
}
