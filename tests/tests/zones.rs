//! Records that operators set on a live cluster, next to packets and configuration.

use std::collections::BTreeSet;

use hickory_proto::rr::{RData, RecordType};
use quorate_tests::{
    Cluster, Node, Nodes, ORIGIN, OTHER_ORIGIN,
    dns::{ask_udp, question, texts},
    voters,
    wait::{CONVERGE_WITHIN, until},
};
use serde_json::Value;

/// The configured serial.
const SERIAL: u64 = 1;

/// The output of `zone list` for a zone.
async fn listed(node: &Node, zone: &str) -> String {
    node.operate(&["zone", "list", zone]).await
}

/// The serial after a change.
async fn change(node: &Node, args: &[&str]) -> u64 {
    let output = node.operate(&[&["zone", "--json"], args].concat()).await;
    let zone: Value = serde_json::from_str(&output).expect("it prints JSON");
    zone["serial"].as_u64().expect("the zone is served")
}

/// Waits until all nodes list the same records of a zone.
async fn expect_listed(nodes: &Nodes, zone: &str, expected: &str) {
    until("all to list the same", CONVERGE_WITHIN, async || {
        for node in nodes.iter() {
            let listed = listed(node, zone).await;
            if listed != expected {
                return Err(format!("{}: {listed}", node.name()));
            }
        }
        Ok(())
    })
    .await;
}

/// The addresses that a node answers with.
async fn addresses(node: &Node, name: &str) -> Result<BTreeSet<String>, String> {
    let answer = ask_udp(node.addresses().dns, &question(name, RecordType::A)).await?;
    let addresses = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.to_string()),
            _ => None,
        });
    Ok(addresses.collect())
}

async fn soa_serial(node: &Node, zone: &str) -> Result<u64, String> {
    let answer = ask_udp(node.addresses().dns, &question(zone, RecordType::SOA)).await?;
    let serial = answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial.into()),
        _ => None,
    });
    serial.ok_or_else(|| format!("no SOA: {answer:?}"))
}

/// Waits until all nodes answer with these addresses.
async fn expect_addresses(nodes: &Nodes, name: &str, expected: &[&str]) {
    let expected: BTreeSet<_> = expected.iter().map(|&address| address.to_owned()).collect();
    until("all to answer the same", CONVERGE_WITHIN, async || {
        for node in nodes.iter() {
            let addresses = addresses(node, name).await?;
            if addresses != expected {
                return Err(format!("{}: {addresses:?}", node.name()));
            }
        }
        Ok(())
    })
    .await;
}

