//! Membership: `quorate member`.

use std::time::Duration;

use clap::{Args, Subcommand};
use quorate_api::{
    ChangeReport, ChangeRequest, ChangeState, CreatedInvite, INVITE_USES_MAX,
    INVITE_VALID_SECS_MAX, INVITE_VALID_SECS_MIN, InviteRequest, MoveRequest, ReplaceRequest, path,
};
use tokio::time::{Instant, sleep};

use crate::{
    admin::{AdminError, ApiCall, Session, behind},
    member_list,
    nodes::Nodes,
    span,
};

pub(crate) const HELP: &str = "\
NODE is a key, a unique beginning of a key (at least 4 characters), or a name (cluster.node_name).

Growing by one node:
  quorate member add                             here; prints a token (--uses N: for N nodes)
  quorate serve --config FILE --join TOKEN       on the new machine
  quorate member list                            shows it as it catches up and becomes a voter";

/// Shows or changes the members.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// List the members and joining nodes
    #[command(after_help = "\
NODE is the beginning of the key, as long as needed; --json has the complete key. LAG is how many entries of
the leader's log the node lacks, HEARD how long ago the leader heard from it.")]
    List,
    /// Print a token with which new nodes can join
    #[command(after_help = "\
Standard output contains only the token. On the new machine, set peer.advertise to the address at which
other nodes reach it, and run:
  quorate serve --config FILE --join TOKEN")]
    Add {
        /// The node stays a learner, a replica without a vote; otherwise it becomes a voter when it has
        /// caught up
        #[arg(long)]
        learner: bool,
        /// How long the token is valid, such as 10m, 1h or 7d (10s to 7d)
        #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = parse_valid)]
        valid: Duration,
        /// How many nodes can join with it (1 to 16)
        #[arg(long, value_name = "N", default_value_t = 1)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=INVITE_USES_MAX.into()))]
        uses: u32,
    },
    #[command(flatten)]
    Change(ChangeCommand),
}

/// Changes that take a while. They are repeated until they are done.
#[derive(Debug, Subcommand)]
pub enum ChangeCommand {
    /// Make a learner a voter when it has caught up
    Promote(ChangeArgs),
    /// Make a voter a learner: it stays a replica, without a vote
    Demote(ChangeArgs),
    /// Remove a node permanently. It is cut off immediately, and its key needs a new token to come back.
    /// The cluster key and the secrets of DNS cookies are replaced
    Remove {
        #[command(flatten)]
        args: ChangeArgs,
        /// Others may know what is on its machine: replace the account key, order a certificate with
        /// another key, and revoke the present one
        #[arg(long)]
        compromised: bool,
    },
    /// Replace OLD with NEW: NEW becomes a voter when it has caught up, then OLD is removed
    #[command(after_help = "\
NEW has joined with a token of `quorate member add`, as a voter or a learner. After an interruption,
rerun the command: it continues.")]
    Replace {
        /// The member to remove: its key, a unique beginning of it, or its name
        #[arg(value_parser = parse_node)]
        old: String,
        /// The new node
        #[arg(value_parser = parse_node)]
        new: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Change the address at which other nodes reach a node
    Move {
        /// The node: its key, a unique beginning of it, or its name
        #[arg(value_parser = parse_node)]
        node: String,
        /// The new address; a host name is resolved at each connection
        #[arg(value_name = "HOST:PORT")]
        address: String,
    },
}

/// The node to change, and options.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The node: its key, a unique beginning of it, or its name
    #[arg(value_parser = parse_node)]
    node: String,
    #[command(flatten)]
    options: ChangeOptions,
}

/// The options of a change.
#[derive(Debug, Args)]
pub struct ChangeOptions {
    /// Start the change even if too few live voters are left to commit it
    #[arg(long)]
    force: bool,
    /// How long to wait until it is done, because a node may have to catch up. After that
    /// the exit code is 5; rerun the command to continue
    // A node with a million packets catches up in a fraction of it.
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span::parse)]
    timeout: Duration,
}

