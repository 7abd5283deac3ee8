//! Who may publish: `quorate policy`.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, ValueEnum};
use quorate_api::{
    KeyPage, KeysChange, NewPublishToken, PACKET_COUNT_MAX, POLICY_KEY_COUNT_MAX, Policy,
    PublishKeysRequest, PublishMode, PublishModeRequest, PublishTokenRequest, PublishTokens,
    is_publish_token_name, path,
};
use quorate_packet::PublicKey;

use crate::{
    admin::{AdminArgs, AdminClient, Ask},
    console::Console,
    exit,
    key_list::{self, KEY_COUNT_MAX},
    table::Table,
};

/// Arguments of `quorate policy`.
#[derive(Debug, Args)]
#[command(after_help = exit::help_after("\
What is set here holds at all nodes. A key that is denied may not publish, in whatever mode; one that is
allowed may, unless it is denied. What is stored stays: `quorate packet delete KEY` removes it.

  quorate policy deny KEY
  quorate policy list denied > keys
  quorate policy undeny --file keys
  quorate policy allow --file keys && quorate policy mode allow-list
  quorate policy token add ci > ci.token && quorate policy mode tokens
  quorate publish --token-file ci.token --key me.key _iroh TXT relay=https://relay.example.org"))]
pub struct PolicyArgs {
    #[command(flatten)]
    admin: AdminArgs,
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Show who may publish.
    #[command(after_help = exit::help())]
    Show,
    /// Set who may publish, of those who are not denied.
    #[command(after_help = exit::help())]
    Mode {
        /// Who.
        mode: Mode,
    },
    /// List the keys that are allowed or denied, one on a line.
    #[command(after_help = exit::help())]
    List {
        /// Which.
        list: List,
    },
    /// Let keys publish in whatever mode.
    #[command(after_help = exit::help())]
    Allow(KeysArgs),
    /// Have keys be allowed no more.
    #[command(after_help = exit::help())]
    Disallow(KeysArgs),
    /// Let keys publish in no mode. What is stored of them stays.
    #[command(after_help = exit::help())]
    Deny(KeysArgs),
    /// Have keys be denied no more.
    #[command(after_help = exit::help())]
    Undeny(KeysArgs),
    /// Show or change the tokens for publishing, which are good in the mode tokens.
    #[command(subcommand, after_help = exit::help())]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it, this once: the cluster keeps its SHA-256.
    #[command(after_help = exit::help())]
    Add {
        /// What to call it.
        #[arg(value_parser = parse_name)]
        name: String,
    },
    /// Have a token be good for nothing any more.
    #[command(after_help = exit::help())]
    Remove {
        /// What it is called.
        #[arg(value_parser = parse_name)]
        name: String,
    },
    /// List what the tokens are called, one on a line.
    #[command(after_help = exit::help())]
    List,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// Everybody.
    Open,
    /// Keys that are allowed.
    AllowList,
    /// Keys that are allowed, and whoever has a token.
    Tokens,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum List {
    /// Those that may publish in whatever mode.
    Allowed,
    /// Those that may not.
    Denied,
}

#[derive(Debug, Args)]
struct KeysArgs {
    /// The public keys, in z-base-32.
    #[arg(value_name = "KEY", required_unless_present = "file")]
    keys: Vec<PublicKey>,
    /// A file of more, one on a line, with comments behind #; - for standard input.
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

fn parse_name(text: &str) -> Result<String, String> {
    match is_publish_token_name(text) {
        true => Ok(text.to_owned()),
        false => Err(
            "take 1 to 64 letters, digits, hyphens, underscores and dots, a letter or a digit first"
                .to_owned(),
        ),
    }
}

/// Shows or changes who may publish.
pub async fn policy(args: PolicyArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    run(args.command, &client, &mut console).await
}

async fn run(
    command: PolicyCommand,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Show => show(client, console).await,
        PolicyCommand::Mode { mode } => set_mode(mode, client, console).await,
        PolicyCommand::List { list } => print_keys(list, client, console).await,
        PolicyCommand::Allow(args) => change(KeysChange::Allow, args, client, console).await,
        PolicyCommand::Disallow(args) => change(KeysChange::Disallow, args, client, console).await,
        PolicyCommand::Deny(args) => change(KeysChange::Deny, args, client, console).await,
        PolicyCommand::Undeny(args) => change(KeysChange::Undeny, args, client, console).await,
        PolicyCommand::Token(TokenCommand::Add { name }) => add_token(name, client, console).await,
        PolicyCommand::Token(TokenCommand::Remove { name }) => {
            remove_token(&name, client, console).await
        }
        PolicyCommand::Token(TokenCommand::List) => print_tokens(client, console).await,
    }
}

async fn show(client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let policy: Policy = client.send(&Ask::get(path::POLICY), console).await?;
    console.print(&policy, |policy| {
        let mut table = Table::new(["MODE", "ALLOWED", "DENIED", "TOKENS", "DELETED"]);
        table.push([
            shown(policy.mode).to_owned(),
            policy.allowed_count.to_string(),
            policy.denied_count.to_string(),
            policy.token_count.to_string(),
            policy.deletion_count.to_string(),
        ]);
        table.text()
    })?;
    note_lockout(&policy, console);
    Ok(())
}

async fn set_mode(mode: Mode, client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let mode = match mode {
        Mode::Open => PublishMode::Open,
        Mode::AllowList => PublishMode::AllowList,
        Mode::Tokens => PublishMode::Tokens,
    };
    let ask = Ask::post(path::POLICY_MODE, &PublishModeRequest { mode })?;
    let policy: Policy = client.send(&ask, console).await?;
    console.note(format_args!("the mode is {}", shown(policy.mode)));
    note_lockout(&policy, console);
    console.report(&policy)
}

/// A mode as it is typed.
fn shown(mode: PublishMode) -> &'static str {
    match mode {
        PublishMode::Open => "open",
        PublishMode::AllowList => "allow-list",
        PublishMode::Tokens => "tokens",
    }
}

