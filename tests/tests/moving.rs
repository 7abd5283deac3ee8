//! Members that get another address.

// A test that cannot run here prints SKIPPED.
#![allow(clippy::print_stderr)]

use std::{fs, path::Path, process::Command, sync::Arc};

use quorate_tests::{
    Cluster, Node, voters,
    wait::{CONVERGE_WITHIN, until},
};

/// The advice of a node whose address differs from that in the membership.
const ADVICE: &str = "quorate member move";

/// A member with a new address is found there after an operator has moved it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_moved_by_a_command() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let moved = cluster.follower().await;
    let others = cluster.nodes().without(&moved);
    moved.terminate().await;
    let (old, new) = (moved.addresses().peer, moved.take_peer_address());
    moved.configure(&moved.config().replace(&old.to_string(), &new.to_string()));
    let new = new.to_string();
    others[0]
        .operate(&["member", "move", moved.id(), &new])
        .await;
    alice
        .put(&others[1], "while it is away")
        .await
        .expect_acked();
    moved.start();
    moved.wait_ready().await;
    cluster.nodes().expect_txt(&alice, "while it is away").await;
    let is_there = |members: &[quorate_tests::Member]| {
        let is_it =
            |member: &quorate_tests::Member| member.node == moved.id() && member.address == new;
        members.iter().any(is_it)
    };
    for node in cluster.nodes().iter() {
        node.wait_for_members("all to know where it is", is_there)
            .await;
    }
    let log = moved.log();
    let advice = format!("{ADVICE} {}", moved.id());
    assert!(!log.contains(&advice), "it was moved already: {log}");
}

/// A member that starts at a new address without being moved prints the command, although no leader
/// reaches it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_not_moved_by_a_command_logs_it() {
    let cluster = Cluster::start(voters(3)).await;
    let moved = cluster.follower().await;
    moved.terminate().await;
    let (old, new) = (moved.addresses().peer, moved.take_peer_address());
    moved.configure(&moved.config().replace(&old.to_string(), &new.to_string()));
    moved.start();
    let advice = format!("{ADVICE} {} {new}", moved.id());
    until("the advice", CONVERGE_WITHIN, async || {
        let log = moved.log();
        log.contains(&advice).then_some(()).ok_or(log)
    })
    .await;
}

/// All members get new addresses at the same time, as when a network is renumbered. Their host names
/// lead to them, and no operator is needed.
#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_change_and_names_lead_to_the_new_ones() {
    if !names_can_be_set() {
        return;
    }
    let plan = voters(3).with_host_names(|number| format!("node{number}.quorate.test"));
    let cluster = Cluster::prepare(&plan);
    let hosts = cluster.dir().join("hosts");
    let nodes = cluster.nodes();
    write_hosts(&hosts, 1);
    for (number, node) in (1..).zip(nodes.iter()) {
        node.set_launcher(&with_hosts(&hosts));
        listen_at(node, 1, number);
    }
    nodes.start();
    nodes.wait_ready().await;
    let alice = cluster.publisher("alice");
    alice
        .put(&nodes[0], "at the old addresses")
        .await
        .expect_acked();

    nodes.terminate().await;
    write_hosts(&hosts, 2);
    for (number, node) in (1..).zip(nodes.iter()) {
        listen_at(node, 2, number);
    }
    nodes.start();
    nodes.wait_ready().await;
    alice.put(&nodes[1], "at the new ones").await.expect_acked();
    nodes.expect_txt(&alice, "at the new ones").await;
}

/// Whether programs can have their own /etc/hosts. Prints SKIPPED if not.
fn names_can_be_set() -> bool {
    let hosts = tempfile::NamedTempFile::new().expect("a file can be made");
    let launcher = with_hosts(hosts.path());
    let tried = Command::new(&launcher[0])
        .args(&launcher[1..])
        .arg("true")
        .output();
    match tried {
        Ok(tried) if tried.status.success() => true,
        tried => {
            eprintln!("SKIPPED: no file can be mounted in a namespace here: {tried:?}");
            false
        }
    }
}

/// All of 127.0.0.0/8 is this machine.
fn address_of(network: u8, number: u8) -> String {
    format!("127.{network}.0.{number}")
}

fn write_hosts(hosts: &Path, network: u8) {
    let lines = (1..=3).map(|number| {
        let address = address_of(network, number);
        format!("{address} node{number}.quorate.test\n")
    });
    // In place, because processes have mounted this very file.
    let written = fs::write(hosts, lines.collect::<String>());
    written.expect("the test's directory can be written");
}

/// A launcher that replaces /etc/hosts with `hosts`.
fn with_hosts(hosts: &Path) -> Vec<String> {
    let mount = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    let launcher = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &mount,
        "sh",
    ];
    launcher.map(str::to_owned).to_vec()
}

fn listen_at(node: &Arc<Node>, network: u8, number: u8) {
    let port = node.addresses().peer.port();
    let config: String = node
        .config()
        .lines()
        .scan(false, |in_peer, line| {
            *in_peer = line == "[peer]" || *in_peer && !line.starts_with('[');
            Some(match *in_peer && line.starts_with("listen = ") {
                true => format!("listen = \"{}:{port}\"\n", address_of(network, number)),
                false => format!("{line}\n"),
            })
        })
        .collect();
    node.configure(&config);
}
