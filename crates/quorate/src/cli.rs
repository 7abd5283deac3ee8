//! The command line.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use quorate_admin::{Tokens, socket_group};
use quorate_ctl::{ClientCommand, CompletionsArgs, ManArgs, out, with_exit_codes};
use quorate_disk::LinuxDisk;
use quorate_http::ServerCertificate;
use quorate_packet::KeyError;
use quorate_peer::NodeId;
use quorate_state::{LEVEL_MAX, Level};

use crate::{
    admin_token::{self, AdminTokenCommand},
    config::{self, LoadedConfig, REMOVED_ADVICE, Sources},
    dev::DevArgs,
    log::{self, LogCommand},
    node::StartOptions,
    recover::{self, RecoverArgs},
    restore::{self, RestoreArgs},
    start::{self, TokenSource},
    stop::exit_code,
};

const EXAMPLES: &str = "\
Examples:
  quorate dev                                  three nodes on this machine, to try things out
  quorate publish --key me.key _iroh TXT relay=https://relay.example.org
  quorate resolve KEY                          what a key has published

  quorate init --found --config /etc/quorate/config.toml       the first node of a new cluster, once
  quorate serve --config /etc/quorate/config.toml              that node, now and later
  quorate member add                                           prints a token for another node
  quorate serve --config /etc/quorate/config.toml --join TOKEN  that other node
  quorate member list                                          the members and their states";

/// A pkarr relay and authoritative DNS server whose records are replicated with Raft.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, about, after_help = EXAMPLES)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node of a cluster
    #[command(after_help = "\
Settings come from the built-in defaults, the file, environment variables (QUORATE_HTTP_LISTEN sets
listen in [http]) and these flags; later ones override earlier ones. `quorate config show` shows which one set what.")]
    Serve(ServeArgs),
    /// Run a complete cluster on this machine, for a try
    Dev(DevArgs),
    /// Found a new cluster: prepare an empty data directory for its first node
    #[command(after_help = "\
Run it once, on one machine: `quorate serve` then founds the cluster, and all other nodes join it. A
rerun changes nothing. It exits with 78 if another node has founded the cluster, or may have.

Example, for machines that are installed together and share /shared:
  quorate init --found --once /shared/token --voters 3         on one of them
  quorate serve                                                on that one
  quorate serve --join-file /shared/token                      on the others")]
    Init(InitArgs),
    /// Check a configuration, or show the effective one
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Inspect the Raft log of a node
    #[command(subcommand)]
    Log(LogCommand),
    /// Make a new cluster from the nodes that survive of one that has lost its majority for ever
    #[command(after_help = "\
It prints what each survivor has, which one is the best, what may be lost, and what may appear. It leaves the
old directories as they are. Stop all nodes of the old cluster first, and keep them stopped.

Examples:
  quorate recover inspect --data-dir DIR -o b.json             on another machine; copy the file here
  quorate recover --data-dir DIR --summary b.json --into NEW   asks for the name of the old cluster")]
    Recover(RecoverArgs),
    /// Make a new cluster from a backup: prepare an empty data directory for its first node
    #[command(after_help = "\
It verifies the backup first, and changes nothing that exists. The packets keep the times at which they were
received, and none expires in the first day.

Example:
  quorate restore quorate-1f0c….backup --dry-run               what it would bring
  quorate restore quorate-1f0c….backup --config config.toml    then start `quorate serve`")]
    Restore(RestoreArgs),
    /// Create tokens for the admin API
    #[command(subcommand)]
    AdminToken(AdminTokenCommand),
    #[command(flatten)]
    Client(ClientCommand),
    /// Print a shell completion script
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check everything that `serve` would read, and print OK or all errors
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Print every setting in force, and which layer set it
    Show(ConfigArgs),
    /// Print a commented example file
    Example,
    /// Print the reference of all settings, in Markdown
    Reference,
}

/// Arguments of `quorate serve`.
#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Join a cluster with this token of `quorate member add`. After an interruption, rerun the command; a
    /// node that has joined needs no token
    // A plain string, because clap's errors contain the value, and this one is a secret.
    #[arg(long, value_name = "TOKEN")]
    join: Option<String>,
    /// Join with the token in this file, so that no other user of this machine sees it. The node waits
    /// until the file exists
    #[arg(long, value_name = "FILE", conflicts_with = "join")]
    join_file: Option<PathBuf>,
    /// Confirm that the clock of this machine is right, although it has moved by more than the retention
    /// since the node last received a packet. For one start of a single-node cluster whose log asks for
    /// it: until then nothing expires
    #[arg(long)]
    trust_clock: bool,
    /// Claim to support feature levels up to this one, like a newer program. For tests
    #[arg(long, value_name = "LEVEL", default_value_t = LEVEL_MAX.0, hide = true)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    level_max: u16,
    /// Reach this node at this address instead of its own. For tests
    #[arg(long = "route", value_name = "KEY@HOST:PORT", hide = true, value_parser = parse_route)]
    routes: Vec<(NodeId, String)>,
}

