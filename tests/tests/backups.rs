//! Backups, and the new clusters that they become; packets of other programs; settings of a live cluster.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use quorate_tests::{
    Cluster, Node, Nodes, ORIGIN, PutAnswer, publish_many,
    s3::{BUCKET, S3Server},
    voters,
    wait::{CONVERGE_WITHIN, until},
};
use serde_json::Value;

fn text(path: &Path) -> &str {
    path.to_str().expect("it is a name of ours")
}

async fn json(node: &Node, words: &[&str]) -> Value {
    let printed = node.operate(words).await;
    serde_json::from_str(&printed).expect("it is JSON")
}

/// Waits until a node's status meets a condition.
async fn wait_for_status(node: &Node, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(what, CONVERGE_WITHIN, async || {
        let status = json(node, &["status", "--json"]).await;
        match is_so(&status) {
            true => Ok(status),
            false => Err(status.to_string()),
        }
    })
    .await
}

/// A backup of a follower has all that the cluster stores, and becomes a new cluster in an empty directory,
/// and in no other. What was deleted or blocked stays so, and readers learn that history was cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_restores_into_a_new_cluster_only() {
    let cluster = Cluster::start(voters(3)).await;
    let node = cluster.follower().await;
    let acked = publish_many(&cluster.nodes(), 200, 4).await;
    let (blocked, deleted) = (cluster.publisher("blocked"), cluster.publisher("deleted"));
    let old = deleted.packet("old");
    deleted.put_packet(&node, &old).await.expect_acked();
    node.operate(&["packet", "delete", &deleted.key()]).await;
    blocked.put(&node, "before").await.expect_acked();
    node.operate(&["packet", "delete", &blocked.key(), "--block", "1d"])
        .await;
    let origin = ORIGIN.trim_end_matches('.');
    node.operate(&["zone", "set", origin, "www", "60", "A", "192.0.2.80"])
        .await;
    cluster.nodes().expect_converged().await;

    let file = cluster.dir().join("a.backup");
    node.operate(&["backup", "save", "-o", text(&file)]).await;
    let mode = fs::metadata(&file).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let verified = node.operate(&["backup", "verify", text(&file)]).await;
    assert!(verified.contains("OK, 200 packets"), "{verified}");
    let known = json(&node, &["status", "--json"]).await;

    let taken = node.data_dir();
    let into = ["restore", text(&file), "--data-dir", text(&taken)];
    let rejected = node.expect_rejected(&into).await;
    assert!(rejected.contains("is not empty"), "{rejected}");
    let first = cluster.machine();
    let config = first.config_file();
    let restore = ["restore", text(&file), "--config", text(&config)];
    let plan = [&restore[..], &["--dry-run"]].concat();
    let planned = first.operate(&plan).await;
    for line in [
        "2, of which 1 are blocks",
        "1 with 1 records",
        "Nothing was written",
    ] {
        assert!(planned.contains(line), "{line} in {planned}");
    }
    assert!(!first.data_dir().join("cluster").exists());
    cluster.live().terminate().await;
    first.operate(&restore).await;

    first.start();
    first.wait_ready().await;
    let new = [cluster.join(&first).await, cluster.join(&first).await];
    let new: Nodes = new.into_iter().chain([first.clone()]).collect();
    new.expect_converged().await;
    acked.expect_held_by(&new).await;
    blocked.put(&new[1], "after").await.expect_rejected(403);
    deleted.put_packet(&new[1], &old).await.expect_rejected(409);
    deleted.put(&new[1], "newer").await.expect_acked();
    let answer = new[0].ask(&format!("www.{ORIGIN}"), RecordType::A).await;
    assert_eq!(answer.answers.len(), 1);

    let status = json(&first, &["status", "--json"]).await;
    let (old_cluster, new_cluster) = (&known["cluster"], &status["cluster"]);
    assert!(old_cluster.is_string() && new_cluster.is_string());
    assert_ne!(old_cluster, new_cluster);
    let (since, now) = (&known["applied_index"], &status["applied_index"]);
    let old_cluster = old_cluster.as_str().expect("it is an id");
    for path in [
        format!("/v1/changes?since={since}"),
        format!("/v1/changes?since={now}&cluster={old_cluster}"),
    ] {
        let lost = first.admin(&path).await.expect("it answers");
        assert_eq!(lost.status, 410, "{path}: {}", lost.text());
    }
}

