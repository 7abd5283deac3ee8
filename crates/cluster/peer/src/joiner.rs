//! Nodes that ask to join.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{JoinRequest, NodeId, Service};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;

use crate::{
    frame::{FrameCodec, FrameError},
    greeting::{
        FrameReader, FrameWriter, GREETING_SIZE_MAX, Greeting, Hello, JOIN_ANSWER_SIZE_MAX,
    },
    log_budget::LogBudget,
    metrics::JoinOutcome,
};

/// A node that has asked to join, and waits for the answer.
pub(crate) struct Joiner {
    node: NodeId,
    address: SocketAddr,
    request: JoinRequest,
    writer: FrameWriter<Greeting>,
}

impl Joiner {
    /// The node that is behind a connection on which it has said `request`.
    pub(crate) fn new(
        node: NodeId,
        address: SocketAddr,
        request: JoinRequest,
        writer: FrameWriter<Greeting>,
    ) -> Self {
        Self {
            node,
            address,
            request,
            writer: writer.map_encoder(|_| FrameCodec::new(JOIN_ANSWER_SIZE_MAX, None)),
        }
    }

    /// Asks the service within `join_timeout` and says its answer, if it gives one. The connection
    /// is over then.
    pub(crate) async fn answer(
        &mut self,
        service: Arc<dyn Service>,
        join_timeout: Duration,
        write_timeout: Duration,
    ) -> JoinOutcome {
        let answer = service.join(self.node, self.request.clone());
        let Ok(answer) = timeout(join_timeout, answer).await else {
            // Nor has anybody said that it has a token.
            return JoinOutcome::TimedOut;
        };
        let outcome = JoinOutcome::of(answer.as_ref());
        let said = async {
            if let Some(answer) = answer {
                self.writer.send(Greeting::Join(answer)).await?;
            }
            self.writer.close().await
        };
        // Whether it hears the answer or asks again, the connection is over.
        let _ = timeout(write_timeout, said).await;
        outcome
    }

    /// Writes down what came of it.
    pub(crate) fn log(&self, outcome: JoinOutcome, log: &LogBudget) {
        let Some(unlogged) = log.take(Instant::now()) else {
            return;
        };
        let JoinRequest {
            invite,
            name,
            address: reached_at,
            ..
        } = &self.request;
        tracing::info!(
            node = %self.node, address = %self.address, %invite, ?name, ?reached_at, ?outcome,
            unlogged, "a node asked to join"
        );
    }
}

/// Reads what a node says behind its hello that wants to join.
pub(crate) async fn read_request(reader: FrameReader<Hello>) -> Result<JoinRequest, FrameError> {
    let mut reader = reader.map_decoder(|_| FrameCodec::new(GREETING_SIZE_MAX, None));
    reader.next().await.unwrap_or(Err(FrameError::Closed))
}