fn parse_route(text: &str) -> Result<(NodeId, String), String> {
    let (key, address) = text.split_once('@').ok_or("write it <key>@host:port")?;
    let key = key.parse().map_err(|error: KeyError| error.to_string())?;
    Ok((NodeId(key), address.to_owned()))
}

impl ServeArgs {
    fn join_by(&mut self) -> anyhow::Result<Option<TokenSource>> {
        Ok(match &self.join {
            Some(text) => Some(TokenSource::Token(
                text.parse().context("--join cannot be used")?,
            )),
            None => self.join_file.take().map(TokenSource::File),
        })
    }
}

/// Arguments of `quorate init`.
#[derive(Debug, Args)]
struct InitArgs {
    /// Found a new cluster
    #[arg(long, required = true)]
    found: bool,
    #[command(flatten)]
    config: ConfigArgs,
    /// Found only if this file is absent too, and write into it the token with which others join: for
    /// machines that start unattended. The file must be on a volume that they share, separate from the data.
    /// The token is valid for 16 nodes and one day. Keep the file: it marks that the cluster is founded
    #[arg(long, value_name = "FILE")]
    once: Option<PathBuf>,
    /// How many voters the cluster needs before it accepts packets; joining nodes become voters
    /// automatically
    #[arg(long, value_name = "1|3|5|7", default_value = "1", value_parser = ["1", "3", "5", "7"])]
    voters: String,
}

impl InitArgs {
    /// Founds, and returns what was done and what to do next.
    fn run(self) -> anyhow::Result<String> {
        let voters = self.voters.parse().context("--voters")?;
        let config = self.config.load()?.config;
        let dir = config.data_dir.display();
        if !start::found(&config, self.once.as_deref(), voters)? {
            return Ok(format!(
                "{dir} already contains a node: start it with `quorate serve`\n"
            ));
        }
        let others = match &self.once {
            Some(file) => format!("`quorate serve --join-file {}`", file.display()),
            None => "a token of `quorate member add`".to_owned(),
        };
        Ok(format!(
            "{dir} is ready to found a new cluster: start it with `quorate serve`. Other nodes join with {others}\n"
        ))
    }
}

/// The configuration file, and flags that override it.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file (TOML); by default only defaults, environment and flags
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory for identity, log and packets (data_dir)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[arg(long, hide = true, value_parser = |_: &str| Err::<String, _>(REMOVED_ADVICE))]
    cluster_nodes: Option<String>,
    /// The address of the relay and DNS over HTTPS (http.listen); repeat for more addresses
    #[arg(long, value_name = "IP:PORT")]
    http_listen: Vec<SocketAddr>,
    /// The address for other nodes (peer.listen); repeat for more addresses
    #[arg(long, value_name = "IP:PORT")]
    peer_listen: Vec<SocketAddr>,
    /// The address for health, metrics and the admin API (admin.listen); repeat for more addresses
    #[arg(long, value_name = "IP:PORT")]
    admin_listen: Vec<SocketAddr>,
    /// The address of DNS over UDP and TCP (dns.listen); repeat for more addresses
    #[arg(long, value_name = "IP:PORT")]
    dns_listen: Vec<SocketAddr>,
}

impl ConfigArgs {
    fn load(self) -> anyhow::Result<LoadedConfig> {
        let mut sources = Sources::new(self.config);
        let mut flag = |key, value| sources.flags.push((key, value));
        if let Some(dir) = self.data_dir {
            let dir = dir.into_os_string().into_string().ok();
            let dir = dir.context("--data-dir: the path is not Unicode, but TOML requires it")?;
            flag("data_dir", dir.into());
        }
        for (key, listen) in [
            ("http.listen", self.http_listen),
            ("peer.listen", self.peer_listen),
            ("admin.listen", self.admin_listen),
            ("dns.listen", self.dns_listen),
        ] {
            if !listen.is_empty() {
                let listen = listen.iter().map(SocketAddr::to_string);
                flag(key, listen.collect::<Vec<_>>().into());
            }
        }
        Ok(config::load(sources)?)
    }
}

fn program() -> clap::Command {
    with_exit_codes(Cli::command())
}

