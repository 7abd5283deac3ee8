//! Metrics and health of a node, also without a quorum.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use quorate_tests::{
    Cluster, ORIGIN, PutAnswer, dns, voters,
    wait::{LEADER_WITHIN, until},
};
use tokio::time::Instant;

use crate::{
    metrics_tables::tables,
    programs::{need, run},
};

/// The variable that makes the test write the tables.
const UPDATE_VARIABLE: &str = "UPDATE_GOLDEN";

/// The markers around the tables in `docs/METRICS.md`.
const TABLES: [&str; 2] = ["<!-- tables -->\n\n", "\n<!-- end of tables -->"];

/// `docs/METRICS.md` has every metric with its type, labels and help text: dashboards rely on it.
#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    for node in cluster.nodes().iter() {
        alice.put(node, "here").await.expect_acked();
        node.get(&alice.key()).await;
        node.texts(&alice.key()).await;
    }
    let node = cluster.node(1);
    let metrics = node.admin("/metrics").await.expect("it lives").text();
    let found = tables(&metrics);

    let text = fs::read_to_string(documentation()).expect("the page is there");
    let (before, rest) = text.split_once(TABLES[0]).expect("the tables begin");
    let (documented, after) = rest.split_once(TABLES[1]).expect("the tables end");
    if std::env::var_os(UPDATE_VARIABLE).is_some() {
        let text = [before, TABLES[0], &found, TABLES[1], after].concat();
        fs::write(documentation(), text).expect("the file can be written");
    } else {
        assert_eq!(
            found, documented,
            "run with {UPDATE_VARIABLE}=1 if this is meant"
        );
    }
}

/// Graphs of memory and of versions need no other exporter.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_reports_its_process_and_its_version() {
    let cluster = Cluster::start(voters(1)).await;
    let metrics = cluster.node(1).admin("/metrics").await.expect("it lives");
    let metrics = metrics.text();
    for name in [
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_max_fds ",
        "process_cpu_seconds_total ",
        "process_threads ",
        "quorate_build_info{commit=",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name}");
    }
    let version = format!("version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(metrics.contains(&version), "{version}");
}

fn documentation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md")
}

/// `promtool` accepts names, types and help texts.
#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_no_fault_with_the_metrics() {
    let cluster = Cluster::start(voters(1)).await;
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let file = dir.path().join("metrics");
    let metrics = cluster.node(1).admin("/metrics").await.expect("it lives");
    fs::write(&file, &metrics.body).expect("the file can be written");
    let metrics = File::open(&file).expect("it was written");
    run(promtool().args(["check", "metrics"]).stdin(metrics));
}

/// The alerts can be loaded, and every metric in them exists.
#[test]
fn the_alerts_are_rules_about_metrics_that_exist() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus-rules.yml");
    run(promtool().args(["check", "rules"]).arg(&rules));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus-rules-tests.yml");
    run(promtool().args(["test", "rules"]).arg(tests));

    let documentation = fs::read_to_string(documentation()).expect("the page is there");
    let rows = documentation.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.trim_end_matches('`'), cells.next()?))
    });
    let names: BTreeSet<_> = rows.collect();
    let rules = fs::read_to_string(rules).expect("it was read before");
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut used = rules.split(|letter| !is_of_a_name(letter));
    let missing = used.find(|word| {
        word.starts_with("quorate_")
            && !names.contains(&(word, "gauge"))
            && !names.contains(&(word, "counter"))
            && !names.contains(&(word.trim_end_matches("_bucket"), "histogram"))
    });
    assert_eq!(missing, None);
}

fn promtool() -> Command {
    Command::new(need("promtool", "prometheus"))
}

