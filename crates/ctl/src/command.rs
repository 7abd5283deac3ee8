//! The commands that send requests to a relay, a DNS server or a node.

use std::pin::Pin;

use clap::{Args, Command, Subcommand};

use crate::{
    admin::{AdminArgs, Session, SocketOf},
    backup::BackupCommand,
    certificate::{self, CertificateCommand},
    cluster::ClusterCommand,
    dht::{self, DhtCommand},
    exit,
    leader::LeaderCommand,
    member::{self, MemberCommand},
    packet::PacketCommand,
    policy::{self, PolicyCommand},
    publish::{PublishArgs, publish},
    resolve::{ResolveArgs, resolve},
    runtime::{self, LogFilterArgs},
    status,
    transfer::{ExportArgs, ImportArgs, export, import},
    zone::{self, ZoneCommand},
};

/// The commands of a client.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    #[command(flatten)]
    Node(NodeCommand),
    /// Sign records with a key and publish them through a relay
    Publish(PublishArgs),
    /// Look up what a key has published, at a relay or with DNS
    Resolve(ResolveArgs),
}

/// The commands that use the admin API of a node.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Show the status of a node
    Status(AdminArgs),
    /// List, add, remove, replace or move members
    #[command(after_help = member::HELP)]
    Member(NodeCall<MemberCommand>),
    /// Transfer leadership
    Leader(NodeCall<LeaderCommand>),
    /// Change settings of the whole cluster
    Cluster(NodeCall<ClusterCommand>),
    /// Show the packets of a node, or delete one
    Packet(NodeCall<PacketCommand>),
    /// Show or change who may publish
    #[command(after_help = policy::HELP)]
    Policy(NodeCall<PolicyCommand>),
    /// Show or change the static records of the cluster
    #[command(after_help = zone::HELP)]
    Zone(NodeCall<ZoneCommand>),
    /// Show or renew the certificate that the cluster orders itself
    #[command(after_help = certificate::HELP)]
    Certificate(NodeCall<CertificateCommand>),
    /// Show or use the bridge of a node to the Mainline DHT
    #[command(after_help = dht::HELP)]
    Dht(NodeCall<DhtCommand>),
    /// Make a backup, and inspect or verify one
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Write the packets of the cluster, and nothing else, for other programs
    #[command(after_help = "\
A packet is a line of JSON: its key, when it was last received (milliseconds since 1970), and its bytes in
base64. Packets are in the order of the bytes of their keys.")]
    Export(ExportArgs),
    /// Store packets that were exported, or that another server has
    #[command(after_help = "\
Every packet is verified, and a stored one is only replaced by a newer one. The publish policy, blocks and
deletions hold; the limits of the relay do not. An import can be repeated.

  quorate export -o packets.json
  quorate import packets.json
  quorate import --from iroh-dns-server /var/lib/iroh-dns-server/signed-packets-1.db")]
    Import(ImportArgs),
    /// Make a node reload its configuration
    Reload(AdminArgs),
    /// Show what a node logs, or change it until its next restart
    #[command(after_help = runtime::LOG_FILTER_HELP)]
    LogFilter(LogFilterArgs),
}

/// A command and the node that receives it.
#[derive(Debug, Args)]
pub struct NodeCall<C: Subcommand> {
    #[command(flatten)]
    admin: AdminArgs,
    #[command(subcommand)]
    command: C,
}

impl ClientCommand {
    /// Runs the command. `socket_of` reads the configuration of a node. The future is boxed, so that
    /// it is compiled with this crate.
    pub fn run(self, socket_of: SocketOf) -> Pin<Box<dyn Future<Output = anyhow::Result<()>>>> {
        Box::pin(async move {
            match self {
                Self::Publish(args) => publish(args).await,
                Self::Resolve(args) => resolve(args).await,
                Self::Node(command) => command.run(|admin| admin.open(socket_of)).await,
            }
        })
    }
}

impl NodeCommand {
    /// Runs the command in the session that `open` returns.
    pub(crate) async fn run(
        self,
        open: impl FnOnce(&AdminArgs) -> anyhow::Result<Session>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Status(admin) => status::show(&mut open(&admin)?).await,
            Self::Member(args) => args.command.run(&mut open(&args.admin)?).await,
            Self::Leader(args) => args.command.run(&mut open(&args.admin)?).await,
            Self::Cluster(args) => args.command.run(&mut open(&args.admin)?).await,
            Self::Packet(args) => args.command.run(&mut open(&args.admin)?).await,
            Self::Policy(args) => args.command.run(&mut open(&args.admin)?).await,
            Self::Zone(args) => args.command.run(&mut open(&args.admin)?).await,
            Self::Certificate(args) => args.command.run(&mut open(&args.admin)?).await,
            Self::Dht(args) => args.command.run(&mut open(&args.admin)?).await,
            Self::Backup(command) => command.run(open).await,
            Self::Export(args) => {
                let mut session = open(&args.admin)?;
                export(args, &mut session).await
            }
            Self::Import(args) => {
                let mut session = open(&args.admin)?;
                import(args, &mut session).await
            }
            Self::Reload(admin) => runtime::reload(&mut open(&admin)?).await,
            Self::LogFilter(args) => {
                runtime::log_filter(args.filter, &mut open(&args.admin)?).await
            }
        }
    }
}

/// Adds the exit codes to the help of each command that uses the admin API.
pub fn with_exit_codes(program: Command) -> Command {
    program.mut_subcommands(|command| {
        let asks_a_node = command
            .get_arguments()
            .any(|known| known.get_id() == "admin");
        match asks_a_node {
            true => end_with_exit_codes(command),
            false => with_exit_codes(command),
        }
    })
}

fn end_with_exit_codes(command: Command) -> Command {
    let help = command.get_after_help();
    let help = help.map_or_else(String::new, |help| format!("{help}\n\n"));
    let command = command.after_help(help + &exit::help());
    command.mut_subcommands(end_with_exit_codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &Command, path: &str, ends: bool) {
        let help = command.clone().render_long_help().to_string();
        let codes = help.matches("Exit codes:").count();
        assert_eq!(codes, usize::from(ends), "{path}: {help}");
        for inner in command.get_subcommands() {
            check(inner, &format!("{path} {}", inner.get_name()), ends);
        }
    }

    #[test]
    fn the_help_of_admin_commands_lists_the_exit_codes_once() {
        let program = ClientCommand::augment_subcommands(Command::new("quorate"));
        let program = with_exit_codes(program);
        for command in program.get_subcommands() {
            let name = command.get_name();
            if name != "backup" {
                check(command, name, !["publish", "resolve"].contains(&name));
            }
        }
        let backup = program.find_subcommand("backup").unwrap();
        check(backup.find_subcommand("save").unwrap(), "save", true);
        check(backup.find_subcommand("inspect").unwrap(), "inspect", false);
        let delete = program.find_subcommand("packet").unwrap();
        let delete = delete.find_subcommand("delete").unwrap();
        let help = delete.clone().render_long_help().to_string();
        assert!(
            help.contains("does no harm.\n\nExit codes:\n  0  done\n"),
            "{help}"
        );
    }
}
