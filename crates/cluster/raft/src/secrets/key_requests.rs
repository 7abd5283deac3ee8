//! Cluster keys on their way between nodes.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use quorate_peer::{
    Admission, ClusterKey, NodeId, StreamKind, chain,
    message::{Request, Response},
};
use quorate_state::KeyId;
use tokio::time::timeout;

use crate::node_context::NodeContext;

/// How long a peer may take to answer: a handshake and a write to disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

impl NodeContext {
    /// Sends a key to all other members, and returns those that have it on disk.
    pub(super) async fn send_key(&self, key: &ClusterKey) -> BTreeSet<NodeId> {
        let members = self.other_members();
        let sent = members.iter().map(async |(peer, address)| {
            let request = Request::KeepKey(key.clone());
            let answer = self.request_key(*peer, address, request).await;
            (answer == Some(Response::KeyKept)).then_some(*peer)
        });
        join_all(sent).await.into_iter().flatten().collect()
    }

    /// Asks all other members for a key.
    pub(super) async fn ask_for_key(&self, id: KeyId) -> Option<ClusterKey> {
        let members = self.other_members();
        let asked = members.iter().map(async |(peer, address)| {
            match self.request_key(*peer, address, Request::Key(id)).await {
                // Its id is a hash of it, so a peer cannot give another.
                Some(Response::Key(Some(key))) if key.id() == id => Some(key),
                _ => None,
            }
        });
        join_all(asked).await.into_iter().flatten().next()
    }

    /// Answers a leader that sends a key. It is kept until the cluster switches to another one.
    pub(crate) async fn keep_key(&self, peer: NodeId, key: ClusterKey) -> Response {
        if !self.peers.membership_view.is_voter(peer) {
            return Response::Failed("only a voter may send a cluster key".to_owned());
        }
        match self.cluster_keys.add_pending(key).await {
            Ok(()) => Response::KeyKept,
            Err(error) => {
                let error = chain(&error);
                tracing::error!(error, "a new cluster key is not kept");
                Response::Failed(error)
            }
        }
    }

    /// Answers a peer that asks for a key. Only a member gets one, and only one that the applied state needs:
    /// a node that has applied the removal of another has applied what came before, and a key made after the
    /// removal is switched to later.
    pub(crate) fn give_key(&self, peer: NodeId, id: KeyId) -> Response {
        let cluster = self.state_machine.meta().cluster.clone();
        let is_needed = cluster.secrets.keys().any(|needed| needed == id);
        let is_listed = matches!(
            self.peers.membership_view.admission(peer, &[]),
            Admission::Listed
        );
        let is_removed = cluster.node_registry.removed.contains_key(&peer.0);
        let may_have = is_needed && is_listed && !is_removed;
        Response::Key(self.cluster_keys.key(id).filter(|_| may_have))
    }

    /// The members but this node and those whose removal has begun.
    fn other_members(&self) -> Vec<(NodeId, String)> {
        let cluster = self.state_machine.meta().cluster.clone();
        let mut members = self.peers.membership_view.members();
        members.remove(&self.config.node);
        let is_removed = |node: &NodeId| cluster.node_registry.removed.contains_key(&node.0);
        members.retain(|node, _| !is_removed(node));
        members.into_iter().collect()
    }

    /// The answer of a peer; `None` if it gives none in time.
    async fn request_key(&self, peer: NodeId, address: &str, request: Request) -> Option<Response> {
        let link = self.peers.new_link(peer, address, StreamKind::Admin);
        let answered = timeout(ANSWER_TIMEOUT, async {
            link.opened().await?;
            link.call(request).await
        });
        match answered.await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(%peer, error = chain(&error), "a peer gives no answer about a cluster key");
                None
            }
            Err(_) => None,
        }
    }
}