/// A node without a leader makes a backup too, and tells how old it may be.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_needs_no_leader() {
    let cluster = Cluster::start(voters(3)).await;
    let node = cluster.follower().await;
    let acked = publish_many(&cluster.nodes(), 20, 2).await;
    cluster.nodes().expect_converged().await;
    cluster.nodes().without(&node).kill();
    let no_leader = |status: &Value| status["not_ready"] == "no_leader";
    wait_for_status(&node, "no leader to be known", no_leader).await;
    let file = cluster.dir().join("a.backup");
    let saved = node.run(&["backup", "save", "-o", text(&file)]).await;
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    assert!(saved.stderr.contains("knew no leader"), "{}", saved.stderr);
    let header = json(&node, &["backup", "inspect", text(&file), "--json"]).await;
    assert_eq!(header["backup"]["has_leader"], false);
    assert_eq!(header["backup"]["packet_count"], acked.publishers().len());
}

fn scheduled(target: &str, more: &str) -> String {
    format!("\n[backup]\ntarget = {target:?}\ninterval_secs = 1\nkept_count = 2\n{more}\n")
}

/// How many backups the status of a node reports as failed since the last one.
fn failure_count(status: &Value) -> u64 {
    status["backup"]["failure_count"]
        .as_u64()
        .unwrap_or_default()
}

/// Followers make the backups. When one of them cannot, the others do, and all nodes report it.
#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_backup_that_fails_is_made_by_another_node() {
    let target = tempfile::tempdir().expect("there is a place for files");
    let plan = voters(3).with_config(&scheduled(text(target.path()), ""));
    let cluster = Cluster::start(plan).await;
    publish_many(&cluster.nodes(), 20, 2).await;
    let node = cluster.node(1);
    let has_saved = |status: &Value| status["backup"]["packet_count"] == 20;
    let status = wait_for_status(&node, "a backup of all packets", has_saved).await;

    // Where the node that made it writes the next one is something else.
    let name = status["backup"]["name"].as_str().expect("it has a name");
    let nodes = cluster.nodes();
    let mut nodes = nodes.iter();
    let broken = nodes.find(|node| name.contains(&node.id()[..8]));
    let broken = broken.expect("a node made it");
    fs::create_dir(broken.data_dir().join("backup.written")).expect("it can be created");
    wait_for_status(&node, "a failure", |status| failure_count(status) > 0).await;
    let status = wait_for_status(&node, "a backup after it", |status| {
        status["backup"]["failed_ms"].is_u64() && failure_count(status) == 0
    })
    .await;
    let error = status["backup"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("data directory"), "{status}");

    let names = || -> Vec<_> {
        let names = fs::read_dir(target.path()).expect("it is there");
        let names = names.map(|entry| entry.expect("it can be read").path());
        names
            .filter(|path| path.extension().is_some_and(|it| it == "backup"))
            .collect()
    };
    until("the oldest to be removed", CONVERGE_WITHIN, async || {
        let count = names().len();
        (count == 2).then_some(()).ok_or(format!("{count}"))
    })
    .await;
    // The next one may remove it meanwhile.
    until("a backup to be verified", CONVERGE_WITHIN, async || {
        let newest = names().into_iter().max().ok_or("none is there")?;
        let ran = node.run(&["backup", "verify", text(&newest)]).await;
        (ran.code == 0).then_some(()).ok_or(ran.stderr)
    })
    .await;
    let metrics = node.admin("/metrics").await.expect("it answers").text();
    let saved = "quorate_backup_saved_timestamp_seconds 1";
    assert!(metrics.contains(saved), "{metrics}");
}

/// The same in a store with the S3 protocol, with the keys in a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_an_s3_store_can_be_restored() {
    let server = S3Server::start().await;
    let dir = tempfile::tempdir().expect("there is a place for files");
    let keys = dir.path().join("keys");
    fs::write(&keys, "id\nsecret\n").expect("it can be written");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&keys, private).expect("it is ours");
    let more = format!(
        "endpoint = {:?}\npath_style = true\ncredentials_file = {keys:?}",
        server.url()
    );
    let plan = voters(1).with_config(&scheduled(&format!("s3://{BUCKET}/nodes"), &more));
    let cluster = Cluster::start(plan).await;
    let acked = publish_many(&cluster.nodes(), 20, 2).await;
    let node = cluster.node(1);
    let has_saved = |status: &Value| status["backup"]["packet_count"] == 20;
    let status = wait_for_status(&node, "a backup of all packets", has_saved).await;
    node.terminate().await;

    let name = status["backup"]["name"].as_str().expect("it has a name");
    let url = format!("{}/{BUCKET}/nodes/{name}", server.url());
    let stored = node.send(node.client().get(url)).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let file = dir.path().join(name);
    fs::write(&file, &stored.body).expect("it can be written");
    let first = cluster.machine();
    let config = first.config_file();
    first
        .operate(&["restore", text(&file), "--config", text(&config)])
        .await;
    first.start();
    first.wait_ready().await;
    acked.expect_held_by(&[first].into_iter().collect()).await;
}

