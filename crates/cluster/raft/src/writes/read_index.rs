//! Reads that see everything committed before them (ReadIndex: Ongaro, *Consensus: Bridging Theory
//! and Practice*, section 6.4).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use quorate_peer::message::{Request, Response};
use quorate_state::LogIndex;
use tokio::time::timeout;

use crate::{
    leadership::leader::{Leader, next_leader, superseded},
    writes::write_path::WritePath,
};

/// How long one leader may take to say up to where a read must have applied: some heartbeats.
const READ_INDEX_TIMEOUT: Duration = Duration::from_secs(1);

/// A question that several ask.
type Question = Shared<BoxFuture<'static, Option<LogIndex>>>;

/// The questions that reads ask together. One is under way at a time, and those who come meanwhile
/// share the next: however many they are, they take no room on the link from PUTs.
#[derive(Clone, Default)]
pub(crate) struct ReadIndexes {
    next: Arc<Mutex<Option<Question>>>,
    under_way: Arc<tokio::sync::Mutex<()>>,
}

impl ReadIndexes {
    /// Joins the next question, whose answer is asked for after this call.
    fn join(&self, path: &WritePath) -> Question {
        let ask = || {
            let (questions, path) = (self.clone(), path.clone());
            let ask = async move {
                let _turn = questions.under_way.lock().await;
                // Whoever comes from here on asks anew.
                *questions.next() = None;
                path.ask().await
            };
            ask.boxed().shared()
        };
        self.next().get_or_insert_with(ask).clone()
    }

    fn next(&self) -> MutexGuard<'_, Option<Question>> {
        // It holds a value that is replaced whole.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WritePath {
    /// Resolves when this node has applied everything that was committed before the call. Asks
    /// until a leader answers.
    pub(crate) async fn linearized(&self) {
        let mut path = self.clone();
        let index = loop {
            path.leader.borrow_and_update();
            match self.read_indexes.join(self).await {
                Some(index) => break index,
                None => next_leader(&mut path.leader).await,
            }
        };
        path.applied(index).await;
    }

    /// Asks the leader once.
    async fn ask(&self) -> Option<LogIndex> {
        let leader = self.leader.borrow().clone();
        // A leader that hangs answers neither yes nor no, and its link may stay open.
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
