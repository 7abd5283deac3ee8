//! The procedures of docs/OPERATIONS.md: the commands that stand there, as they stand there.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use quorate_tests::{Cluster, Node, Nodes, voters};

/// The machines that the document speaks of, and the nodes that stand for them.
struct Machines {
    cluster: Cluster,
    by_name: BTreeMap<&'static str, Arc<Node>>,
}

impl Machines {
    /// The first one runs, and is a cluster by itself.
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
        Self { cluster, by_name }
    }

    fn nodes(&self, names: &[&str]) -> Nodes {
        names
            .iter()
            .map(|name| self.by_name[name].clone())
            .collect()
    }

    /// Does what stands under a heading of the document, with other words for some.
    async fn follow(&self, heading: &str, words: &[(&str, &str)]) {
        let mut commands = commands_under(heading);
        for (word, meant) in words {
            assert!(commands.contains(word), "{word} in {commands}");
            commands = commands.replace(word, meant);
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
                    // Whoever types the next command has seen this one working.
                    self.cluster.node(1).wait_until_known(&machine).await;
                }
                ["quorate", args @ ..] => drop(machine.operate(args).await),
                ["systemctl", "stop", "quorate"] => machine.terminate().await,
                ["systemctl", "start", "quorate"] => machine.start(),
                _ => panic!("{heading}: the test does not know what {line:?} means"),
            }
        }
    }
}

/// The commands that stand under a heading.
fn commands_under(heading: &str) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATIONS.md");
    let document = fs::read_to_string(document).expect("it is there");
    let (_, section) = document
        .split_once(&format!("### {heading}\n"))
        .unwrap_or_else(|| panic!("there is no {heading}"));
    let (_, commands) = section.split_once("```sh\n").expect("it has commands");
    let (commands, _) = commands.split_once("```").expect("they end");
    commands.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_procedures_of_the_document_do_what_they_say() {
    let machines = Machines::new(["ns1", "ns2", "ns3", "ns4", "edge"]).await;
    let alice = machines.cluster.publisher("alice");
    let first = machines.by_name["ns1"].clone();
    alice
        .put(&first, "from the time alone")
        .await
        .expect_acked();

    machines.follow("One node grows into three", &[]).await;
    let three = machines.nodes(&["ns1", "ns2", "ns3"]);
    three.expect_to_be_the_voters().await;
    three.wait_ready().await;

    machines.follow("A replica for readers", &[]).await;
    let edge = machines.by_name["edge"].clone();
    first.wait_for_role(&edge, "learner").await;
    edge.wait_ready().await;

    machines.by_name["ns3"].kill();
    machines.follow("Replace a node", &[]).await;
    let three = machines.nodes(&["ns1", "ns2", "ns4"]);
    three.expect_to_be_the_voters().await;
    three.wait_ready().await;

    machines.follow("Hand leadership over", &[]).await;
    three.wait_for_leader().await;

    let moved = machines.by_name["ns4"].clone();
    let (old, new) = (moved.addresses().peer, moved.take_peer_address());
    moved.configure(&moved.config().replace(&old.to_string(), &new.to_string()));
    let new = new.to_string();
    let words = [("ns4-new.example.org:7700", &*new)];
    machines.follow("Move a node", &words).await;
    moved.wait_ready().await;
    three
        .with(&edge)
        .expect_txt(&alice, "from the time alone")
        .await;

    machines.follow("Remove a node", &[]).await;
    let two = machines.nodes(&["ns1", "ns2"]);
    two.expect_to_be_the_voters().await;
    two.expect_txt(&alice, "from the time alone").await;
}
