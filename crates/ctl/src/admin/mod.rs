//! The admin API from the client's side.

#[cfg(test)]
#[path = "canned_tests.rs"]
pub(crate) mod canned;
mod client;
mod error;
mod owner;
mod session;
mod url;

use std::path::{Path, PathBuf};

use clap::Args;

pub(crate) use self::{
    client::{AdminClient, ApiCall},
    error::{AdminError, behind},
    session::{RetryPolicy, Session},
    url::AdminUrl,
};
use crate::{console::Console, token::Token};

/// Returns the socket of the node with this configuration file, if it has one.
pub type SocketOf = fn(&Path) -> anyhow::Result<Option<PathBuf>>;

/// The help heading of the arguments in [`AdminArgs`].
const HEADING: &str = "Which node to ask, and how to print the answer";

/// The variable that holds a token itself.
const TOKEN_VARIABLE: &str = "QUORATE_ADMIN_TOKEN";

/// Which node to ask, and how to print the answer.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// The admin API of any member, or unix:PATH; it forwards to the leader what only the leader can
    /// do. By default that of a node on this machine: on the socket of --config, on
    /// /run/quorate/admin.sock, or at http://127.0.0.1:9100
    #[arg(long, global = true, help_heading = HEADING, value_name = "URL")]
    #[arg(env = "QUORATE_ADMIN")]
    admin: Option<AdminUrl>,
    /// The configuration file of a node on this machine, whose socket is used if it exists
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with the bearer token; QUORATE_ADMIN_TOKEN can hold the token itself
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE")]
    #[arg(env = "QUORATE_ADMIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
}

impl AdminArgs {
    /// Where the node is. A given address is used even if another one would be found.
    fn url(&self, socket_of: SocketOf) -> anyhow::Result<AdminUrl> {
        if let Some(admin) = &self.admin {
            return Ok(admin.clone());
        }
        let socket = self.config.as_deref().map(socket_of).transpose()?;
        let system_socket = url::SYSTEM_SOCKET.as_ref();
        Ok(AdminUrl::found(socket.flatten().as_deref(), system_socket))
    }

    /// Opens a session with that node that prints to standard output and standard error.
    pub(crate) fn open(&self, socket_of: SocketOf) -> anyhow::Result<Session> {
        let variable = (TOKEN_VARIABLE, std::env::var_os(TOKEN_VARIABLE));
        let token = Token::find(self.token_file.as_deref(), variable)?;
        Ok(Session {
            client: AdminClient::new(self.url(socket_of)?, token)?,
            console: Console::standard(self.json),
            retry_policy: RetryPolicy::NORMAL,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(admin: Option<&str>, config: Option<&str>) -> String {
        let args = AdminArgs {
            admin: admin.map(|url| url.parse().unwrap()),
            config: config.map(PathBuf::from),
            token_file: None,
            json: false,
        };
        // A file that exists.
        let url = args.url(|_| Ok(Some(env!("CARGO_MANIFEST_DIR").into())));
        url.unwrap().to_string()
    }

    #[test]
    fn an_explicit_address_is_used_whatever_else_there_is() {
        for admin in ["http://ns1:9100", "unix:/no/such/socket"] {
            assert_eq!(url_of(Some(admin), Some("config.toml")), admin);
            assert_eq!(url_of(Some(admin), None), admin);
        }
        let expected = concat!("unix:", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(url_of(None, Some("config.toml")), expected);
    }
}
