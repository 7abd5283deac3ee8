//! Runs the procedures of the documents: the commands below a heading, exactly as they are written.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use quorate_tests::{Cluster, Node, Nodes, ORIGIN, binary, voters};
use tempfile::TempDir;
use tokio::process::Command;

/// The machines that the documents name, and the nodes of the test that play them.
struct Machines {
    cluster: Cluster,
    by_name: BTreeMap<&'static str, Arc<Node>>,
    /// Where the operator is: commands read and write files here.
    dir: TempDir,
}

impl Machines {
    /// Starts the first one as a cluster of one node. The others are installed and not started.
    async fn new(names: [&'static str; 5]) -> Self {
        let cluster = Cluster::prepare(&voters(1));
        let mut by_name = BTreeMap::new();
        for name in names {
            let node = match by_name.is_empty() {
                true => cluster.node(1),
                false => cluster.machine(),
            };
            let own_name = format!("node_name = {:?}", node.name().replace(' ', "-"));
            let config = node.config();
            node.configure(&config.replace(&own_name, &format!("node_name = {name:?}")));
            by_name.insert(name, node);
        }
        cluster.node(1).start();
        cluster.node(1).wait_ready().await;
        let dir = tempfile::tempdir().expect("there is a place for files");
        Self {
            cluster,
            by_name,
            dir,
        }
    }

    fn nodes(&self, names: &[&str]) -> Nodes {
        names
            .iter()
            .map(|name| self.by_name[name].clone())
            .collect()
    }

    /// Runs the commands below a heading of a page. `words` are placeholders and their values.
    async fn follow(&self, page: &str, heading: &str, words: &[(&str, &str)]) {
        let mut commands = commands_under(page, heading);
        for (word, value) in words {
            assert!(commands.contains(word), "{word} in {commands}");
            commands = commands.replace(word, value);
        }
        let (mut machine, mut token) = (self.cluster.node(1), String::new());
        for line in commands.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            match &*words {
                ["#", "on", name] => machine = self.by_name[name].clone(),
                ["TOKEN=$(quorate", ..] => {
                    let args = line.strip_prefix("TOKEN=$(quorate ");
                    let args = args.and_then(|args| args.strip_suffix(')'));
                    let args: Vec<_> = args.expect("it is closed").split(' ').collect();
                    token = machine.operate(&args).await.trim_end().to_owned();
                }
                [
                    "quorate",
                    "serve",
                    "--config",
                    "/etc/quorate/config.toml",
                    "--join",
                    "$TOKEN",
                ] => {
                    machine.join(&token);
                    // An operator types the next command after this one works.
                    self.cluster.node(1).wait_until_known(&machine).await;
                }
                ["quorate" | "(umask", ..] => self.run_in_shell(&machine, line).await,
                ["systemctl", "stop", "quorate"] => machine.terminate().await,
                ["systemctl", "start", "quorate"] => {
                    machine.start();
                    machine.wait_alive().await;
                }
                _ => panic!("{heading}: the test cannot run {line:?}"),
            }
        }
    }