/// The metrics follow what happens.
#[tokio::test(flavor = "multi_thread")]
async fn every_counter_increases() {
    let cluster = Cluster::start(voters(1)).await;
    let (node, alice) = (cluster.node(1), cluster.publisher("alice"));
    let figure = async |line: &str| -> f64 {
        let metrics = node.admin("/metrics").await.expect("it lives").text();
        let value = metrics
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("{line} is missing:\n{metrics}"));
        value.parse().expect("a figure is a number")
    };
    assert_eq!(figure("quorate_store_packets").await, 0.0);
    let packet = alice.packet("here");
    alice.put_packet(&node, &packet).await.expect_acked();
    alice.put_packet(&node, &packet).await.expect_acked();
    node.put_bytes(&alice.key(), "short").await;
    node.get(&alice.key()).await;
    node.get(&cluster.publisher("bob").key()).await;
    for (line, expected) in [
        (r#"quorate_relay_puts_total{outcome="stored"}"#, 1.0),
        (r#"quorate_relay_puts_total{outcome="unchanged"}"#, 1.0),
        (r#"quorate_relay_puts_total{outcome="invalid"}"#, 1.0),
        (r#"quorate_relay_gets_total{outcome="found"}"#, 1.0),
        (r#"quorate_relay_gets_total{outcome="missing"}"#, 1.0),
        ("quorate_store_packets", 1.0),
        (r#"quorate_raft_role{role="leader"}"#, 1.0),
        (r#"quorate_raft_role{role="follower"}"#, 0.0),
        ("quorate_raft_ready", 1.0),
        ("quorate_raft_voters", 1.0),
    ] {
        assert_eq!(figure(line).await, expected, "{line}");
    }
}

/// With two of three nodes down, the third reports why it is not ready, answers every read, and answers
/// every PUT within its deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_quorum_reports_it_and_answers_reads() {
    const DEADLINE: Duration = Duration::from_millis(1500);
    const MARGIN: Duration = Duration::from_millis(1500);

    let cluster = Cluster::start(voters(3).put_deadline(DEADLINE)).await;
    let alice = cluster.publisher("alice");
    let leader = cluster.leader().await;
    alice.put(&leader, "here").await.expect_acked();
    cluster.nodes().expect_converged().await;
    // The leader survives: it must notice that it has no followers.
    cluster.nodes().without(&leader).kill();

    let node = leader;
    let why = until(
        "the last node to say that it is not ready",
        LEADER_WITHIN,
        async || {
            let answer = node.admin("/readyz").await?;
            if answer.status == 503 {
                Ok(answer.text())
            } else {
                Err(answer.text())
            }
        },
    )
    .await;
    assert!(why.contains("no leader is known"), "{why}");
    let public = node.send(node.client().get(node.url("/readyz"))).await;
    assert_eq!((public.status, public.text()), (503, why));
    let health = node.send(node.client().get(node.url("/healthz"))).await;
    assert_eq!(health.status, 200, "load balancers leave it in");
    assert!(
        health.text().contains(r#""status":"degraded""#),
        "{}",
        health.text()
    );
    let alive = node.send(node.client().get(node.url("/livez"))).await;
    assert_eq!(alive.status, 200, "a restart would help nobody");

    for attempt in 0..3 {
        let started = Instant::now();
        let answer = alice.put(&node, &format!("lost {attempt}")).await;
        let took = started.elapsed();
        assert!(took < DEADLINE + MARGIN, "the answer took {took:?}");
        assert!(
            matches!(answer, PutAnswer::Refused(503) | PutAnswer::Unknown),
            "{answer:?} without a quorum"
        );

        assert_eq!(node.get(&alice.key()).await.status, 200);
        assert_eq!(node.texts(&alice.key()).await, ["here"]);
        let question = dns::question(&format!("nothing.{ORIGIN}"), RecordType::A);
        let missing = dns::ask_tcp(node.addresses().dns, &question)
            .await
            .expect("an answer");
        assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    }

    // Healed.
    let others = cluster.nodes().without(&node);
    others.restart();
    cluster.nodes().wait_ready().await;
    alice.put(&node, "again").await.expect_acked();
    cluster.nodes().expect_txt(&alice, "again").await;
    cluster.nodes().expect_converged().await;
}

/// A PUT that cannot be stored gets `Retry-After`.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_without_a_leader_gets_retry_after() {
    let cluster = Cluster::prepare(&voters(3).put_deadline(Duration::from_millis(300)));
    let node = cluster.node(1);
    node.start();
    node.wait_alive().await;
    let packet = cluster.publisher("alice").packet("here");
    let answer = node.put_bytes(&packet.key, packet.payload).await;
    assert_eq!(
        answer.status, 503,
        "no leader ever was, so it is surely not stored"
    );
    let after = answer
        .headers
        .get("retry-after")
        .expect("it says when to come back");
    assert_ne!(after.as_bytes(), b"0");
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let read = node.get(&packet.key).await;
    assert_eq!(read.status, 503, "it has not caught up with anybody yet");
}

/// Every node logs a slow PUT with the stages that it knows, and counts the stages of all.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_put_is_logged_with_its_stages() {
    let cluster = Cluster::start(voters(3).put_slow(Duration::from_millis(1))).await;
    let alice = cluster.publisher("alice");
    for (node, stages) in [
        (cluster.leader().await, ["append=", "quorum="]),
        (cluster.follower().await, ["forward=", "sync="]),
    ] {
        let line = until("a slow PUT in the log", LEADER_WITHIN, async || {
            alice.put(&node, "here").await.expect_acked();
            let log = node.log();
            let line = log.lines().find(|line| line.contains("a PUT took long"));
            line.map(str::to_owned).ok_or(log)
        })
        .await;
        let stages = [&["total=", "queue=", "apply=", "answer="], &stages[..]].concat();
        assert!(stages.iter().all(|stage| line.contains(stage)), "{line}");
        let metrics = node.admin("/metrics").await.expect("it lives").text();
        let count = "quorate_raft_put_stage_duration_seconds_count{stage=\"apply\"} ";
        let counts = metrics.lines().find_map(|line| line.strip_prefix(count));
        assert!(counts.is_some_and(|count| count != "0"), "{counts:?}");
    }
}
