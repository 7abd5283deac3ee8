//! Who the cluster is: `quorate member`.

use std::time::Duration;

use clap::{Args, Subcommand};
use quorate_api::{
    ChangeReport, ChangeRequest, ChangeState, INVITE_USES_MAX, INVITE_VALID_SECS_MAX,
    INVITE_VALID_SECS_MIN, InviteRequest, Invited, MoveRequest, ReplaceRequest, path,
};
use tokio::time::{Instant, sleep};

use crate::{
    admin::{AdminError, Ask, Session, behind},
    member_list,
    nodes::Nodes,
    span,
};

pub(crate) const HELP: &str = "\
A NODE is named by its key, by a part of it from the beginning that no other node's key has (4
characters at least), or by its name (cluster.node_name).

Growing by one node:
  quorate member add                             here; prints a token (--uses N: for N nodes)
  quorate serve --config FILE --join TOKEN       on the new machine
  quorate member list                            shows it as it catches up and becomes a voter";

/// Shows or changes who the cluster is.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// List the members, and the nodes that are about to be.
    #[command(after_help = "\
NODE is as much of each key as tells it from the others; --json has all of it. LAG is how many entries
the node lacks of the leader's log, HEARD how long ago the leader heard from it.")]
    List,
    /// Print a token by which new nodes can join.
    #[command(after_help = "\
The token stands alone on standard output. On the new machine, whose configuration needs to say how
other nodes reach it (peer.advertise):
  quorate serve --config FILE --join TOKEN")]
    Add {
        /// The node stays a learner, a replica without a vote; otherwise it becomes a voter by itself
        /// once it has caught up.
        #[arg(long)]
        learner: bool,
        /// For how long the token can be used, such as 10m, 1h or 7d (10s to 7d).
        #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = parse_valid)]
        valid: Duration,
        /// How many nodes can join by it (1 to 16).
        #[arg(long, value_name = "N", default_value_t = 1)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=INVITE_USES_MAX.into()))]
        uses: u32,
    },
    #[command(flatten)]
    Change(ChangeCommand),
}

/// Changes that take a while: they are asked for until they are done.
#[derive(Debug, Subcommand)]
pub enum ChangeCommand {
    /// Make a learner a voter, once it has caught up.
    Promote(ChangeArgs),
    /// Make a voter a learner: it stays a replica, without a vote.
    Demote(ChangeArgs),
    /// Remove a node for good. It is cut off at once, and its key cannot come back without a token.
    Remove(ChangeArgs),
    /// Put NEW in the place of OLD: NEW becomes a voter once it has caught up, then OLD is removed.
    #[command(after_help = "\
NEW has joined by a token of `quorate member add`, as a voter or as a learner. Interrupted anywhere,
the same command goes on.")]
    Replace {
        /// The member that goes: its key, a unique beginning of it, or its name.
        #[arg(value_parser = parse_node)]
        old: String,
        /// The node that comes.
        #[arg(value_parser = parse_node)]
        new: String,
        #[command(flatten)]
        how: How,
    },
    /// Say where other nodes reach a node from now on.
    Move {
        /// The node: its key, a unique beginning of it, or its name.
        #[arg(value_parser = parse_node)]
        node: String,
        /// Where it is; a name is resolved whenever a node dials it.
        #[arg(value_name = "HOST:PORT")]
        address: String,
    },
}

/// Which node is changed, and how.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The node: its key, a unique beginning of it, or its name.
    #[arg(value_parser = parse_node)]
    node: String,
    #[command(flatten)]
    how: How,
}

/// How a change is made.
#[derive(Debug, Args)]
pub struct How {
    /// Do it even if too few live voters are left to commit anything.
    #[arg(long)]
    force: bool,
    /// For how long to wait until it is done, which a node that has to catch up can delay. Then the
    /// exit code is 5, and the same command goes on.
    // A node of a million packets catches up in a fraction of it.
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span::parse)]
    timeout: Duration,
}

fn parse_node(text: &str) -> Result<String, String> {
    // In a path these would mean something else (RFC 3986, section 5.2.4).
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
                let list = Ask::get(path::MEMBERS);
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
    let ask = Ask::post(path::INVITES, request);
    let token = |invited: &Invited| format!("{}\n", invited.token);
    let invited = session.show(&ask, token).await?;
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
        let nodes = Nodes::ask(session).await?;
        let post = |at, args: ChangeArgs, done: &str| {
            let ChangeArgs { node, how } = args;
            let request = ChangeRequest { force: how.force };
            let ask = Ask::post(path::with(at, nodes.key(&node)), &request);
            (ask, how.timeout, done.to_owned())
        };
        let (ask, timeout, done) = match self {
            Self::Promote(args) => post(path::PROMOTE, args, "a voter"),
            Self::Demote(args) => post(path::DEMOTE, args, "a learner"),
            Self::Remove(ChangeArgs { node, how }) => {
                let mut ask = Ask::delete(path::with(path::MEMBER, nodes.key(&node)));
                if how.force {
                    ask = ask.query("force", true);
                }
                (ask, how.timeout, "no longer a member".to_owned())
            }
            Self::Replace { old, new, how } => {
                let old = nodes.key(&old);
                let request = ReplaceRequest {
                    with: nodes.key(&new).to_owned(),
                    force: how.force,
                };
                let ask = Ask::post(path::with(path::REPLACE, old), &request);
                let old = nodes.shown(old);
                let done = format!("a voter and has replaced {old}, which is no longer a member");
                (ask, how.timeout, done)
            }
            Self::Move { node, address } => {
                let done = format!("reached at {address}");
                let at = path::with(path::MOVE, nodes.key(&node));
                let ask = Ask::post(at, &MoveRequest { address });
                (ask, session.retry_policy.retry_timeout, done)
            }
        };
        until_done(&ask, timeout, &done, &nodes, session).await
    }
}

/// Asks for a change until it is done, tells how far it is, and at the end what the node that it was
/// about is now. Each time goes on where the one before was, so that it can be interrupted, and asked
/// for again, at any point.
async fn until_done(
    ask: &Ask,
    timeout: Duration,
    done: &str,
    nodes: &Nodes,
    session: &mut Session,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + timeout;
    let mut told = None;
    loop {
        let report: ChangeReport = session.ask(ask).await?;
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
        if told != Some(lag) {
            told = Some(lag);
            session.note(format_args!("{node} is catching up{}", behind(lag)));
        }
        sleep(session.retry_policy.poll_interval.min(rest)).await;
    }
}

#[cfg(test)]
#[path = "member_tests.rs"]
pub(crate) mod tests;
