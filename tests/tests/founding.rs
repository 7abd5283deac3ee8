//! Founding a cluster, and joining one.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use hickory_proto::{op::ResponseCode, rr::RecordType};
use quorate_tests::{
    Cluster, Node, ORIGIN, publish_many, voters,
    wait::{LEADER_WITHIN, START_WITHIN, until},
};

const PACKET_COUNT: usize = 100;

/// The exit code of a node without data and token (`EX_CONFIG`).
const NOTHING_TO_START_FROM: i32 = 78;

/// What a node advises for an empty data directory.
const WAYS_ON: [&str; 3] = ["quorate init --found", "--join", "mount"];

/// How often a founding is killed, each time a bit later, until after its end.
const KILL_COUNT: u32 = 24;

/// How much later.
const KILL_STEP: Duration = Duration::from_micros(500);

/// How often nodes race to found a cluster.
const RACE_COUNT: usize = 8;

/// Removes everything but the key of a stopped node, like a restore of its identity alone.
fn wipe(node: &Node) {
    let entries = fs::read_dir(node.data_dir()).expect("it is there");
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        if path.file_name().is_some_and(|name| name == "node.key") {
            continue;
        }
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.expect("it is the test's");
    }
}

/// What is in a directory.
fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("it is there");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("it can be listed").file_name())
        .map(|name| name.into_string().expect("it is text"))
        .collect();
    names.sort();
    names
}

/// A directory next to those of the nodes, like a shared volume.
fn shared_dir(cluster: &Cluster) -> PathBuf {
    cluster.dir().join("shared")
}

/// Prepares a node to found a cluster of `voters` voters, unless another node has.
fn found_once(node: &Node, file: &Path, voters: &str) -> Output {
    node.init_found(&once(file, voters))
}

