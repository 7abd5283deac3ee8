//! Disks that fill up while nodes run. Each node has its data on its own small file system, in its own
//! namespaces, which needs no root.

// A test that cannot run here prints SKIPPED.
#![allow(clippy::print_stderr)]

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use hickory_proto::rr::RecordType;
use quorate_tests::{
    Cluster, Node, ORIGIN, PutAnswer, Signal, binary,
    dns::{ask_udp, question, texts},
    publish_many, voters,
    wait::{CONVERGE_WITHIN, throughout, until},
};
use tempfile::TempDir;

/// Space for a node, its minimum of free space, and some packets.
const DISK_SIZE: &str = "64m";

const PACKET_COUNT: usize = 200;

/// How long a log that must not grow is watched.
const WATCHED: Duration = Duration::from_secs(3);

/// The program in its own namespaces, with its data directory on a small disk. Prints SKIPPED and returns
/// `None` where that is not permitted.
fn program_on_small_disk(dir: &TempDir) -> Option<PathBuf> {
    let tried = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output();
    match tried {
        Ok(tried) if tried.status.success() => {}
        tried => {
            eprintln!("SKIPPED: no file system can be mounted in a namespace here: {tried:?}");
            return None;
        }
    }
    let path = dir.path().join("quorate-on-small-disk");
    let script = format!(
        r#"#!/bin/sh
set -e
if [ "$1" != serve ]; then exec "{program}" "$@"; fi
exec unshare -rm sh -ec '
data=$(sed -n "s/^data_dir = \"\(.*\)\"/\1/p" "$4")
mount -t tmpfs -o size={DISK_SIZE} quorate-tests /mnt
cp -a "$data/." /mnt
mount --move /mnt "$data"
exec "$@"' - "{program}" "$@"
"#,
        program = binary::quorate().display()
    );
    fs::write(&path, script).expect("the test's directory can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is our file");
    Some(path)
}

/// The file that fills the disk of a node, as its process sees it.
fn ballast(node: &Node) -> PathBuf {
    let process = node.process_id().expect("it runs");
    let data_dir = node.data_dir();
    let inside = data_dir.strip_prefix("/").expect("it is absolute");
    PathBuf::from(format!("/proc/{process}/root"))
        .join(inside)
        .join("ballast")
}

/// Fills the disk up to the last byte.
fn fill(node: &Node) {
    let mut file = File::create(ballast(node)).expect("the directory is writable");
    let full = (0..).find_map(|_| file.write_all(&[0; 4096]).err());
    assert_eq!(
        full.expect("it fills up").kind(),
        io::ErrorKind::StorageFull
    );
}

async fn wait_for(node: &Node, what: &str, status: u16, detail: &str) {
    until(what, CONVERGE_WITHIN, async || {
        let answer = node.admin("/readyz").await?;
        match answer.status == status && answer.text().contains(detail) {
            true => Ok(()),
            false => Err(format!("{}: {}", answer.status, answer.text())),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disks_stop_neither_nodes_nor_answers() {
    let programs = TempDir::new().expect("a temporary directory can be created");
    let Some(program) = program_on_small_disk(&programs) else {
        return;
    };
    let plan = voters(3).program(program);
    let plan = plan.checkpoint_interval(Duration::from_secs(1));
    let cluster = Cluster::prepare(&plan);
    for node in cluster.nodes().iter() {
        let config = node.config();
        let floor = "[store]\nfree_size_min = 16777216\n";
        node.configure(&config.replace("[store]\n", floor));
    }
    cluster.nodes().start();
    cluster.nodes().wait_ready().await;
    let oracle = publish_many(&cluster.live(), PACKET_COUNT, 4).await;
    let alice = cluster.publisher("alice");
    let leader = cluster.leader().await;
    alice.put(&leader, "before").await.expect_acked();
    cluster.nodes().expect_txt(&alice, "before").await;

    // First one node: the others continue.
    let full = cluster.follower().await;
    fill(&full);
    wait_for(&full, "a node to only read", 200, "nearly full").await;
    alice.put(&leader, "beside").await.expect_acked();
    alice.put(&full, "rejected").await.expect_rejected(503);
    for node in cluster.nodes().iter().filter(|it| it.id() != full.id()) {
        fill(node);
    }
    for node in cluster.nodes().iter() {
        wait_for(node, "a node to only read", 200, "nearly full").await;
        let packet = alice.packet("rejected");
        let answer = node.put_bytes(&packet.key, packet.payload.clone()).await;
        assert!(
            answer.status == 503 && answer.text().contains("nearly full"),
            "{answer:?}"
        );
        assert_eq!(node.get(&alice.key()).await.status, 200);
        let query = question(&alice.name_under(ORIGIN), RecordType::TXT);
        let answered = ask_udp(node.addresses().dns, &query).await;
        let texts = texts(&answered.expect("DNS is answered"));
        assert!(texts == ["before"] || texts == ["beside"], "{texts:?}");
    }

    // Checkpoints are due meanwhile, and a new leader.
    let old = cluster.leader().await;
    old.signal(Signal::STOP);
    let others = cluster.nodes().without(&old);
    until("another leader", CONVERGE_WITHIN, async || {
        for node in others.iter() {
            let leader = node.status().await?.leader;
            if leader.is_none_or(|leader| leader == old.id()) {
                return Err(format!("{} knows no other", node.name()));
            }
        }
        Ok(())
    })
    .await;
    old.signal(Signal::CONT);
    for node in cluster.nodes().iter() {
        wait_for(node, "a node to only read", 200, "nearly full").await;
        node.check_alive();
    }

    for node in cluster.nodes().iter() {
        fs::remove_file(ballast(node)).expect("it was made");
    }
    for node in cluster.nodes().iter() {
        wait_for(node, "a node to write again", 200, "ready").await;
        until("PUTs to be taken", CONVERGE_WITHIN, async || {
            match alice.put(node, "after").await {
                PutAnswer::Acked => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
    cluster.nodes().expect_txt(&alice, "after").await;
    cluster.nodes().expect_converged().await;
    oracle.expect_held_by(&cluster.nodes()).await;
    for node in cluster.nodes().iter() {
        assert!(!node.log_text().contains("panicked"));
        node.check_alive();
    }
}

/// On a disk that is too small from the start nothing can be committed. That is logged once.
#[tokio::test(flavor = "multi_thread")]
async fn rejections_of_a_full_disk_are_logged_once() {
    let programs = TempDir::new().expect("a temporary directory can be created");
    let Some(program) = program_on_small_disk(&programs) else {
        return;
    };
    // The minimum of free space is larger than the disk.
    let cluster = Cluster::prepare(&voters(1).program(program));
    let node = cluster.node(1);
    node.start();
    node.wait_alive().await;
    let agreeing = || {
        node.log()
            .matches("proposing to the cluster on=\"its id")
            .count()
    };
    until("it to lead", CONVERGE_WITHIN, async || match agreeing() {
        0 => Err(node.log()),
        _ => Ok(()),
    })
    .await;
    throughout("it is detail once", WATCHED, async || match agreeing() {
        1 => Ok(()),
        count => Err(format!("{count} times")),
    })
    .await;
}
