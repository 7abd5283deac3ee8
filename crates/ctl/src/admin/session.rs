//! A session of a command with one node and the terminal.

use std::time::Duration;

use reqwest::Response;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep};

use super::{AdminClient, AdminError, ApiCall};
use crate::{console::Console, span};

#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// For how long a temporarily rejected request is retried. An election takes a few seconds, and so does
    /// a membership change unless a node has to catch up.
    pub(crate) retry_timeout: Duration,
    /// The pause before a retry.
    pub(crate) retry_interval: Duration,
    /// How often to poll the progress of a node that catches up.
    pub(crate) poll_interval: Duration,
}

impl RetryPolicy {
    /// The policy of all commands.
    pub(crate) const NORMAL: Self = Self {
        retry_timeout: Duration::from_secs(20),
        retry_interval: Duration::from_millis(500),
        poll_interval: Duration::from_secs(1),
    };
}

/// A node and the console for its answers.
pub(crate) struct Session {
    pub(crate) client: AdminClient,
    pub(crate) console: Console,
    pub(crate) retry_policy: RetryPolicy,
}

impl Session {
    /// Sends a request, and retries it for a while if it is temporarily rejected.
    pub(crate) async fn call<A: DeserializeOwned>(
        &mut self,
        call: &ApiCall,
    ) -> Result<A, AdminError> {
        self.retrying(async |client| client.send(call).await).await
    }

    /// The same for a request whose answer is a backup.
    pub(crate) async fn download(&mut self, call: &ApiCall) -> Result<Response, AdminError> {
        self.retrying(async |client| client.download(call).await)
            .await
    }

    async fn retrying<A>(
        &mut self,
        send: impl AsyncFn(&AdminClient) -> Result<A, AdminError>,
    ) -> Result<A, AdminError> {
        let deadline = Instant::now() + self.retry_policy.retry_timeout;
        let mut last_text = String::new();
        loop {
            match send(&self.client).await {
                Err(AdminError::Rejected { problem, .. })
                    if problem.retry && Instant::now() < deadline =>
                {
                    if last_text != problem.text() {
                        last_text = problem.text();
                        let timeout = span::shown(self.retry_policy.retry_timeout);
                        self.note(format_args!("{last_text}; retrying for {timeout}"));
                    }
                    sleep(self.retry_policy.retry_interval).await;
                }
                answer => return answer,
            }
        }
    }

    /// Sends a request and prints the answer: as JSON, or as formatted by `text`.
    pub(crate) async fn show<A: Serialize + DeserializeOwned>(
        &mut self,
        call: &ApiCall,
        text: impl FnOnce(&A) -> String,
    ) -> anyhow::Result<A> {
        let answer = self.call(call).await?;
        self.console.print(&answer, text)?;
        Ok(answer)
    }

    /// Sends a change and prints the result as a note, or the answer as JSON.
    pub(crate) async fn change<A: Serialize + DeserializeOwned>(
        &mut self,
        call: &ApiCall,
        note: impl FnOnce(&A) -> String,
    ) -> anyhow::Result<A> {
        let answer = self.call(call).await?;
        self.note(note(&answer));
        self.console.report(&answer)?;
        Ok(answer)
    }

    /// Prints a line to standard error: a message, not data.
    pub(crate) fn note(&mut self, text: impl std::fmt::Display) {
        self.console.note(text);
    }
}