fn once<'a>(file: &'a Path, voters: &'a str) -> [&'a str; 4] {
    let file = file.to_str().expect("it is a name of ours");
    ["--once", file, "--voters", voters]
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn expect_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

/// The file `cluster` of a node.
fn cluster_file(node: &Node) -> PathBuf {
    node.data_dir().join("cluster")
}

/// Starts a node and expects that it exits without data and token. Returns its log.
async fn expect_nothing_to_start_from(node: &Node) -> String {
    node.start();
    let ended = node.wait_for_end().await;
    let code = ended.status.code();
    assert_eq!(code, Some(NOTHING_TO_START_FROM), "{}", ended.log);
    ended.log
}

async fn wait_until_not_ready(node: &Node, why: &str) {
    let what = format!("{} to say {why:?}", node.name());
    until(&what, START_WITHIN, async || match node.ready().await {
        Err(reason) if reason.contains(why) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Joining and promoting takes moments in which a node does not know enough of the others. That is not
/// an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_logs_no_error() {
    let cluster = Cluster::start(voters(3)).await;
    cluster.nodes().expect_converged().await;
    for node in cluster.nodes().iter() {
        let log = node.log();
        assert!(!log.contains(" ERROR "), "{log}");
    }
}

/// Two of three nodes come back with only their keys. They are a majority and have lost what they
/// acknowledged: they must not found a second cluster next to the survivor, and must not elect it. They
/// report that and exit; the survivor answers reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_majority_founds_no_second_cluster() {
    let cluster = Cluster::start(voters(3)).await;
    let oracle = publish_many(&cluster.nodes(), PACKET_COUNT, 8).await;
    cluster.nodes().expect_converged().await;
    let survivor = cluster.leader().await;
    let wiped = cluster.nodes().without(&survivor);
    for node in wiped.iter() {
        // It is noted that they have data.
        survivor.wait_for_role(node, "voter").await;
    }
    wiped.kill();
    wiped.iter().for_each(|node| wipe(node));

    wiped.start();
    for node in wiped.iter() {
        let ended = node.wait_for_end().await;
        assert_eq!(ended.status.code(), Some(65), "{}", ended.log);
        assert!(ended.log.contains("has lost its data"), "{}", ended.log);
    }
    oracle.expect_held_by(&cluster.live()).await;
    until(
        "the survivor to know no leader",
        LEADER_WITHIN,
        async || match survivor.ready().await {
            Err(reason) if reason.contains("no leader") => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;
}

/// The volume of a member is not mounted when it starts. It founds nothing, writes nothing, and prints
/// what to do; with its volume it starts as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_its_volume_founds_no_second_cluster() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    alice.put(&cluster.node(1), "kept").await.expect_acked();
    cluster.nodes().expect_txt(&alice, "kept").await;
    let token = fs::read(cluster.token_file()).expect("it was founded by it");
    for number in [1, 2] {
        let lost = cluster.node(number);
        lost.terminate().await;
        let (data, aside) = (lost.data_dir(), lost.data_dir().with_extension("aside"));
        fs::rename(&data, &aside).expect("it is a directory");
        for is_mount_point in [false, true] {
            if is_mount_point {
                fs::create_dir_all(data.join("lost+found")).expect("the directory is writable");
            }
            let log = expect_nothing_to_start_from(&lost).await;
            assert!(WAYS_ON.iter().all(|way| log.contains(way)), "{log}");
            // As on a machine that starts unattended.
            let founding = found_once(&lost, &cluster.token_file(), "3");
            assert_eq!(founding.status.code(), Some(NOTHING_TO_START_FROM));
            let stderr = stderr(&founding);
            assert!(
                stderr.contains("--join-file") && stderr.contains("mount"),
                "{stderr}"
            );
            match is_mount_point {
                true => assert_eq!(names_in(&data), ["lost+found"]),
                false => assert!(!data.exists(), "it made {}", data.display()),
            }
        }
        alice
            .put(&cluster.node(3), "meanwhile")
            .await
            .expect_acked();

        fs::remove_dir_all(&data).expect("it is the test's");
        fs::rename(&aside, &data).expect("it was there");
        lost.start();
        lost.wait_ready().await;
        cluster.nodes().expect_txt(&alice, "meanwhile").await;
    }
    let after = fs::read(cluster.token_file()).expect("it is there");
    assert_eq!(after, token, "nothing founds a second cluster");
}

/// A founding that stops between two steps: the same command continues, and until then the node does
/// not start.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_founding_continues() {
    let cluster = Cluster::prepare(&voters(0));
    let [node, second] = [cluster.machine(), cluster.machine()];
    let (dir, file) = (shared_dir(&cluster), shared_dir(&cluster).join("token"));

    // The key is there, and the file cannot be written.
    let failed = found_once(&node, &file, "1");
    assert!(!failed.status.success());
    let preparing = fs::read(cluster_file(&node)).expect("the first step was made");
    let log = expect_nothing_to_start_from(&node).await;
    assert!(log.contains("init --found --once"), "{log}");

    fs::create_dir(&dir).expect("the directory is writable");
    expect_done(&found_once(&node, &file, "1"));
    assert_eq!(names_in(&dir), ["token"]);
    let mode = fs::metadata(&file).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600, "it is a secret");
    let token = fs::read(&file).expect("it is there");
    let founding = fs::read(cluster_file(&node)).expect("it is there");

    // The file was written, and nothing after it.
    fs::write(cluster_file(&node), &preparing).expect("it is the test's");
    let log = expect_nothing_to_start_from(&node).await;
    assert!(log.contains("init --found --once"), "{log}");
    expect_done(&found_once(&node, &file, "1"));
    assert_eq!(fs::read(&file).expect("it is there"), token);
    assert_eq!(
        fs::read(cluster_file(&node)).expect("it is there"),
        founding
    );

    node.start();
    node.wait_ready().await;
    second.join_by_file(&file);
    second.start();
    node.wait_for_role(&second, "voter").await;
    second.wait_ready().await;

    // It has founded, whether the file is there or not.
    expect_done(&found_once(&node, &file, "1"));
    fs::remove_file(&file).expect("it is there");
    expect_done(&found_once(&node, &file, "1"));
    assert!(!file.exists(), "it was written again");
    node.terminate().await;
    expect_done(&found_once(&node, &file, "1"));
    node.start();
    node.wait_ready().await;
    cluster.nodes().expect_to_be_the_voters().await;
}

/// A founding killed at any time continues when it is rerun.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_founding_continues() {
    let cluster = Cluster::prepare(&voters(0));
    for count in 0..KILL_COUNT {
        let node = cluster.machine();
        let dir = shared_dir(&cluster).join(count.to_string());
        fs::create_dir_all(&dir).expect("the directory is writable");
        let file = dir.join("token");
        let mut command = tokio::process::Command::from(node.init_found_command(&once(&file, "1")));
        let mut founding = command.spawn().expect("quorate can be started");
        // At whatever step it is then.
        tokio::time::sleep(KILL_STEP * count).await;
        // It may have ended before.
        let _ = founding.kill().await;
        expect_done(&found_once(&node, &file, "1"));
        assert!(file.exists());
        if count % 6 == 5 {
            node.start();
            node.wait_ready().await;
            let second = cluster.machine();
            second.join_by_file(&file);
            second.start();
            node.wait_for_role(&second, "voter").await;
            node.kill();
        }
    }
}

