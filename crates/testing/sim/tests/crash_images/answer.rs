//! What becomes of a group.

use std::{io, sync::mpsc::Sender};

/// The result of a group, which is an error when the callback is dropped.
pub(crate) struct Answer(Option<Sender<io::Result<()>>>);

impl Answer {
    pub(crate) fn new(results: Sender<io::Result<()>>) -> Self {
        Self(Some(results))
    }

    pub(crate) fn send(mut self, result: io::Result<()>) {
        if let Some(results) = self.0.take() {
            // Nobody waits any more when the node was given up.
            drop(results.send(result));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(results) = self.0.take() {
            drop(results.send(Err(io::Error::other("the callback was dropped"))));
        }
    }
}