fn note_lockout(policy: &Policy, console: &mut Console) {
    let token_count = match policy.mode {
        PublishMode::Open => return,
        PublishMode::AllowList => 0,
        PublishMode::Tokens => policy.token_count,
    };
    if policy.allowed_count + token_count == 0 {
        console.note("nobody may publish: no key is allowed, and no token is good");
    }
}

/// All of a list, page by page.
async fn print_keys(list: List, client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let path = match list {
        List::Allowed => path::ALLOWED,
        List::Denied => path::DENIED,
    };
    let first = Ask::get(path).query("count", PACKET_COUNT_MAX);
    let mut all: KeyPage = client.send(&first, console).await?;
    while let Some(after) = all.next.take() {
        let ask = first.clone().query("after", after);
        let page: KeyPage = client.send(&ask, console).await?;
        all.keys.extend(page.keys);
        ensure!(
            all.keys.len() <= KEY_COUNT_MAX,
            "the node lists more keys than a cluster keeps"
        );
        all.next = page.next;
    }
    console.print(&all, |all| lines(&all.keys))
}

/// Changes a list, by as many requests as it takes.
async fn change(
    change: KeysChange,
    args: KeysArgs,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let keys = args.read()?;
    let mut done_count = 0;
    let mut now = None;
    for some in keys.chunks(POLICY_KEY_COUNT_MAX) {
        let keys = some.iter().map(ToString::to_string).collect();
        let request = PublishKeysRequest { change, keys };
        let ask = Ask::post(path::POLICY_KEYS, &request)?;
        let changed = client.send::<Policy>(&ask, console).await;
        now = Some(changed.with_context(|| match done_count {
            0 => "nothing has changed".to_owned(),
            count => format!("the first {count} keys are done, the others are not"),
        })?);
        done_count += some.len();
    }
    let policy = now.context("there is no key to change")?;
    let (what, count) = match change {
        KeysChange::Allow | KeysChange::Disallow => ("allowed", policy.allowed_count),
        KeysChange::Deny | KeysChange::Undeny => ("denied", policy.denied_count),
    };
    let keys = if count == 1 { "key is" } else { "keys are" };
    console.note(format_args!("{count} {keys} {what} now"));
    console.report(&policy)
}

async fn add_token(
    name: String,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let ask = Ask::post(path::PUBLISH_TOKENS, &PublishTokenRequest { name })?;
    let made: NewPublishToken = client.send(&ask, console).await?;
    console.note(format_args!(
        "whoever has the token {} may publish in the mode tokens; it is shown this once",
        made.name
    ));
    console.print(&made, |made| format!("{}\n", made.token))
}

async fn remove_token(
    name: &str,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let ask = Ask::delete(path::with(path::PUBLISH_TOKEN, name));
    let policy: Policy = client.send(&ask, console).await?;
    console.note(format_args!(
        "the token {name} is good for nothing any more"
    ));
    note_lockout(&policy, console);
    console.report(&policy)
}

async fn print_tokens(client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let ask = Ask::get(path::PUBLISH_TOKENS);
    let tokens: PublishTokens = client.send(&ask, console).await?;
    console.print(&tokens, |tokens| lines(&tokens.names))
}

fn lines(words: &[String]) -> String {
    words.iter().map(|word| format!("{word}\n")).collect()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
pub(crate) mod tests;