/// Any node accepts a change; all nodes have it, with the same serial, also after a restart of all.
#[tokio::test(flavor = "multi_thread")]
async fn records_set_at_any_node_are_listed_by_all_and_outlive_a_restart() {
    let cluster = Cluster::start(voters(3)).await;
    let nodes = cluster.nodes();
    let [leader, follower] = [cluster.leader().await, cluster.follower().await];
    let www = ["set", ORIGIN, "www", "300", "A", "192.0.2.1", "192.0.2.2"];
    assert_eq!(change(&follower, &www).await, SERIAL + 1);
    assert_eq!(change(&leader, &www).await, SERIAL + 1, "repeated");
    let text = ["set", ORIGIN, "_dmarc", "1h", "TXT", "v=DMARC1; p=reject"];
    assert_eq!(change(&leader, &text).await, SERIAL + 2);
    let expected = "\
www.quorate.test. 300 IN A 192.0.2.1
www.quorate.test. 300 IN A 192.0.2.2
_dmarc.quorate.test. 3600 IN TXT \"v=DMARC1; p=reject\"
";
    expect_listed(&nodes, ORIGIN, expected).await;
    nodes.terminate().await;
    nodes.restart();
    nodes.wait_ready().await;
    expect_listed(&nodes, ORIGIN, expected).await;
    let unset = ["unset", ORIGIN, "_dmarc"];
    assert_eq!(change(&cluster.node(1), &unset).await, SERIAL + 3);
    nodes.expect_converged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_file_is_imported_completely_or_not_at_all() {
    let cluster = Cluster::start(voters(3)).await;
    let nodes = cluster.nodes();
    let node = cluster.follower().await;
    change(&node, &["set", OTHER_ORIGIN, "old", "60", "TXT", "x"]).await;
    let file = cluster.dir().join("zone");
    let import = [
        "import",
        OTHER_ORIGIN,
        file.to_str().expect("a Unicode path"),
    ];
    std::fs::write(&file, "new 60 A 192.0.2.1\n\n@ NS ns1\n").expect("it can be written");
    let rejected = node
        .expect_rejected(&[&["zone"], &import[..]].concat())
        .await;
    assert!(
        rejected.contains("zone was not imported: line 3: other.test. has its SOA"),
        "{rejected}"
    );
    let old = "old.other.test. 60 IN TXT \"x\"\n";
    expect_listed(&nodes, OTHER_ORIGIN, old).await;

    std::fs::write(&file, "new 60 A 192.0.2.1\n* 60 MX 10 new\n").expect("it can be written");
    assert_eq!(change(&node, &import).await, SERIAL + 2);
    let new = "*.other.test. 60 IN MX 10 new.other.test.\nnew.other.test. 60 IN A 192.0.2.1\n";
    expect_listed(&nodes, OTHER_ORIGIN, new).await;
    let list = node.operate(&["zone", "list"]).await;
    assert!(list.contains("other.test.    3       2\n"), "{list}");

    let key = cluster.publisher("alice").key().to_string();
    for (args, expected) in [
        (
            ["zone", "set", ORIGIN, "@", "60", "A", "192.0.2.9"],
            "in the configuration of this node",
        ),
        (
            ["zone", "set", ORIGIN, &key, "60", "A", "192.0.2.9"],
            "is a public key",
        ),
        (
            ["zone", "set", "misspelt.test", "@", "60", "A", "192.0.2.9"],
            "serves no zone misspelt.test.",
        ),
    ] {
        let rejected = node.expect_rejected(&args).await;
        assert!(rejected.contains(expected), "{rejected}");
    }
}

/// DNS shows a change immediately where it was made, and soon everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_set_are_answered_by_every_node() {
    let cluster = Cluster::start(voters(3)).await;
    let nodes = cluster.nodes();
    let node = cluster.follower().await;
    let www = ["set", ORIGIN, "www", "300", "A", "192.0.2.7"];
    let serial = change(&node, &www).await;
    let name = format!("www.{ORIGIN}");
    assert_eq!(
        addresses(&node, &name).await,
        Ok(["192.0.2.7".to_owned()].into())
    );
    assert_eq!(soa_serial(&node, ORIGIN).await, Ok(serial));
    expect_addresses(&nodes, &name, &["192.0.2.7"]).await;

    // Next to the names of keys, which stay theirs.
    let alice = cluster.publisher("alice");
    alice.put(&node, "mine").await.expect_acked();
    change(&node, &["set", ORIGIN, "*", "60", "TXT", "anybody"]).await;
    nodes.expect_txt(&alice, "mine").await;
    let wildcard = question(&format!("nobody.{ORIGIN}"), RecordType::TXT);
    let answer = ask_udp(node.addresses().dns, &wildcard).await;
    assert_eq!(texts(&answer.expect("it answers")), ["anybody"]);

    nodes.terminate().await;
    nodes.restart();
    nodes.wait_ready().await;
    expect_addresses(&nodes, &name, &["192.0.2.7"]).await;
    let before = soa_serial(&node, ORIGIN).await.expect("it answers");
    change(&node, &["unset", ORIGIN, "www", "A"]).await;
    expect_addresses(&nodes, &name, &[]).await;
    assert_eq!(soa_serial(&node, ORIGIN).await, Ok(before + 1));
}
