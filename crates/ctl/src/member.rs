//! Who the cluster is: `quorate member`.

use std::time::Duration;

use clap::{Args, Subcommand};
use quorate_api::{
    ChangeRequest, INVITE_VALID_SECS_MAX, INVITE_VALID_SECS_MIN, InviteRequest, Invited, Members,
    MoveRequest, ReplaceRequest, path,
};

use crate::{
    admin::{AdminArgs, AdminClient, Ask},
    change::{self, Change},
    console::Console,
    exit, member_list, span,
};

/// Arguments of `quorate member`.
#[derive(Debug, Args)]
#[command(after_help = exit::help_after("\
A NODE is named by its key, by a part of it from the beginning that no other node's key has (4
characters at least), or by its name (cluster.node_name).

Growing by one node:
  quorate member add                             here; prints a token
  quorate serve --config FILE --join TOKEN       on the new machine
  quorate member list                            shows it as it catches up and becomes a voter"))]
pub struct MemberArgs {
    #[command(flatten)]
    admin: AdminArgs,
    #[command(subcommand)]
    command: MemberCommand,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// List the members, and the nodes that are about to be.
    #[command(after_help = exit::help_after("\
NODE is as much of each key as tells it from the others; --json has all of it. LAG is how many entries
the node lacks of the leader's log, HEARD how long ago the leader heard from it."))]
    List,
    /// Print a token by which one new node can join, once.
    #[command(after_help = exit::help_after("\
The token stands alone on standard output. On the new machine, whose configuration needs to say how
other nodes reach it (peer.advertise) and no list of nodes:
  quorate serve --config FILE --join TOKEN"))]
    Add(AddArgs),
    /// Make a learner a voter, once it has caught up.
    #[command(after_help = exit::help())]
    Promote(ChangeArgs),
    /// Make a voter a learner: it stays a replica, without a vote.
    #[command(after_help = exit::help())]
    Demote(ChangeArgs),
    /// Remove a node for good. It is cut off at once, and its key cannot come back without a token.
    #[command(after_help = exit::help())]
    Remove(ChangeArgs),
    /// Put NEW in the place of OLD: NEW becomes a voter once it has caught up, then OLD is removed.
    #[command(after_help = exit::help_after("\
NEW has joined by a token of `quorate member add`, as a voter or as a learner. Interrupted anywhere,
the same command goes on."))]
    Replace(ReplaceArgs),
    /// Say where other nodes reach a node from now on.
    #[command(after_help = exit::help())]
    Move(MoveArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The node stays a learner, a replica without a vote; otherwise it becomes a voter by itself
    /// once it has caught up.
    #[arg(long)]
    learner: bool,
    /// For how long the token can be used, such as 10m, 1h or 7d (10s to 7d).
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = parse_valid_for)]
    valid_for: Duration,
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// The node: its key, a unique beginning of it, or its name.
    #[arg(value_parser = parse_node)]
    node: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct ReplaceArgs {
    /// The member that goes: its key, a unique beginning of it, or its name.
    #[arg(value_parser = parse_node)]
    old: String,
    /// The node that comes.
    #[arg(value_parser = parse_node)]
    new: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct MoveArgs {
    /// The node: its key, a unique beginning of it, or its name.
    #[arg(value_parser = parse_node)]
    node: String,
    /// Where it is; a name is resolved whenever a node dials it.
    #[arg(value_name = "HOST:PORT")]
    address: String,
}

/// How a change is made.
#[derive(Debug, Args)]
struct How {
    /// Do it even if too few live voters are left to commit anything.
    #[arg(long)]
    force: bool,
    /// For how long to wait until it is done, which a node that has to catch up can delay. Then the
    /// exit code is 5, and the same command goes on.
    #[arg(long, value_name = "SPAN", default_value = change::TIMEOUT, value_parser = span::parse)]
    timeout: Duration,
}

fn parse_node(text: &str) -> Result<String, String> {
    // In a path these would mean something else (RFC 3986, section 5.2.4).
    match matches!(text, "" | "." | "..") {
        true => Err("no node is called so".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn parse_valid_for(text: &str) -> Result<Duration, String> {
    let span = span::parse(text)?;
    let [min, max] = [INVITE_VALID_SECS_MIN, INVITE_VALID_SECS_MAX].map(Duration::from_secs);
    match (min..=max).contains(&span) {
        true => Ok(span),
        false => Err(format!("{} to {}", span::shown(min), span::shown(max))),
    }
}

/// Shows or changes who the cluster is.
pub async fn member(args: MemberArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    run(args.command, &client, &mut console).await
}

async fn run(
    command: MemberCommand,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    match command {
        MemberCommand::List => list(client, console).await,
        MemberCommand::Add(args) => add(&args, client, console).await,
        MemberCommand::Promote(args) => {
            change(path::PROMOTE, "a voter", &args, client, console).await
        }
        MemberCommand::Demote(args) => {
            change(path::DEMOTE, "a learner", &args, client, console).await
        }
        MemberCommand::Remove(args) => remove(&args, client, console).await,
        MemberCommand::Replace(args) => replace(&args, client, console).await,
        MemberCommand::Move(args) => relocate(args, client, console).await,
    }
}

async fn list(client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let members: Members = client.send(&Ask::get(path::MEMBERS), console).await?;
    member_list::note_view(&members, console);
    console.print(&members, member_list::text)
}

async fn add(args: &AddArgs, client: &AdminClient, console: &mut Console) -> anyhow::Result<()> {
    let request = InviteRequest {
        learner: args.learner,
        valid_secs: args.valid_for.as_secs(),
    };
    let ask = Ask::post(path::INVITES, &request)?;
    let invited: Invited = client.send(&ask, console).await?;
    console.note(format_args!(
        "whoever has this token can join, once, until {}",
        span::date(invited.expires_ms)
    ));
    console.note("on the new machine: quorate serve --config FILE --join TOKEN");
    console.print(&invited, |invited| format!("{}\n", invited.token))
}

async fn change(
    at: &str,
    becomes: &str,
    args: &ChangeArgs,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let change = Change::begin(client, console).await?;
    let key = change.nodes.key(&args.node)?;
    let force = args.how.force;
    let ask = Ask::post(path::with(at, &key), &ChangeRequest { force })?;
    let done = |node: &str| format!("{node} is {becomes}");
    change.carry_out(&ask, args.how.timeout, done).await
}

async fn remove(
    args: &ChangeArgs,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let change = Change::begin(client, console).await?;
    let key = change.nodes.key(&args.node)?;
    let mut ask = Ask::delete(path::with(path::MEMBER, &key));
    if args.how.force {
        ask = ask.query("force", true);
    }
    let done = |node: &str| format!("{node} is no member any more");
    change.carry_out(&ask, args.how.timeout, done).await
}

async fn replace(
    args: &ReplaceArgs,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let change = Change::begin(client, console).await?;
    let old = change.nodes.key(&args.old)?;
    let request = ReplaceRequest {
        with: change.nodes.key(&args.new)?,
        force: args.how.force,
    };
    let ask = Ask::post(path::with(path::REPLACE, &old), &request)?;
    let old = change.nodes.shown(&old);
    let done =
        |new: &str| format!("{new} is a voter in the place of {old}, which is no member any more");
    change.carry_out(&ask, args.how.timeout, done).await
}

async fn relocate(
    args: MoveArgs,
    client: &AdminClient,
    console: &mut Console,
) -> anyhow::Result<()> {
    let MoveArgs { node, address } = args;
    let change = Change::begin(client, console).await?;
    let key = change.nodes.key(&node)?;
    let request = MoveRequest {
        address: address.clone(),
    };
    let ask = Ask::post(path::with(path::MOVE, &key), &request)?;
    let timeout = client.pace.retry_timeout;
    let done = |node: &str| format!("{node} is reached at {address}");
    change.carry_out(&ask, timeout, done).await
}

#[cfg(test)]
#[path = "member_tests.rs"]
pub(crate) mod tests;
