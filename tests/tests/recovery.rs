//! A majority is gone for ever, and what survives becomes a new cluster.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use quorate_tests::{
    Cluster, CommandOutput, Load, Node, Nodes, Oracle, voters,
    wait::{CONVERGE_WITHIN, until},
};

/// How many PUTs a survivor acknowledges before the others are lost.
const ACKED_COUNT: u64 = 200;

/// How many publishers keep trying, in each load.
const WRITER_COUNT: usize = 4;

/// The contents of all files below a directory.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("it is there") {
        let path = entry.expect("it can be read").path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false if path.is_file() => {
                let content = fs::read(&path).expect("it can be read");
                files.insert(path.display().to_string(), content);
            }
            // The socket of a node that was killed.
            false => {}
        }
    }
    files
}

/// `quorate recover` of these data directories into that of `new`, with its configuration.
async fn recover(old: &[&Node], new: &Node, more: &[&str]) -> CommandOutput {
    let (into, config) = (new.data_dir(), new.config_file());
    let dirs: Vec<_> = old.iter().map(|node| node.data_dir()).collect();
    let mut words = vec!["recover"];
    for dir in &dirs {
        words.extend(["--data-dir", text(dir)]);
    }
    words.extend(["--into", text(&into), "--config", text(&config)]);
    words.extend(more);
    new.run(&words).await
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is a name of ours")
}

/// The name of the cluster, as `recover` asks for it.
async fn cluster_name(old: &[&Node], new: &Node) -> String {
    let asked = recover(old, new, &[]).await;
    assert_ne!(asked.code, 0, "{}", asked.stdout);
    let (_, name) = asked.stderr.split_once("--yes ").expect("it asks");
    name.trim().to_owned()
}

/// Writes at `survivor` and at the others until everything of a majority is lost at once. Returns what the
/// survivor has acknowledged.
async fn lose(survivor: &Arc<Node>, others: &Nodes) -> Oracle {
    let at_survivor: Nodes = [survivor.clone()].into_iter().collect();
    let (here, elsewhere) = (
        Load::start(&at_survivor, WRITER_COUNT),
        Load::start(others, WRITER_COUNT),
    );
    here.wait_for_acks(ACKED_COUNT).await;
    others.kill();
    for node in others.iter() {
        fs::remove_dir_all(node.data_dir()).expect("it can be destroyed");
    }
    let (here, _) = tokio::join!(here.stop(), elsewhere.stop());
    here
}

/// Waits until the log of a node has this text.
async fn wait_for_log(node: &Node, text: &str) {
    let what = format!("{text:?} in the log of {}", node.name());
    until(&what, CONVERGE_WITHIN, async || {
        let log = node.log();
        log.contains(text).then_some(()).ok_or(log)
    })
    .await;
}

/// Two of three directories are destroyed under publishers that keep trying. The third node becomes a new
/// cluster with everything that it had acknowledged, and that cluster grows as ever. The old node, started
/// again, is turned away.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_three_becomes_a_new_cluster_with_every_committed_packet() {
    let cluster = Cluster::start(voters(3)).await;
    let survivor = cluster.follower().await;
    let others = cluster.nodes().without(&survivor);
    let acked = lose(&survivor, &others).await;
    assert!(acked.acked_count() >= ACKED_COUNT);

    // The error of a lost majority leads to the command.
    let told = survivor.expect_rejected(&["member", "add"]).await;
    assert!(told.contains("quorate recover"), "{told}");
    let first = cluster.machine();
    let in_use = recover(&[&survivor], &first, &[]).await;
    assert!(in_use.stderr.contains("in use"), "{}", in_use.stderr);

    survivor.kill();
    let before = files(&survivor.data_dir());
    let name = cluster_name(&[&survivor], &first).await;
    let wrong = recover(&[&survivor], &first, &["--yes", "another"]).await;
    assert!(wrong.stderr.contains(&name), "{}", wrong.stderr);
    assert_ne!(wrong.code, 0);
    assert!(!first.data_dir().join("cluster").exists());

    let done = recover(&[&survivor], &first, &["--yes", &name]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    for line in ["The best survivor is", "1 of 3 voters", "May be lost"] {
        assert!(done.stdout.contains(line), "{line} in {}", done.stdout);
    }
    assert!(
        before == files(&survivor.data_dir()),
        "the old directory has changed"
    );
    let again = recover(&[&survivor], &first, &["--yes", &name]).await;
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);

    first.start();
    first.wait_ready().await;
    let alone: Nodes = [first.clone()].into_iter().collect();
    acked.expect_held_by(&alone).await;
    let [second, third] = [cluster.join(&first).await, cluster.join(&first).await];
    let new = alone.with(&second).with(&third);
    new.expect_converged().await;
    acked.expect_held_by(&new).await;
    let alice = cluster.publisher("alice");
    alice.put(&third, "in the new cluster").await.expect_acked();
    new.expect_txt(&alice, "in the new cluster").await;

    // The old node finds a node of the new cluster where a member of its own was.
    let peers = new.iter().map(|node| node.addresses().peer.to_string());
    let routes: Vec<_> = others
        .iter()
        .zip(peers)
        .flat_map(|(lost, peer)| ["--route".to_owned(), format!("{}@{peer}", lost.id())])
        .collect();
    survivor.set_arguments(routes.iter().map(String::as_str));
    survivor.start();
    survivor.wait_alive().await;
    wait_for_log(&survivor, "If the cluster was restored or recovered").await;
    new.expect_to_be_the_voters().await;
    alice.put(&first, "still").await.expect_acked();
    new.expect_converged().await;
}

