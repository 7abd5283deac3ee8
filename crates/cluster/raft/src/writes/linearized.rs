//! Reads that see everything committed before them (ReadIndex: Ongaro, *Consensus: Bridging Theory
//! and Practice*, section 6.4).

use std::time::Duration;

use quorate_peer::message::{Request, Response};
use quorate_state::LogIndex;
use tokio::time::timeout;

use crate::{
    leadership::leader::{Leader, next_leader, superseded},
    writes::write_path::WritePath,
};

/// How long a leader may take to answer with the read index: several heartbeats.
const READ_INDEX_TIMEOUT: Duration = Duration::from_secs(1);

impl WritePath {
    /// Resolves when this node has applied everything that was committed before the call. Retries
    /// until a leader answers.
    pub(crate) async fn linearized(&self) {
        let mut path = self.clone();
        let index = loop {
            path.leader.borrow_and_update();
            let requester = self.clone();
            let request = move || async move { requester.request_once().await };
            match self.read_indexes.join(request).await {
                Some(index) => break index,
                None => next_leader(&mut path.leader).await,
            }
        };
        path.wait_until_applied(index).await;
    }

    /// Requests the read index from the current leader, once. `None` if it does not answer.
    async fn request_once(&self) -> Option<LogIndex> {
        let leader = self.leader.borrow().clone();
        // A leader that hangs does not answer at all, and its link may stay open.
        tokio::select! {
            index = timeout(READ_INDEX_TIMEOUT, self.read_index(&leader)) => index.ok().flatten(),
            () = superseded(self.leader.clone(), &leader) => None,
        }
    }

    async fn read_index(&self, leader: &Leader) -> Option<LogIndex> {
        let (leader, address) = leader.node.as_ref()?;
        if *leader == self.node {
            return self.raft.read_index().await;
        }
        let peers = &self.peers;
        match peers.forward(*leader, address, Request::ReadIndex).await {
            Ok(Response::ReadIndex(index)) => index,
            _ => None,
        }
    }
}
