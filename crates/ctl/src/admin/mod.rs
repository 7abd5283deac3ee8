//! The admin API from the client's side.

#[cfg(test)]
#[path = "canned_tests.rs"]
pub(crate) mod canned;
mod client;
mod error;
mod session;
mod url;

use std::path::PathBuf;

use clap::Args;

pub(crate) use self::{
    client::{AdminClient, ApiCall},
    error::{AdminError, behind},
    session::{RetryPolicy, Session},
    url::AdminUrl,
};
use crate::{console::Console, token::Token};

/// The help heading of the arguments in [`AdminArgs`].
const HEADING: &str = "Which node to ask, and how to print the answer";

/// The variable that holds a token itself.
const TOKEN_VARIABLE: &str = "QUORATE_ADMIN_TOKEN";

/// Which node to ask, and how to print the answer.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// The admin API of any member; it forwards to the leader what only the leader can do
    #[arg(long, global = true, help_heading = HEADING, value_name = "URL")]
    #[arg(default_value = url::DEFAULT, env = "QUORATE_ADMIN")]
    admin: AdminUrl,
    /// A file with the bearer token; QUORATE_ADMIN_TOKEN can hold the token itself
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE")]
    #[arg(env = "QUORATE_ADMIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
}

impl AdminArgs {
    /// Opens a session with that node that prints to standard output and standard error.
    pub(crate) fn open(&self) -> anyhow::Result<Session> {
        let variable = (TOKEN_VARIABLE, std::env::var_os(TOKEN_VARIABLE));
        let token = Token::find(self.token_file.as_deref(), variable)?;
        Ok(Session {
            client: AdminClient::new(self.admin.clone(), token)?,
            console: Console::standard(self.json),
            retry_policy: RetryPolicy::NORMAL,
        })
    }
}
