//! Requests that are sent ahead of their responses.

use std::collections::VecDeque;

use quorate_peer::{
    LinkError,
    message::{Request, Response},
};

use crate::{
    links::connection::{CallError, Reply},
    links::peer_link::PeerLink,
};

/// The most pieces of a snapshot in flight. Of a megabyte each, they fill a link of a gigabit a second
/// and 64 ms; what the receiver has not taken yet waits in the buffers of the connection.
pub(crate) const WINDOW: usize = 8;

/// Requests in flight on a link of one user, whose responses come in order.
pub(crate) struct Window<'l> {
    link: &'l PeerLink,
    /// Oldest first.
    replies: VecDeque<Reply>,
}

impl<'l> Window<'l> {
    pub(crate) fn new(link: &'l PeerLink) -> Self {
        Self {
            link,
            replies: VecDeque::with_capacity(WINDOW),
        }
    }

    /// Whether a response has to come before another request may be sent.
    pub(crate) fn is_full(&self) -> bool {
        self.replies.len() >= WINDOW
    }

    pub(crate) async fn send(&mut self, request: Request) -> Result<(), CallError> {
        self.replies.push_back(self.link.send(request).await?);
        Ok(())
    }

    /// The response to the oldest request.
    pub(crate) async fn response(&mut self) -> Result<Response, CallError> {
        let Some(oldest) = self.replies.front_mut() else {
            let text = "every request has had its response";
            return Err(CallError::Lost(LinkError::Failed(text.to_owned())));
        };
        let response = oldest.response().await;
        self.replies.pop_front();
        response
    }
}
