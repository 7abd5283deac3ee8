//! The member's side of a join.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;

use crate::{
    JoinRequest, LinkServerConfig, LogBudget, NodeId, Service,
    frame::{FrameCodec, FrameError},
    greeting::{FrameReader, FrameWriter, Greeting, HELLO_SIZE_MAX, Hello},
    metrics::JoinOutcome,
};

/// A node that has sent a request to join and waits for the answer.
pub(crate) struct Joiner {
    pub(crate) node: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) request: JoinRequest,
    pub(crate) writer: FrameWriter<Greeting>,
}

impl Joiner {
    /// Passes the request to the service and sends its answer, if one arrives within the timeout.
    /// Then the connection ends.
    pub(crate) async fn answer(
        &mut self,
        service: Arc<dyn Service>,
        config: &LinkServerConfig,
    ) -> JoinOutcome {
        let answer = service.join(self.node, self.request.clone());
        let Ok(answer) = timeout(config.join_timeout, answer).await else {
            // The token was not proved either.
            return JoinOutcome::TimedOut;
        };
        let outcome = JoinOutcome::of(answer.as_ref());
        let answering = async {
            if let Some(answer) = answer {
                self.writer.send(Greeting::Join(answer)).await?;
            }
            self.writer.close().await
        };
        // The connection ends whether or not the joiner receives the answer.
        let _ = timeout(config.write_timeout, answering).await;
        outcome
    }

    /// Logs the outcome.
    pub(crate) fn log(&self, outcome: JoinOutcome, log: &LogBudget) {
        let Some(unlogged) = log.take(Instant::now()) else {
            return;
        };
        let request = &self.request;
        tracing::info!(
            node = %self.node, address = %self.address, invite = %request.invite,
            name = ?request.name, reached_at = ?request.address, ?outcome, unlogged,
            "a node requested to join"
        );
    }
}

/// Reads the request to join after a hello.
pub(crate) async fn read_request(reader: FrameReader<Hello>) -> Result<JoinRequest, FrameError> {
    let mut reader = reader.map_decoder(|_| FrameCodec::new(HELLO_SIZE_MAX, None));
    reader.next().await.unwrap_or(Err(FrameError::Closed))
}