/// Parses the arguments, runs the command, and returns the exit code: 0 for success, 2 for invalid
/// arguments, otherwise see [`exit_code`] and [`quorate_ctl::EXIT_CODES`].
pub(crate) fn main() -> ExitCode {
    let parsed = Cli::from_arg_matches(&program().get_matches());
    match run(parsed.unwrap_or_else(|error| error.exit()).command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate: {error:#}");
            let code = quorate_ctl::exit_code(&error);
            code.unwrap_or_else(|| exit_code(&error)).into()
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(mut args) => {
            let options = StartOptions {
                trust_clock: args.trust_clock,
                level_max: Level(args.level_max),
                join: args.join_by()?,
                routes: args.routes.into_iter().collect(),
                ..StartOptions::default()
            };
            let loaded = args.config.load()?;
            print_warnings(&loaded);
            block_on(crate::serve::run(loaded, options))
        }
        Command::Dev(args) => block_on(crate::dev::run(args)),
        Command::Init(args) => out!("{}", args.run()?),
        Command::Config(command) => {
            let text = match command {
                ConfigCommand::Check { file } => check(&file)?,
                ConfigCommand::Show(args) => args.load()?.show(),
                ConfigCommand::Example => config::example(),
                ConfigCommand::Reference => config::reference(),
            };
            out!("{text}")
        }
        Command::Log(command) => log::run(&command),
        Command::Recover(args) => recover::run(args),
        Command::Restore(args) => restore::run(args),
        Command::AdminToken(command) => admin_token::run(&command),
        Command::Client(command) => block_on(command.run(socket_of)),
        Command::Completions(args) => quorate_ctl::completions(&args, program()),
        Command::Man(args) => quorate_ctl::man(&args, program()),
    }
}

/// The socket of the node with this configuration file.
fn socket_of(file: &Path) -> anyhow::Result<Option<PathBuf>> {
    let config = config::load(Sources::new(Some(file.to_owned())))?.config;
    Ok(config.admin.socket_in(&config.data_dir))
}

/// How long threads that nobody waits for may take to end, such as those that write a backup.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("the threads of the program cannot be started")?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    done
}

fn print_warnings(loaded: &LoadedConfig) {
    for warning in &loaded.warnings {
        eprintln!("quorate: warning: {warning}");
    }
}

/// Prints the warnings for this configuration file, and returns a summary of it.
fn check(file: &Path) -> anyhow::Result<String> {
    let loaded = config::load(Sources::new(Some(file.to_owned())))?;
    print_warnings(&loaded);
    let config = &loaded.config;
    Tokens::open(&config.admin.tokens_file).context("admin.tokens_file")?;
    socket_group(&config.admin.socket_group).context("admin.socket_group")?;
    if config.backup.schedule().is_some() {
        config.backup.target()?;
    }
    if config.tls.is_set() {
        let certificate = ServerCertificate::open(Arc::new(LinuxDisk), config.tls.files());
        for warning in certificate.context("tls")?.warnings() {
            eprintln!("quorate: warning: {warning}");
        }
    }
    let origins = config.dns.origins.iter();
    let origins: Vec<&str> = origins.map(|origin| &*origin.name).collect();
    let origins = match origins.is_empty() {
        true => "none".to_owned(),
        false => origins.join(", "),
    };
    let socket = config.admin.socket_in(&config.data_dir);
    Ok(format!(
        "{}: OK\n  data     {}\n  http     {}\n  dns      {}, origins: \
         {origins}\n  peers    {}\n  admin    {}\n  socket   {}\n",
        file.display(),
        config.data_dir.display(),
        config.http.listen,
        config.dns.listen,
        config.peer.listen,
        config.admin.listen,
        socket.map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
    ))
}

#[cfg(test)]
#[path = "commands_page_tests.rs"]
mod commands_page_tests;

#[cfg(test)]
#[path = "documents_tests.rs"]
mod documents_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_reads_the_tokens_as_a_start_does() {
        let dir = tempfile::tempdir().unwrap();
        let (file, tokens) = (dir.path().join("config.toml"), dir.path().join("tokens"));
        let text = format!(
            "version = 1\n[admin]\ntokens_file = {:?}\n",
            tokens.display().to_string()
        );
        std::fs::write(&file, text).unwrap();
        let error = || format!("{:#}", check(&file).unwrap_err());
        for part in ["admin.tokens_file", "tokens", "cannot be read"] {
            assert!(error().contains(part), "{}", error());
        }
        std::fs::write(&tokens, "anna operate\n").unwrap();
        assert!(error().contains("line 1"), "{}", error());
        std::fs::write(&tokens, "").unwrap();
        assert!(check(&file).unwrap().contains("OK"));
    }

    #[test]
    fn the_arguments_are_consistent() {
        program().debug_assert();
    }

    #[test]
    fn the_removed_flag_names_the_new_command() {
        let gone = ["quorate", "serve", "--cluster-nodes", "a@b:1"];
        let error = Cli::try_parse_from(gone).unwrap_err().to_string();
        assert!(error.contains("quorate init --found"), "{error}");
    }

    /// The log of a supervisor must not contain a join token.
    #[test]
    fn a_damaged_token_is_rejected_and_not_printed() {
        let secret = "c2VjcmV0";
        for token in [secret, &format!("quorate-join-1.{secret}")] {
            let cli = Cli::try_parse_from(["quorate", "serve", "--join", token]).unwrap();
            let error = run(cli.command).unwrap_err();
            let text = format!("{error:#}");
            assert!(text.starts_with("--join cannot be used: "), "{text}");
            assert!(!text.contains(secret), "{text}");
        }
    }
}