/// What `quorate export` writes, and the databases that the other servers wrote, fill a running cluster. The
/// databases stay as they are, and a second import changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn packets_of_other_servers_are_imported() {
    let cluster = Cluster::start(voters(3)).await;
    let node = cluster.follower().await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/storage/foreign/fixtures");
    let unpack = |name: &str, to: &Path| {
        let packed = fs::read(fixtures.join(name)).expect("the fixture is there");
        let unpacked = zstd::decode_all(&packed[..]).expect("it is packed");
        fs::write(to, &unpacked).expect("it can be written");
        unpacked
    };
    let (redb, lmdb) = (
        cluster.dir().join("signed-packets-1.db"),
        cluster.dir().join("cache"),
    );
    fs::create_dir(&lmdb).expect("it can be created");
    let data = lmdb.join("data.mdb");
    let before = [
        unpack("iroh-dns-server.db.zst", &redb),
        unpack("pkarr-relay.mdb.zst", &data),
    ];
    for (program, path) in [("iroh-dns-server", &redb), ("pkarr-relay", &lmdb)] {
        let words = ["import", "--from", program, text(path)];
        let imported = node.run(&words).await;
        assert!(
            imported.stderr.contains("of 3 packets, 3 are new"),
            "{}",
            imported.stderr
        );
        let again = node.run(&words).await;
        assert!(
            again.stderr.contains("3 were stored already"),
            "{}",
            again.stderr
        );
    }
    assert!(before == [&redb, &data].map(|path| fs::read(path).expect("it is there")));

    let exported = node.operate(&["export"]).await;
    let keys: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    // Both have the same keys.
    assert_eq!(keys.len(), 3);
    cluster.nodes().expect_converged().await;
    for key in &keys {
        let key = key["key"].as_str().expect("it is text");
        assert!(node.get(key).await.found().is_some(), "{key}");
    }
    let key = keys[0]["key"].as_str().expect("it is text");
    node.operate(&["packet", "delete", key, "--block", "1h"])
        .await;
    let file = cluster.dir().join("packets");
    fs::write(&file, &exported).expect("it can be written");
    let blocked = node.run(&["import", text(&file)]).await;
    assert!(
        blocked.stderr.contains("its key is blocked"),
        "{}",
        blocked.stderr
    );
    let name = format!("_iroh.{key}.{ORIGIN}");
    let gone = node.ask(&name, RecordType::TXT).await;
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
}

/// A change applies on all nodes, survives their restart, and a configuration that differs is reported then.
#[tokio::test(flavor = "multi_thread")]
async fn settings_change_while_the_cluster_runs() {
    let cluster = Cluster::start(voters(3)).await;
    let node = cluster.follower().await;
    publish_many(&cluster.nodes(), 3, 1).await;
    let set = ["cluster", "set", "packets.count_max", "2"];
    let asked = node.expect_rejected(&set).await;
    assert!(
        asked.contains("3 are stored") && asked.contains("--yes"),
        "{asked}"
    );
    let range = ["cluster", "set", "packets.size_max", "0"];
    let rejected = node.expect_rejected(&range).await;
    assert!(rejected.contains("packets.size_max is 0"), "{rejected}");
    node.operate(&[&set[..], &["--yes"]].concat()).await;
    node.operate(&["cluster", "set", "packets.retention_secs", "14d"])
        .await;
    assert!(node.log().contains("/v1/settings"), "the audit log has it");

    let has_set = |status: &Value| {
        status["packet_count_max"] == 2 && status["retention_secs"] == 14 * 24 * 3600
    };
    for node in cluster.nodes().iter() {
        wait_for_status(node, "the settings", has_set).await;
        let full = cluster.publisher("another").put(node, "x").await;
        assert_eq!(full, PutAnswer::Refused(503));
    }
    cluster.nodes().terminate().await;
    cluster.nodes().restart();
    cluster.nodes().wait_ready().await;
    for node in cluster.nodes().iter() {
        wait_for_status(node, "the settings", has_set).await;
        let differs = |setting| {
            let log = node.log();
            let mut lines = log
                .lines()
                .filter(|line| line.contains("agreed on another value"));
            lines.any(|line| line.contains(setting))
        };
        assert!(differs("packets.count_max") && differs("packets.retention_secs"));
    }
}
