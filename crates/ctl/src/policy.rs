//! Who may publish: `quorate policy`.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, ValueEnum};
use quorate_api::{
    KeyPage, KeysChange, NewPublishToken, PACKET_COUNT_MAX, POLICY_KEY_COUNT_MAX, Policy,
    PublishKeysRequest, PublishMode, PublishModeRequest, PublishTokenRequest, PublishTokens,
    parse_publish_token_name, path,
};
use quorate_packet::PublicKey;

use crate::{
    admin::{ApiCall, Session},
    key_list::{self, KEY_COUNT_MAX},
    table::table,
};

pub(crate) const HELP: &str = "\
These settings hold at all nodes. A denied key may not publish in any mode; an allowed key may, unless it is
denied. Stored packets stay: `quorate packet delete KEY` removes one.

  quorate policy deny KEY
  quorate policy list denied > keys
  quorate policy undeny --file keys
  quorate policy allow --file keys && quorate policy mode allow-list
  quorate policy token add ci > ci.token && quorate policy mode tokens
  quorate publish --token-file ci.token --key me.key _iroh TXT relay=https://relay.example.org";

/// Shows or changes who may publish.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show who may publish
    Show,
    /// Set who may publish, among keys that are not denied
    Mode {
        /// The mode
        mode: ModeArg,
    },
    /// List the allowed or denied keys, one on a line
    List {
        /// The list
        list: ListArg,
    },
    /// Allow keys to publish in any mode
    Allow(KeysArgs),
    /// Remove keys from the allowed ones
    Disallow(KeysArgs),
    /// Deny keys in every mode. Their stored packets stay
    Deny(KeysArgs),
    /// Remove keys from the denied ones
    Undeny(KeysArgs),
    /// Show or change the publish tokens, which are valid in the mode tokens
    #[command(subcommand)]
    Token(TokenCommand),
}

/// Shows or changes the publish tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token and print it. It is not shown again: the cluster keeps its SHA-256
    Add {
        /// The name of the token
        #[arg(value_parser = parse_publish_token_name)]
        name: String,
    },
    /// Revoke a token
    Remove {
        /// The name of the token
        #[arg(value_parser = parse_publish_token_name)]
        name: String,
    },
    /// List the names of the tokens, one on a line
    List,
}

/// Who may publish.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ModeArg {
    /// Everybody.
    Open,
    /// Keys that are allowed.
    AllowList,
    /// Keys that are allowed, and clients with a token.
    Tokens,
}

/// A list of keys.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ListArg {
    /// Keys that may publish in any mode.
    Allowed,
    /// Keys that may not publish.
    Denied,
}

/// Keys.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// The public keys, in z-base-32
    #[arg(value_name = "KEY", required_unless_present = "file")]
    keys: Vec<PublicKey>,
    /// A file with more keys, one on a line, with comments after #; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl KeysArgs {
    fn read(self) -> anyhow::Result<Vec<PublicKey>> {
        let of_file = self.file.as_deref().map(key_list::read).transpose()?;
        let mut keys = self.keys;
        keys.extend(of_file.into_iter().flatten());
        Ok(keys)
    }
}

impl PolicyCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Show => {
                let policy = session.show(&ApiCall::get(path::POLICY), text).await?;
                note_lockout(&policy, session);
                Ok(())
            }
            Self::Mode { mode } => {
                let mode = match mode {
                    ModeArg::Open => PublishMode::Open,
                    ModeArg::AllowList => PublishMode::AllowList,
                    ModeArg::Tokens => PublishMode::Tokens,
                };
                let call = ApiCall::post(path::POLICY_MODE, &PublishModeRequest { mode });
                let note = |policy: &Policy| format!("the mode is {}", shown(policy.mode));
                let policy = session.change(&call, note).await?;
                note_lockout(&policy, session);
                Ok(())
            }
            Self::List { list } => print_keys(list, session).await,
            Self::Allow(args) => change(KeysChange::Allow, args, session).await,
            Self::Disallow(args) => change(KeysChange::Disallow, args, session).await,
            Self::Deny(args) => change(KeysChange::Deny, args, session).await,
            Self::Undeny(args) => change(KeysChange::Undeny, args, session).await,
            Self::Token(command) => command.run(session).await,
        }
    }
}

