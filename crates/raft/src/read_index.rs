//! Reads that see everything committed before them (ReadIndex: Ongaro, *Consensus: Bridging Theory
//! and Practice*, section 6.4).

use std::time::Duration;

use quorate_rpc::message::{Request, Response};
use quorate_state::LogIndex;
use tokio::time::timeout;

use crate::{
    leadership::{Leader, next_leader, superseded},
    write_path::WritePath,
};

/// How long one leader may take to say up to where a read must have applied: some heartbeats.
const READ_INDEX_TIMEOUT: Duration = Duration::from_secs(1);

impl WritePath {
    /// Resolves when this node has applied everything that was committed before the call. Asks
    /// until a leader answers.
    pub(crate) async fn linearized(&self) {
        let mut path = self.clone();
        let index = loop {
            let leader = path.leader.borrow_and_update().clone();
            // A leader that hangs answers neither yes nor no, and its link may stay open.
            let index = tokio::select! {
                index = timeout(READ_INDEX_TIMEOUT, self.read_index(&leader)) => index,
                () = superseded(self.leader.clone(), &leader) => Ok(None),
            };
            match index {
                Ok(Some(index)) => break index,
                _ => next_leader(&mut path.leader).await,
            }
        };
        path.applied(index).await;
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
