//! Sending the result of a callback to the test.

use std::{io, sync::mpsc::Sender};

/// Sends the result of a callback, or an error when it is dropped.
pub(crate) struct ResultSender(Option<Sender<io::Result<()>>>);

impl ResultSender {
    pub(crate) fn new(results: Sender<io::Result<()>>) -> Self {
        Self(Some(results))
    }

    pub(crate) fn send(mut self, result: io::Result<()>) {
        if let Some(results) = self.0.take() {
            // Fails when the test has dropped the node, which is fine.
            drop(results.send(result));
        }
    }
}

impl Drop for ResultSender {
    fn drop(&mut self) {
        if let Some(results) = self.0.take() {
            drop(results.send(Err(io::Error::other("the callback was dropped"))));
        }
    }
}