fn parse_node(text: &str) -> Result<String, String> {
    // In a path these have another meaning (RFC 3986, section 5.2.4).
    match matches!(text, "" | "." | "..") {
        true => Err("a node cannot have this name".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn parse_valid(text: &str) -> Result<Duration, String> {
    let span = span::parse(text)?;
    let [min, max] = [INVITE_VALID_SECS_MIN, INVITE_VALID_SECS_MAX].map(Duration::from_secs);
    match (min..=max).contains(&span) {
        true => Ok(span),
        false => Err(format!("{} to {}", span::shown(min), span::shown(max))),
    }
}

impl MemberCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let list = ApiCall::get(path::MEMBERS);
                let members = session.show(&list, member_list::text).await?;
                member_list::note_view(&members, session);
                Ok(())
            }
            Self::Add {
                learner,
                valid,
                uses,
            } => {
                let valid_secs = valid.as_secs();
                let request = InviteRequest {
                    learner,
                    valid_secs,
                    uses,
                };
                add(&request, session).await
            }
            Self::Change(change) => change.run(session).await,
        }
    }
}

async fn add(request: &InviteRequest, session: &mut Session) -> anyhow::Result<()> {
    let call = ApiCall::post(path::INVITES, request);
    let token = |invited: &CreatedInvite| format!("{}\n", invited.token);
    let invited = session.show(&call, token).await?;
    let nodes = match request.uses {
        1 => "one node".to_owned(),
        uses => format!("at most {uses} nodes"),
    };
    session.note(format_args!(
        "this token is secret and valid until {}, for {nodes}",
        span::date(invited.expires_ms)
    ));
    session.note("on the new machine: quorate serve --config FILE --join TOKEN");
    Ok(())
}

impl ChangeCommand {
    async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let nodes = Nodes::read(session).await?;
        let post = |at, args: ChangeArgs, done: &str| {
            let ChangeArgs { node, options } = args;
            let request = ChangeRequest {
                force: options.force,
            };
            let call = ApiCall::post(path::with(at, nodes.key(&node)), &request);
            (call, options.timeout, done.to_owned())
        };
        let (call, timeout, done) = match self {
            Self::Promote(args) => post(path::PROMOTE, args, "a voter"),
            Self::Demote(args) => post(path::DEMOTE, args, "a learner"),
            Self::Remove {
                args: ChangeArgs { node, options },
                compromised,
            } => {
                let mut call = ApiCall::delete(path::with(path::MEMBER, nodes.key(&node)));
                if options.force {
                    call = call.query("force", true);
                }
                if compromised {
                    call = call.query("compromised", true);
                }
                (call, options.timeout, "no longer a member".to_owned())
            }
            Self::Replace { old, new, options } => {
                let old = nodes.key(&old);
                let request = ReplaceRequest {
                    with: nodes.key(&new).to_owned(),
                    force: options.force,
                };
                let call = ApiCall::post(path::with(path::REPLACE, old), &request);
                let old = nodes.shown(old);
                let done = format!("a voter and has replaced {old}, which is no longer a member");
                (call, options.timeout, done)
            }
            Self::Move { node, address } => {
                let done = format!("reached at {address}");
                let at = path::with(path::MOVE, nodes.key(&node));
                let call = ApiCall::post(at, &MoveRequest { address });
                (call, session.retry_policy.retry_timeout, done)
            }
        };
        until_done(&call, timeout, &done, &nodes, session).await
    }
}

/// Repeats a change until it is done. Reports its progress, and at the end the new state of the node.
/// Each request continues where the last one stopped, so the command can be interrupted and rerun.
async fn until_done(
    call: &ApiCall,
    timeout: Duration,
    done: &str,
    nodes: &Nodes,
    session: &mut Session,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + timeout;
    let mut last_lag = None;
    loop {
        let report: ChangeReport = session.call(call).await?;
        let (node, lag) = (nodes.shown(&report.node), report.lag);
        if report.state == ChangeState::Done {
            for warning in &report.warnings {
                session.note(format_args!("warning: {warning}"));
            }
            session.note(format_args!("{node} is {done}"));
            return session.console.report(&report);
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(AdminError::NotDone { node, lag, timeout }.into());
        }
        if last_lag != Some(lag) {
            last_lag = Some(lag);
            session.note(format_args!("{node} is catching up{}", behind(lag)));
        }
        sleep(session.retry_policy.poll_interval.min(rest)).await;
    }
}

#[cfg(test)]
#[path = "member_tests.rs"]
pub(crate) mod tests;
