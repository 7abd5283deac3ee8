//! Operator commands, run against the admin address of a node.

use std::{process::Output, sync::Arc};

use serde::Deserialize;

use crate::{
    Node, Nodes, binary,
    wait::{CONVERGE_WITHIN, LEADER_WITHIN, until},
};

/// The result of a command.
#[derive(Debug)]
pub struct CommandOutput {
    /// Its exit code.
    pub code: i32,
    /// Standard output: data.
    pub stdout: String,
    /// Standard error: messages for people.
    pub stderr: String,
}

/// A member, as `quorate member list --json` has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the documented schema")]
pub struct Member {
    pub node: String,
    pub name: String,
    pub role: String,
    pub address: String,
    pub state: String,
    pub not_electable: Vec<String>,
    pub level: Option<u16>,
    pub level_hold: bool,
}

#[derive(Deserialize)]
struct MemberList {
    members: Vec<Member>,
}

impl Node {
    /// Runs `quorate` with `args` against this node.
    pub async fn run(&self, args: &[&str]) -> CommandOutput {
        let mut command = binary::command_of(self.program());
        command.args(args).env("QUORATE_ADMIN", self.admin_url());
        let mut command = tokio::process::Command::from(command);
        let output = command.kill_on_drop(true).output().await;
        let Output {
            status,
            stdout,
            stderr,
        } = output.expect("quorate can be started");
        let text = |bytes| String::from_utf8(bytes).expect("it prints text");
        CommandOutput {
            code: status.code().expect("nobody kills it"),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// Runs a command that must succeed, and returns its output.
    pub async fn operate(&self, args: &[&str]) -> String {
        let ran = self.run(args).await;
        assert_eq!(ran.code, 0, "quorate {}: {}", args.join(" "), ran.stderr);
        ran.stdout
    }

    /// Runs a command that must fail, and returns its error message.
    pub async fn expect_rejected(&self, args: &[&str]) -> String {
        let ran = self.run(args).await;
        assert_ne!(ran.code, 0, "quorate {}: {}", args.join(" "), ran.stdout);
        assert_eq!(ran.stdout, "", "errors are not data");
        ran.stderr
    }

    /// A token that lets one node join.
    pub async fn invite(&self, args: &[&str]) -> String {
        let token = self.operate(&[&["member", "add"], args].concat()).await;
        token.trim_end().to_owned()
    }

    /// All members, according to this node.
    pub async fn members(&self) -> Result<Vec<Member>, String> {
        let ran = self.run(&["member", "list", "--json"]).await;
        if ran.code != 0 {
            return Err(ran.stderr);
        }
        let list: MemberList = serde_json::from_str(&ran.stdout)
            .map_err(|error| format!("{error}: {}", ran.stdout))?;
        Ok(list.members)
    }

    /// Waits until this node lists `node` as live with this role.
    pub async fn wait_for_role(&self, node: &Node, role: &str) {
        let what = format!("{} to be a {role}", node.name());
        let is_it = |member: &Member| {
            member.node == node.id()
                && member.role == role
                && ["live", "leader"].contains(&member.state.as_str())
        };
        self.wait_for_members(&what, |members| members.iter().any(is_it))
            .await;
    }

    /// Waits until this node lists `node`, as a member or a joiner.
    pub async fn wait_until_known(&self, node: &Node) {
        let what = format!("{} to be known", node.name());
        let is_known = |members: &[Member]| members.iter().any(|member| member.node == node.id());
        self.wait_for_members(&what, is_known).await;
    }

    /// The leader among `nodes`, according to this node.
    pub async fn reported_leader(&self, nodes: &Nodes) -> Arc<Self> {
        until("a leader to be known", LEADER_WITHIN, async || {
            let leader = self.status().await?.leader.ok_or("none")?;
            let node = nodes.iter().find(|node| node.id() == leader);
            node.cloned()
                .ok_or_else(|| format!("{leader} is not one of them"))
        })
        .await
    }

    /// Waits until the member list of this node meets a condition.
    pub async fn wait_for_members(&self, what: &str, are_so: impl Fn(&[Member]) -> bool) {
        until(what, CONVERGE_WITHIN, async || {
            let members = self.members().await?;
            match are_so(&members) {
                true => Ok(()),
                false => Err(format!("{members:?}")),
            }
        })
        .await;
    }

    /// Starts the process, which joins with this token.
    pub fn join(&self, token: &str) {
        self.set_arguments(["--join", token]);
        self.start();
        // The next start needs no token.
        self.set_arguments([]);
    }
}

impl Nodes {
    /// Waits until each of them lists exactly these nodes as voters.
    pub async fn expect_to_be_the_voters(&self) {
        let mut own: Vec<_> = self.iter().map(|node| node.id().to_owned()).collect();
        own.sort();
        let what = "all to be the voters";
        until(what, CONVERGE_WITHIN, async || {
            for status in self.statuses().await? {
                let mut voters = status.voters.clone();
                voters.sort();
                if voters != own {
                    return Err(format!("{status:?}"));
                }
            }
            Ok(())
        })
        .await;
    }

    /// These nodes and one more.
    pub fn with(&self, node: &Arc<Node>) -> Self {
        self.iter().chain([node]).cloned().collect()
    }
}
