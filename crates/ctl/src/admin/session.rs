//! A command that talks to one node and to whoever typed it.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep};

use super::{AdminClient, AdminError, Ask};
use crate::{console::Console, span};

#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// For how long a request is sent again that is refused for the moment. An election takes a few
    /// seconds, and a change of the membership no more unless a node has to catch up.
    pub(crate) retry_timeout: Duration,
    /// How long to wait before.
    pub(crate) retry_interval: Duration,
    /// How often to ask how far a node is that catches up.
    pub(crate) poll_interval: Duration,
}

impl RetryPolicy {
    /// For the eyes of people.
    pub(crate) const NORMAL: Self = Self {
        retry_timeout: Duration::from_secs(20),
        retry_interval: Duration::from_millis(500),
        poll_interval: Duration::from_secs(1),
    };
}

/// The node that is asked, and where its answers go.
pub(crate) struct Session {
    pub(crate) client: AdminClient,
    pub(crate) console: Console,
    pub(crate) retry_policy: RetryPolicy,
}

impl Session {
    /// Asks, and again for a while if the answer is that now is no time for it.
    pub(crate) async fn ask<A: DeserializeOwned>(&mut self, ask: &Ask) -> Result<A, AdminError> {
        let deadline = Instant::now() + self.retry_policy.retry_timeout;
        let mut said = String::new();
        loop {
            match self.client.send(ask).await {
                Err(AdminError::Refused { problem, .. })
                    if problem.retry && Instant::now() < deadline =>
                {
                    if said != problem.text() {
                        said = problem.text();
                        let timeout = span::shown(self.retry_policy.retry_timeout);
                        self.note(format_args!("{said}; retrying for {timeout}"));
                    }
                    sleep(self.retry_policy.retry_interval).await;
                }
                answer => return answer,
            }
        }
    }

    /// Asks, and prints the answer: as JSON, or else what `text` makes of it.
    pub(crate) async fn show<A: Serialize + DeserializeOwned>(
        &mut self,
        ask: &Ask,
        text: impl FnOnce(&A) -> String,
    ) -> anyhow::Result<A> {
        let answer = self.ask(ask).await?;
        self.console.print(&answer, text)?;
        Ok(answer)
    }

    /// Asks for a change, and says what came of it. Its answer is printed if JSON is wanted.
    pub(crate) async fn change<A: Serialize + DeserializeOwned>(
        &mut self,
        ask: &Ask,
        note: impl FnOnce(&A) -> String,
    ) -> anyhow::Result<A> {
        let answer = self.ask(ask).await?;
        self.note(note(&answer));
        self.console.report(&answer)?;
        Ok(answer)
    }

    /// Says something that is no data, on one line.
    pub(crate) fn note(&mut self, text: impl std::fmt::Display) {
        self.console.note(text);
    }
}
