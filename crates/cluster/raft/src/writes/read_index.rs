//! Questions for the read index, which reads ask together.

use std::sync::{Arc, Mutex};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use quorate_peer::lock;
use quorate_state::LogIndex;

/// A question that several ask.
pub(super) type Question = Shared<BoxFuture<'static, Option<LogIndex>>>;

/// The questions that reads ask together. One is under way at a time, and those who come meanwhile
/// share the next: however many they are, they take no room on the link from PUTs.
#[derive(Clone, Default)]
pub(crate) struct ReadIndexes {
    next: Arc<Mutex<Option<Question>>>,
    under_way: Arc<tokio::sync::Mutex<()>>,
}

impl ReadIndexes {
    /// Joins the next question, which `ask` puts after this call.
    pub(super) fn join<F>(&self, ask: impl FnOnce() -> F + Send + 'static) -> Question
    where
        F: Future<Output = Option<LogIndex>> + Send,
    {
        let question = || {
            let questions = self.clone();
            let asked = async move {
                let _turn = questions.under_way.lock().await;
                // Whoever comes from here on asks anew.
                *lock(&questions.next) = None;
                ask().await
            };
            asked.boxed().shared()
        };
        lock(&self.next).get_or_insert_with(question).clone()
    }
}