/// Three of five directories are destroyed. Of the two that survive, the one with the last entry is chosen,
/// although it is on another machine first, and the new cluster waits for its voters before it takes packets.
#[tokio::test(flavor = "multi_thread")]
async fn two_of_five_become_a_new_cluster() {
    let cluster = Cluster::start(voters(5)).await;
    let behind = cluster.follower().await;
    behind.kill();
    let live = cluster.live();
    let leader = live.wait_for_leader().await;
    let survivor = live.without(&leader)[0].clone();
    let acked = lose(&survivor, &live.without(&survivor)).await;
    survivor.kill();

    let first = cluster.machine();
    let summary = cluster.dir().join("summary.json");
    let (dir, file) = (survivor.data_dir(), text(&summary));
    let inspect = ["recover", "inspect", "--data-dir", text(&dir), "-o", file];
    let printed = first.operate(&inspect).await;
    assert!(printed.contains("last entry"), "{printed}");
    let elsewhere = recover(&[&behind], &first, &["--summary", file]).await;
    let expected = format!("the best survivor is {}", dir.display());
    assert!(elsewhere.stderr.contains(&expected), "{}", elsewhere.stderr);

    let name = cluster_name(&[&behind, &survivor], &first).await;
    let more = ["--yes", &name, "--voters", "3"];
    let done = recover(&[&behind, &survivor], &first, &more).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("2 of 5 voters"), "{}", done.stdout);

    first.start();
    first.wait_alive().await;
    let alone: Nodes = [first.clone()].into_iter().collect();
    until(
        "the packets to be served",
        CONVERGE_WITHIN,
        async || match first.get(&acked.publishers()[0].key()).await.status {
            503 => Err(first.ready().await.unwrap_err()),
            _ => Ok(()),
        },
    )
    .await;
    acked.expect_held_by(&alone).await;
    let reason = first.ready().await.unwrap_err();
    assert!(reason.contains("restored or recovered"), "{reason}");
    let alice = cluster.publisher("alice");
    alice.put(&first, "too early").await.expect_rejected(503);

    let mut new = alone;
    for _ in 0..2 {
        let node = cluster.machine();
        node.join(&first.invite(&[]).await);
        new = new.with(&node);
    }
    new.wait_ready().await;
    new.expect_to_be_the_voters().await;
    alice.put(&first, "now").await.expect_acked();
    new.expect_converged().await;
    acked.expect_held_by(&new).await;
}

/// The only directory is damaged. Every packet that can be verified becomes a new cluster, and how much is
/// missing is reported.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_survivor_is_salvaged() {
    let cluster = Cluster::start(voters(1)).await;
    let old = cluster.node(1);
    let all = quorate_tests::publish_many(&cluster.nodes(), 300, WRITER_COUNT).await;
    // A clean stop writes a checkpoint.
    old.terminate().await;
    let store = old.data_dir().join("records.redb");
    let mut bytes = fs::read(&store).expect("it can be read");
    // The header of redb, and a page in the middle.
    let middle = bytes.len() / 2 / 4096 * 4096;
    for range in [0..4096, middle..middle + 4096] {
        bytes[range].fill(0xa5);
    }
    fs::write(&store, bytes).expect("it can be written");
    fs::remove_dir_all(old.data_dir().join("log")).expect("it can be removed");

    let new = cluster.machine();
    let plain = recover(&[&old], &new, &["--yes", "unknown"]).await;
    assert!(plain.stderr.contains("--salvage"), "{}", plain.stderr);
    let asked = recover(&[&old], &new, &["--salvage"]).await;
    let (_, name) = asked.stderr.split_once("--yes ").expect("it asks");
    let done = recover(&[&old], &new, &["--salvage", "--yes", name.trim()]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout.contains("with a valid signature"),
        "{}",
        done.stdout
    );
    assert!(!done.stdout.contains("Whole"), "{}", done.stdout);

    new.start();
    new.wait_ready().await;
    let found = new.status().await.expect("it is ready").packet_count;
    assert!(found > 200, "{found} of {}", all.publishers().len());
    for publisher in all.publishers() {
        let answer = new.get(&publisher.key()).await;
        if let Some(packet) = answer.found() {
            publisher
                .oracle()
                .check(Some(packet))
                .expect("it was published");
        }
    }
}