fn text(policy: &Policy) -> String {
    let row = [
        shown(policy.mode),
        policy.allowed_count.to_string(),
        policy.denied_count.to_string(),
        policy.token_count.to_string(),
        policy.deletion_count.to_string(),
    ];
    table(["MODE", "ALLOWED", "DENIED", "TOKENS", "DELETED"], [row])
}

/// A mode as it is typed on the command line.
fn shown(mode: PublishMode) -> String {
    mode.to_string().replace('_', "-")
}

fn note_lockout(policy: &Policy, session: &mut Session) {
    let token_count = match policy.mode {
        PublishMode::Open => return,
        PublishMode::AllowList => 0,
        PublishMode::Tokens => policy.token_count,
    };
    if policy.allowed_count + token_count == 0 {
        session.note("nobody may publish: no key is allowed, and there is no token");
    }
}

/// Prints a complete list, page by page.
async fn print_keys(list: ListArg, session: &mut Session) -> anyhow::Result<()> {
    let path = match list {
        ListArg::Allowed => path::ALLOWED,
        ListArg::Denied => path::DENIED,
    };
    let first = ApiCall::get(path).query("count", PACKET_COUNT_MAX);
    let mut all: KeyPage = session.call(&first).await?;
    while let Some(after) = all.next.take() {
        let call = first.clone().query("after", after);
        let page: KeyPage = session.call(&call).await?;
        all.keys.extend(page.keys);
        ensure!(
            all.keys.len() <= KEY_COUNT_MAX,
            "the node returned more keys than a cluster can keep"
        );
        all.next = page.next;
    }
    session.console.print(&all, |all| lines(&all.keys))
}

/// Changes a list, with as many requests as needed.
async fn change(change: KeysChange, args: KeysArgs, session: &mut Session) -> anyhow::Result<()> {
    let keys = args.read()?;
    let mut done_count = 0;
    let mut now = None;
    for some in keys.chunks(POLICY_KEY_COUNT_MAX) {
        let keys = some.iter().map(ToString::to_string).collect();
        let call = ApiCall::post(path::POLICY_KEYS, &PublishKeysRequest { change, keys });
        let changed = session.call::<Policy>(&call).await;
        now = Some(changed.with_context(|| match done_count {
            0 => "nothing has changed".to_owned(),
            count => format!("the first {count} keys were changed, the others were not"),
        })?);
        done_count += some.len();
    }
    let policy = now.context("there is no key to change")?;
    let (status, count) = match change {
        KeysChange::Allow | KeysChange::Disallow => ("allowed", policy.allowed_count),
        KeysChange::Deny | KeysChange::Undeny => ("denied", policy.denied_count),
    };
    let keys = if count == 1 { "key is" } else { "keys are" };
    session.note(format_args!("{count} {keys} {status} now"));
    session.console.report(&policy)
}

impl TokenCommand {
    async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Add { name } => {
                let call = ApiCall::post(path::PUBLISH_TOKENS, &PublishTokenRequest { name });
                let token = |created: &NewPublishToken| format!("{}\n", created.token);
                let created = session.show(&call, token).await?;
                session.note(format_args!(
                    "with the token {} anybody may publish in the mode tokens; keep it, it is not shown again",
                    created.name
                ));
            }
            Self::Remove { name } => {
                let call = ApiCall::delete(path::with(path::PUBLISH_TOKEN, &name));
                let note = |_: &_| format!("the token {name} is revoked");
                let policy = session.change(&call, note).await?;
                note_lockout(&policy, session);
            }
            Self::List => {
                let names = |tokens: &PublishTokens| lines(&tokens.names);
                session
                    .show(&ApiCall::get(path::PUBLISH_TOKENS), names)
                    .await?;
            }
        }
        Ok(())
    }
}

fn lines(words: &[String]) -> String {
    words.iter().map(|word| format!("{word}\n")).collect()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
pub(crate) mod tests;
