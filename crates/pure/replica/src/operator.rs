//! What operators ask.

use std::time::Duration;

use futures_util::future::BoxFuture;
use quorate_api::{Asked, Operation, Problem, answer_to};
use quorate_packet::PublicKey;
use quorate_state::StoredPacket;

use crate::{ReadError, Replica};

/// Answers operators: any node does, by asking the leader.
pub trait Operator: Replica {
    /// Has the leader do what is asked, and gives its answer as JSON. Resolves when this node has
    /// applied it, and in any case within the time that is left. If no leader is known for longer than
    /// an election takes, the problem is [`NoLeader`](quorate_api::ProblemType::NoLeader); the members are
    /// then listed as this node knows them.
    fn operate(&self, asked: Asked) -> BoxFuture<'_, Result<serde_json::Value, Problem>>;

    /// Up to `count` packets of the local replica behind the key `after`, in the order of keys.
    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError>;
}

/// Asks for an operation. See [`Operator::operate`].
pub async fn ask<O: Operation>(
    operator: &(impl Operator + ?Sized),
    operation: O,
    token: Option<String>,
    time_left: Duration,
) -> Result<O::Answer, Problem> {
    let asked = Asked {
        token,
        ..Asked::new(operation, time_left)
    };
    answer_to::<O>(operator.operate(asked).await?)
}
