//! Older copies of data directories that are restored.

use std::{fs, path::Path};

use quorate_tests::{Cluster, Nodes, voters};

/// A follower's data directory is restored from before some PUTs. Its leader still knows what it has
/// acknowledged since. It stops, reports what it had and has, and a new node replaces it.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_from_an_older_copy_stops_and_is_replaced() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let old = cluster.follower().await;
    let others = cluster.nodes().without(&old);
    let copy = cluster.dir().join("copy");
    alice.put(&old, "before").await.expect_acked();
    old.terminate().await;
    copy_dir(&old.data_dir(), &copy);

    old.restart();
    old.wait_ready().await;
    for count in 0..10 {
        let text = format!("after {count}");
        alice.put(&old, &text).await.expect_acked();
    }
    let acknowledged = old.status().await.unwrap();
    old.terminate().await;
    fs::remove_dir_all(old.data_dir()).expect("it can be removed");
    copy_dir(&copy, &old.data_dir());

    old.start();
    let ended = old.wait_for_end().await;
    assert_eq!(ended.status.code(), Some(65), "{}", ended.log);
    let (_, error) = ended.log.rsplit_once("exiting").expect("it says why");
    let (had, has) = positions(error);
    assert!(had >= acknowledged.applied_index, "{error}");
    assert!(has < acknowledged.applied_index, "{error}");
    for expected in ["older copy", "quorate member replace", "lost-majority.md"] {
        assert!(error.contains(expected), "{expected} in {error}");
    }
    let leader = others.wait_for_leader().await;
    let rejected = leader.log();
    let expected = format!("entry {had} of term");
    assert!(rejected.contains(&expected), "{expected} in {rejected}");

    let new = cluster.machine();
    new.join(&leader.invite(&[]).await);
    leader.wait_until_known(&new).await;
    leader
        .operate(&["member", "replace", old.id(), new.id()])
        .await;
    let members: Nodes = others.with(&new);
    members.expect_to_be_the_voters().await;
    new.wait_ready().await;
    members.expect_txt(&alice, "after 9").await;
    members.expect_converged().await;
}

/// A copy with everything acknowledged is accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_from_a_copy_of_its_last_stop_continues() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let moved = cluster.follower().await;
    alice.put(&moved, "kept").await.expect_acked();
    moved.terminate().await;
    let copy = cluster.dir().join("copy");
    copy_dir(&moved.data_dir(), &copy);
    fs::remove_dir_all(moved.data_dir()).expect("it can be removed");
    copy_dir(&copy, &moved.data_dir());
    let other = cluster.nodes().without(&moved)[0].clone();
    alice.put(&other, "newer").await.expect_acked();

    moved.start();
    moved.wait_ready().await;
    cluster.nodes().expect_txt(&alice, "newer").await;
    cluster.nodes().expect_converged().await;
}

/// The first two indexes that are named, as in "entry 12 of term 3".
fn positions(error: &str) -> (u64, u64) {
    let mut named = error.split("entry ").skip(1);
    let mut next = || {
        let named = named.next().and_then(|text| text.split(' ').next());
        let named = named.and_then(|index| index.parse().ok());
        named.unwrap_or_else(|| panic!("two entries are named: {error}"))
    };
    (next(), next())
}

/// Copies a directory.
fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the test's directory can be written");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("it has one").is_dir() {
            true => copy_dir(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("it can be copied")),
        }
    }
}