/// Three machines found the cluster at the same time: one succeeds, and the others join it.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_racing_nodes_founds() {
    let cluster = Cluster::prepare(&voters(0));
    for race in 1..=RACE_COUNT {
        let nodes = [(); 3].map(|()| cluster.machine());
        let dir = shared_dir(&cluster).join(race.to_string());
        fs::create_dir_all(&dir).expect("the directory is writable");
        let file = dir.join("token");
        // What a founding makes it takes back, and a key that was there before stays.
        let has_key = race % 2 == 0;
        if !has_key {
            for node in &nodes {
                fs::remove_file(node.key_file()).expect("it was made");
            }
        }
        let foundings = nodes.each_ref().map(|node| {
            let mut command = node.init_found_command(&once(&file, "3"));
            command.stderr(std::process::Stdio::piped());
            command.spawn().expect("quorate can be started")
        });
        let outputs = foundings.map(|founding| founding.wait_with_output().expect("it ends"));
        let mut founders = 0;
        for (node, output) in nodes.iter().zip(&outputs) {
            if output.status.success() {
                founders += 1;
                continue;
            }
            let stderr = stderr(output);
            assert_eq!(
                output.status.code(),
                Some(NOTHING_TO_START_FROM),
                "{stderr}"
            );
            assert!(stderr.contains("serve --join-file"), "{stderr}");
            assert!(!cluster_file(node).exists());
            assert_eq!(node.key_file().exists(), has_key);
        }
        assert_eq!(founders, 1, "{outputs:?}");
        assert_eq!(names_in(&dir), ["token"]);
        if race < RACE_COUNT {
            continue;
        }
        for (node, output) in nodes.iter().zip(&outputs) {
            if !output.status.success() {
                node.join_by_file(&file);
            }
            node.start();
        }
        for node in &nodes {
            node.wait_ready().await;
        }
        let nodes: quorate_tests::Nodes = nodes.into_iter().collect();
        nodes.expect_to_be_the_voters().await;
    }
}

/// Until a cluster has the voters that it was founded with, it accepts and serves no packets; its zones
/// are answered. After that, a loss of voters does not change this.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_fewer_voters_than_it_awaits_takes_no_packets() {
    let cluster = Cluster::prepare(&voters(3));
    let [first, second, third] = [1, 2, 3].map(|number| cluster.node(number));
    let alice = cluster.publisher("alice");
    first.start();
    first.wait_alive().await;
    for (count, node) in [(1, &first), (2, &second)] {
        if count > 1 {
            node.start();
            node.wait_alive().await;
        }
        let forming = format!("{count} of 3 voters");
        wait_until_not_ready(&first, &forming).await;
        wait_until_not_ready(node, &forming).await;
        expect_forming(node, &alice, &forming).await;
    }
    third.start();
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_to_be_the_voters().await;
    alice.put(&second, "formed").await.expect_acked();
    cluster.nodes().expect_txt(&alice, "formed").await;

    first.kill();
    second.kill();
    wait_until_not_ready(&third, "no leader").await;
    assert_eq!(third.texts(&alice.key()).await, ["formed"]);
    assert_eq!(third.get(&alice.key()).await.status, 200);
    third.kill();
    third.start();
    wait_until_not_ready(&third, "no leader").await;
    first.start();
    second.start();
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_txt(&alice, "formed").await;
}

async fn expect_forming(node: &Node, alice: &quorate_tests::Publisher, forming: &str) {
    let packet = alice.packet("too early");
    let put = node.put_bytes(&packet.key, packet.payload).await;
    assert!(put.status == 503 && put.text().contains(forming), "{put:?}");
    assert_eq!(node.get(&alice.key()).await.status, 503);
    let of_packets = node.ask(&alice.name_under(ORIGIN), RecordType::TXT).await;
    assert_eq!(of_packets.metadata.response_code, ResponseCode::ServFail);
    let of_zone = node.ask(ORIGIN, RecordType::A).await;
    assert_eq!(of_zone.metadata.response_code, ResponseCode::NoError);
    assert_eq!(of_zone.answers.len(), 1, "{of_zone}");
}

/// A node that joins with a token file waits for it, and can be stopped meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_waits_for_the_file_by_which_it_joins() {
    let cluster = Cluster::prepare(&voters(0));
    let [first, second] = [cluster.machine(), cluster.machine()];
    let file = shared_dir(&cluster).join("token");
    let waits = async || {
        second.start();
        until(
            "it to wait for the file",
            START_WITHIN,
            async || match second.log() {
                log if log.contains("waiting for the token file") => Ok(()),
                log => Err(log),
            },
        )
        .await;
    };
    second.join_by_file(&file);
    waits().await;
    second.terminate().await;
    waits().await;
    fs::create_dir(shared_dir(&cluster)).expect("the directory is writable");
    expect_done(&found_once(&first, &file, "1"));
    first.start();
    first.wait_for_role(&second, "voter").await;
    second.wait_ready().await;
    // A member needs no file.
    fs::remove_file(&file).expect("it is there");
    second.terminate().await;
    second.join_by_file(&file);
    second.start();
    second.wait_ready().await;
}