    /// Runs a line as an operator types it on this machine.
    async fn run_in_shell(&self, machine: &Node, line: &str) {
        let admin = machine.admin_url();
        let (data_dir, config) = (machine.data_dir(), machine.config_file());
        let line = line.replace("/var/lib/quorate", text(&data_dir));
        let line = line.replace("/etc/quorate/config.toml", text(&config));
        let script = format!("quorate() {{ \"$PROGRAM\" \"$@\"; }}\n{line}");
        let mut command = Command::new("sh");
        command.args(["-ec", &script]).current_dir(&self.dir);
        command.env("PROGRAM", binary::quorate());
        command.env("QUORATE_ADMIN", admin).kill_on_drop(true);
        let output = command.output().await.expect("there is a shell");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {error}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is a name of ours")
}

/// The first block of commands below a heading of `docs/{page}`.
fn commands_under(page: &str, heading: &str) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    let document = fs::read_to_string(document).expect("the page exists");
    let (_, section) = document
        .split_once(&format!("# {heading}\n"))
        .unwrap_or_else(|| panic!("{page} has no heading {heading}"));
    let (_, commands) = section
        .split_once("```sh\n")
        .expect("the section has commands");
    let (commands, _) = commands.split_once("```").expect("the block ends");
    commands.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_procedures_of_the_documents_work() {
    let machines = Machines::new(["ns1", "ns2", "ns3", "ns4", "edge"]).await;
    let alice = machines.cluster.publisher("alice");
    let first = machines.by_name["ns1"].clone();
    alice
        .put(&first, "from the time alone")
        .await
        .expect_acked();

    machines
        .follow("first-cluster.md", "One node grows into three", &[])
        .await;
    let three = machines.nodes(&["ns1", "ns2", "ns3"]);
    three.expect_to_be_the_voters().await;
    three.wait_ready().await;

    machines.follow("grow.md", "Add a learner", &[]).await;
    let edge = machines.by_name["edge"].clone();
    first.wait_for_role(&edge, "learner").await;
    edge.wait_ready().await;

    machines.by_name["ns3"].kill();
    machines.follow("grow.md", "Replace a node", &[]).await;
    let three = machines.nodes(&["ns1", "ns2", "ns4"]);
    three.expect_to_be_the_voters().await;
    three.wait_ready().await;

    machines
        .follow("grow.md", "Hand leadership over", &[])
        .await;
    three.wait_for_leader().await;

    let moved = machines.by_name["ns4"].clone();
    let (old, new) = (moved.addresses().peer, moved.take_peer_address());
    moved.configure(&moved.config().replace(&old.to_string(), &new.to_string()));
    let new = new.to_string();
    let words = [("ns4-new.example.org:7700", &*new)];
    machines.follow("grow.md", "Move a node", &words).await;
    moved.wait_ready().await;
    three
        .with(&edge)
        .expect_txt(&alice, "from the time alone")
        .await;

    machines.follow("grow.md", "Remove a node", &[]).await;
    let two = machines.nodes(&["ns1", "ns2"]);
    two.expect_to_be_the_voters().await;
    two.expect_txt(&alice, "from the time alone").await;

    let key = alice.key();
    let words = [("KEY", &*key)];
    machines
        .follow("publishing.md", "Keep a key out", &words)
        .await;
    alice.put(&first, "allowed again").await.expect_acked();
    machines
        .follow("publishing.md", "Delete a packet", &words)
        .await;
    alice.put(&first, "after the block").await.expect_acked();
    two.expect_txt(&alice, "after the block").await;

    fs::write(machines.dir.path().join("keys"), &key).expect("the file can be written");
    machines
        .follow("publishing.md", "Allow only some keys", &[])
        .await;
    alice.put(&first, "allowed").await.expect_acked();
    let relay = format!("http://{}", first.addresses().http);
    let words = [("https://ns1.dns.example.org", &*relay)];
    machines
        .follow("publishing.md", "Give out tokens for publishing", &words)
        .await;

    let words = [("dns.example.org", ORIGIN.trim_end_matches('.'))];
    machines
        .follow("delegate.md", "Static records", &words)
        .await;
    let zones = first.operate(&["zone", "list", words[0].1]).await;
    assert!(zones.contains("20 mail.example.net."), "{zones}");
}

/// Two of five survive. Their old data is moved aside, as the page says, and becomes a new cluster.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_lost_majority_leads_to_a_new_cluster() {
    let machines = Machines::new(["ns1", "ns2", "ns3", "ns4", "ns5"]).await;
    let first = machines.by_name["ns1"].clone();
    for name in ["ns2", "ns3", "ns4", "ns5"] {
        let node = &machines.by_name[name];
        node.join(&first.invite(&[]).await);
        first.wait_for_role(node, "voter").await;
        node.wait_ready().await;
    }
    let alice = machines.cluster.publisher("alice");
    alice.put(&first, "before").await.expect_acked();
    machines.cluster.nodes().expect_converged().await;
    let name = first.operate(&["status"]).await;
    let name = name.lines().find_map(|line| line.strip_prefix("cluster"));
    let name = name.expect("it is printed").trim().to_owned();
    machines.cluster.nodes().kill();
    for node in machines.cluster.nodes().iter() {
        let (dir, old) = (node.data_dir(), node.data_dir().with_extension("old"));
        fs::rename(&dir, &old).expect("it can be moved aside");
        fs::create_dir(&dir).expect("it can be created");
        // The test knows a node by its key, so it keeps that.
        let key = fs::read_to_string(old.join("node.key")).expect("it is there");
        let key = key.lines().find(|line| !line.starts_with('#'));
        fs::write(node.key_file(), key.expect("it has a key")).expect("it can be written");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(node.key_file(), private).expect("it is ours");
    }
    let words = [("NAME", &*name)];
    machines
        .follow(
            "trouble/lost-majority.md",
            "Make the survivors a new cluster",
            &words,
        )
        .await;
    let second = machines.by_name["ns2"].clone();
    first.wait_for_role(&second, "voter").await;
    let new = machines.nodes(&["ns1", "ns2"]);
    new.wait_ready().await;
    new.expect_to_be_the_voters().await;
    new.expect_txt(&alice, "before").await;
    alice.put(&second, "after").await.expect_acked();
    new.expect_txt(&alice, "after").await;
}
