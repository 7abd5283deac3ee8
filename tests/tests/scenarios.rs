//! Faults of real processes. Every scenario ends healed.

use std::{fs, path::Path, time::Duration};

use hickory_proto::op::Message;
use quorate_tests::{
    Cluster, Load, Node, Nodes, Publisher, Signal, dns, publish_many, voters,
    wait::{LEADER_WITHIN, START_WITHIN, until},
};

/// Enough writers to form batches, few enough for two cores.
const WRITER_COUNT: usize = 12;

/// Signature and timestamp, before the DNS packet.
const PACKET_HEADER_SIZE: usize = 72;

/// Acknowledgements that show that a load runs.
const ACKS: u64 = 300;

/// How soon writes continue after the leader's process is gone. The promise is one second; an
/// unoptimised build on a machine with other tests gets more.
const RESUMED_WITHIN: Duration = Duration::from_secs(8);

/// How soon the log is purged after a checkpoint, which is written every second.
const PURGE_WITHIN: Duration = Duration::from_secs(30);

/// An acknowledged PUT survives the leader that acknowledged it.
#[tokio::test(flavor = "multi_thread")]
async fn acked_put_survives_leader_loss() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let old_leader = cluster.leader().await;
    alice.put(&old_leader, "v1").await.expect_acked();
    old_leader.kill();

    let new_leader = cluster.live().wait_for_leader().await;
    assert_ne!(new_leader.id(), old_leader.id());
    cluster.live().expect_txt(&alice, "v1").await;
    alice.put(&new_leader, "v2").await.expect_acked();

    old_leader.restart();
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_txt(&alice, "v2").await;
    cluster.nodes().expect_converged().await;
}

/// A follower that was away catches up.
#[tokio::test(flavor = "multi_thread")]
async fn follower_killed_and_back_catches_up() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let follower = cluster.follower().await;
    alice.put(&follower, "before").await.expect_acked();

    let load = Load::start(&cluster.live().without(&follower), WRITER_COUNT);
    load.wait_for_acks(ACKS).await;
    follower.kill();
    load.wait_for_acks(ACKS).await;
    alice
        .put(&*cluster.leader().await, "meanwhile")
        .await
        .expect_acked();
    follower.restart();
    follower.wait_ready().await;
    load.wait_for_acks(ACKS).await;

    let oracle = load.stop().await;
    assert_eq!(
        oracle.unknown_count(),
        0,
        "no node that was written to failed"
    );
    cluster.nodes().expect_converged().await;
    cluster.nodes().expect_txt(&alice, "meanwhile").await;
    oracle.expect_held_by(&cluster.nodes()).await;
}

/// The leader is killed under load: writes resume, and nothing acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
async fn writes_resume_after_leader_loss_under_load() {
    let cluster = Cluster::start(voters(3)).await;
    let load = Load::start(&cluster.nodes(), WRITER_COUNT);
    load.wait_for_acks(ACKS).await;

    let old_leader = cluster.leader().await;
    old_leader.kill();
    let resumed = load.wait_for_acks(ACKS).await;
    assert!(resumed < RESUMED_WITHIN, "writes resumed after {resumed:?}");
    assert_ne!(cluster.leader().await.id(), old_leader.id());

    old_leader.restart();
    old_leader.wait_ready().await;
    load.wait_for_acks(ACKS).await;
    let oracle = load.stop().await;
    cluster.nodes().expect_converged().await;
    oracle.expect_held_by(&cluster.nodes()).await;
}

/// All nodes are killed in the middle of a load: every acknowledged packet is there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn acked_puts_survive_the_kill_of_all_nodes() {
    let cluster = Cluster::start(voters(3)).await;
    kill_all_under_load(&cluster).await;
}

/// The same when checkpoints are written all the time, so that what is found comes from a checkpoint
/// and the log after it.
#[tokio::test(flavor = "multi_thread")]
async fn acked_puts_survive_the_kill_of_all_nodes_between_checkpoints() {
    let plan = voters(3).checkpoint_interval(Duration::from_secs(1));
    let cluster = Cluster::start(plan).await;
    let checkpointed = async || {
        let statuses = cluster.nodes().statuses().await?;
        let behind = statuses.iter().any(|status| status.checkpoint_index == 0);
        if behind {
            Err(format!("{statuses:?}"))
        } else {
            Ok(())
        }
    };
    cluster
        .publisher("alice")
        .put(&cluster.node(1), "first")
        .await
        .expect_acked();
    until("a checkpoint at all", START_WITHIN, checkpointed).await;
    kill_all_under_load(&cluster).await;
}

async fn kill_all_under_load(cluster: &Cluster) {
    for round in 1..=2 {
        let load = Load::start(&cluster.nodes(), WRITER_COUNT);
        load.wait_for_acks(2 * ACKS).await;
        cluster.nodes().kill();
        let oracle = load.stop().await;
        assert!(oracle.acked_count() >= 2 * ACKS, "round {round}");

        cluster.nodes().restart();
        cluster.nodes().wait_ready().await;
        cluster.nodes().expect_converged().await;
        oracle.expect_held_by(&cluster.nodes()).await;
    }
}

/// A cluster of one node keeps the promise too.
#[tokio::test(flavor = "multi_thread")]
async fn acked_puts_survive_the_kill_of_a_single_node() {
    let cluster = Cluster::start(voters(1)).await;
    kill_all_under_load(&cluster).await;
}

/// A follower that missed 20,000 PUTs ends up with the same packets as the others.
#[tokio::test(flavor = "multi_thread")]
async fn follower_that_missed_20000_puts_becomes_equal() {
    const PUT_COUNT: usize = 20_000;
    const CONNECTION_COUNT: usize = 48;
    const SAMPLE_COUNT: usize = 200;

    let cluster = Cluster::start(voters(3)).await;
    let follower = cluster.follower().await;
    follower.kill();

    let oracle = publish_many(&cluster.live(), PUT_COUNT, CONNECTION_COUNT).await;
    assert_eq!(
        oracle.acked_key_count(),
        PUT_COUNT as u64,
        "a quorum takes every PUT"
    );

    follower.restart();
    follower.wait_ready().await;
    let digest = cluster.nodes().expect_converged().await;
    assert_eq!(digest.packet_count, PUT_COUNT as u64);
    for publisher in oracle.publishers().iter().step_by(PUT_COUNT / SAMPLE_COUNT) {
        let found = follower.get(&publisher.key()).await;
        publisher
            .oracle()
            .check(found.found())
            .expect("what the digest covers is served");
    }
}

/// A follower that needs purged entries gets all packets in a snapshot, and continues from there.
#[tokio::test(flavor = "multi_thread")]
async fn follower_that_needs_purged_entries_gets_a_snapshot() {
    const PUT_COUNT: usize = 4_000;
    const CONNECTION_COUNT: usize = 48;

    let plan = voters(3)
        .log_kept_count(10)
        .checkpoint_interval(Duration::from_secs(1));
    let cluster = Cluster::start(plan).await;
    let follower = cluster.follower().await;
    follower.kill();
    let missed_from = cluster
        .leader()
        .await
        .status()
        .await
        .unwrap()
        .last_log_index;
    let oracle = publish_many(&cluster.live(), PUT_COUNT, CONNECTION_COUNT).await;
    until("the others purge what it needs", PURGE_WITHIN, async || {
        let statuses = cluster.live().statuses().await?;
        let purged = statuses.iter().map(|status| status.purged_index).min();
        match purged {
            Some(purged) if purged > missed_from => Ok(()),
            _ => Err(format!("{purged:?} of {missed_from}")),
        }
    })
    .await;

    follower.restart();
    follower.wait_ready().await;
    let digest = cluster.nodes().expect_converged().await;
    assert_eq!(digest.packet_count, oracle.acked_key_count());
    assert!(follower.log_text().contains("installed a snapshot"));

    let alice = cluster.publisher("alice");
    alice
        .put(&follower, "after the snapshot")
        .await
        .expect_acked();
    cluster.nodes().expect_converged().await;
}

/// A client that reads at the node it wrote to finds what it wrote: at the leader and at a follower,
/// over HTTP and DNS.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_serves_a_put_as_soon_as_it_acked_it() {
    const ROUNDS: usize = 200;

    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    for node in [cluster.leader().await, cluster.follower().await] {
        for round in 0..ROUNDS {
            let text = format!("round {round}");
            let packet = alice.packet(&text);
            alice.put_packet(&node, &packet).await.expect_acked();
            let got = node.get(&alice.key()).await;
            assert_eq!(got.found(), Some(&*packet.payload), "GET in round {round}");
            assert_eq!(
                node.texts(&alice.key()).await,
                [text],
                "DNS in round {round}"
            );
        }
    }
    cluster.nodes().expect_converged().await;
}

/// A stopping leader hands over, stops cleanly, and has its data when it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn graceful_stop_of_the_leader_moves_leadership_and_keeps_data() {
    let cluster = Cluster::start(voters(3)).await;
    let old_leader = cluster.leader().await;
    let survivors = cluster.nodes().without(&old_leader);
    let alice = cluster.publisher("alice");
    alice.put(&old_leader, "before").await.expect_acked();
    let load = Load::start(&survivors, WRITER_COUNT);
    load.wait_for_acks(ACKS).await;

    old_leader.terminate().await;
    let new_leader = survivors.wait_for_leader().await;
    assert_ne!(new_leader.id(), old_leader.id());
    load.wait_for_acks(ACKS).await;

    old_leader.restart();
    old_leader.wait_ready().await;
    assert_eq!(
        old_leader.texts(&alice.key()).await,
        ["before"],
        "it kept what it had"
    );
    let oracle = load.stop().await;
    assert_eq!(
        oracle.unknown_count(),
        0,
        "a survivor loses sight of no PUT"
    );
    cluster.nodes().expect_converged().await;
    oracle.expect_held_by(&cluster.nodes()).await;
}

/// Ctrl-C works like SIGTERM, and a node also stops cleanly without a quorum.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_stops_a_node_cleanly() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    alice.put(&cluster.node(1), "here").await.expect_acked();
    for node in cluster.nodes().iter() {
        node.signal(Signal::INT);
        let ended = node.wait_for_end().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    }
    cluster.nodes().restart();
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_txt(&alice, "here").await;
    cluster.nodes().expect_converged().await;
}

/// `timeout` and some supervisors signal the process and its group at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn two_simultaneous_signals_stop_a_node_cleanly() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    node.signal(Signal::INT);
    node.terminate().await;
}

/// A node that was never ready, for lack of a quorum, can be stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_for_a_quorum_stops_on_a_signal() {
    let cluster = Cluster::prepare(&voters(3));
    let node = cluster.node(1);
    node.start();
    node.wait_alive().await;
    node.terminate().await;

    cluster.nodes().start();
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_converged().await;
}

/// Every node is stopped and restarted, one after the other, under load.
#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart_loses_nothing() {
    let cluster = Cluster::start(voters(3)).await;
    let load = Load::start(&cluster.nodes(), WRITER_COUNT);
    for node in cluster.nodes().iter() {
        load.wait_for_acks(ACKS).await;
        node.terminate().await;
        load.wait_for_acks(ACKS).await;
        node.restart();
        node.wait_ready().await;
    }
    let oracle = load.stop().await;
    cluster.nodes().expect_converged().await;
    oracle.expect_held_by(&cluster.nodes()).await;
}

/// The nodes form the same cluster in any order of starting, and a restart changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_form_one_cluster_in_any_order_and_again() {
    let cluster = Cluster::prepare(&voters(3));
    let [one, two, three] = [1, 2, 3].map(|number| cluster.node(number));
    let alice = cluster.publisher("alice");

    // It waits for the founder.
    three.start();
    one.start();
    // Two of three accept no PUTs.
    wait_forming(&one).await;
    wait_forming(&three).await;
    two.start();
    cluster.nodes().wait_ready().await;
    let leader = cluster.leader().await;
    alice.put(&leader, "from three").await.expect_acked();
    expect_voters(&cluster).await;
    cluster.nodes().wait_agreed().await;
    let before = cluster.nodes().expect_converged().await;

    cluster.nodes().terminate().await;
    for node in [&two, &three, &one] {
        node.start();
        node.wait_alive().await;
    }
    cluster.nodes().wait_ready().await;
    expect_voters(&cluster).await;
    // The leader drops old vouchers, so the state besides packets may differ.
    let after = cluster.nodes().expect_converged().await;
    assert_eq!((before.packet_count, after.packet_count), (1, 1));
    cluster.nodes().expect_txt(&alice, "from three").await;
}

/// Two of three nodes lose their disks and get their original keys back: they must not found a second
/// cluster next to the survivor.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_got_back_only_their_first_keys_found_no_second_cluster() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    // Not the leader, which could send them the log while it leads.
    let survivor = cluster.follower().await;
    alice.put(&survivor, "kept").await.expect_acked();
    cluster.nodes().wait_agreed().await;
    cluster.nodes().expect_converged().await;
    let others = [1, 2, 3].map(|number| cluster.node(number));
    let wiped = others.iter().filter(|node| node.id() != survivor.id());
    for node in wiped.clone() {
        node.kill();
        let (data, aside) = (node.data_dir(), node.data_dir().with_extension("aside"));
        fs::rename(&data, &aside).expect("it is a directory");
        fs::create_dir(&data).expect("it was moved away");
        restore_first_key(&aside.join("node.key"), &data.join("node.key"));
    }
    wiped.clone().for_each(|node| node.start());
    for node in wiped.clone() {
        let ended = node.wait_for_end().await;
        assert_eq!(ended.status.code(), Some(78), "{}", ended.log);
        assert!(ended.log.contains("init --found"), "{}", ended.log);
    }
    until("nobody to lead", LEADER_WITHIN, async || {
        match survivor.ready().await {
            Ok(()) => Err("it has a leader".to_owned()),
            Err(reason) => Ok(reason),
        }
    })
    .await;

    // The disks are restored.
    for node in wiped {
        let (data, aside) = (node.data_dir(), node.data_dir().with_extension("aside"));
        fs::remove_dir_all(&data).expect("it can be removed");
        fs::rename(&aside, &data).expect("it was there");
        node.start();
    }
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_txt(&alice, "kept").await;
    cluster.nodes().expect_converged().await;
}

/// Copies a key without the mark that its node is a member, so that only the others know it.
fn restore_first_key(from: &Path, to: &Path) {
    let text = fs::read_to_string(from).expect("there was a key");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    fs::copy(from, to).expect("it was moved away");
    fs::write(to, lines).expect("it is the test's");
}

/// Waits until a node reports that it waits for a third voter.
async fn wait_forming(node: &Node) {
    let what = format!("{} to wait for the others", node.name());
    until(&what, START_WITHIN, async || match node.ready().await {
        Err(reason) if reason.contains("2 of 3 voters") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn expect_voters(cluster: &Cluster) {
    let mut expected: Vec<_> = cluster
        .nodes()
        .iter()
        .map(|node| node.id().to_owned())
        .collect();
    expected.sort();
    for status in cluster.nodes().statuses().await.expect("all nodes live") {
        let mut voters = status.voters;
        voters.sort();
        assert_eq!(voters, expected, "as {} says", status.node);
    }
}

/// A node without a quorum answers reads, and accepts PUTs again when the others are back.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_waits_for_a_quorum_succeeds_when_it_returns() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let survivor = cluster.follower().await;
    let others = cluster.nodes().without(&survivor);
    others.kill();
    until(
        "the survivor to know of no leader",
        LEADER_WITHIN,
        async || {
            survivor
                .ready()
                .await
                .err()
                .map(|_| ())
                .ok_or_else(|| "it is ready".to_owned())
        },
    )
    .await;

    let (answer, ()) = tokio::join!(alice.put(&survivor, "patience"), async { others.restart() });
    answer.expect_acked();
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_txt(&alice, "patience").await;
    cluster.nodes().expect_converged().await;
}

/// While the leader is killed repeatedly, reads at one node never go back in time.
#[tokio::test(flavor = "multi_thread")]
async fn reads_at_one_node_never_go_back_in_time() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let reader = cluster.follower().await;
    let others = cluster.nodes().without(&reader);
    alice.put(&reader, "0").await.expect_acked();

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let reading = async {
        let mut newest = 0;
        let mut read_count = 0;
        while !*stopped.borrow() {
            newest = read_newer(&reader, &alice, newest).await;
            read_count += 1;
        }
        read_count
    };
    let writing = async {
        for round in 1..=3 {
            write_some(&cluster.live(), &alice, 2 * round).await;
            let leader = cluster.leader().await;
            if leader.id() == reader.id() {
                continue;
            }
            leader.kill();
            cluster.live().wait_for_leader().await;
            write_some(&cluster.live(), &alice, 2 * round + 1).await;
            leader.restart();
            others.wait_ready().await;
        }
        stop.send_replace(true);
    };
    let (read_count, ()) = tokio::join!(reading, writing);
    assert!(read_count > 50, "{read_count} reads show little");
    cluster.nodes().expect_converged().await;
}

/// PUTs increasing numbers as texts.
async fn write_some(nodes: &Nodes, alice: &Publisher, part: usize) {
    const PART: usize = 30;
    for number in part * PART..(part + 1) * PART {
        alice
            .put(&nodes[number % nodes.len()], &number.to_string())
            .await;
    }
}

/// Reads over HTTP, then DNS, and expects no text older than `newest`.
async fn read_newer(node: &Node, alice: &Publisher, newest: usize) -> usize {
    let got = node.get(&alice.key()).await;
    let payload = got.found().expect("what is published stays");
    let packet = Message::from_vec(&payload[PACKET_HEADER_SIZE..]).expect("it was verified");
    let by_http = number(&dns::texts(&packet));
    assert!(
        by_http >= newest,
        "GET went back from {newest} to {by_http}"
    );
    let by_dns = number(&node.texts(&alice.key()).await);
    assert!(
        by_dns >= by_http,
        "DNS went back from {by_http} to {by_dns}"
    );
    by_dns
}

fn number(texts: &[String]) -> usize {
    let [text] = texts else {
        panic!("{texts:?} should be one text")
    };
    text.parse().expect("all texts are numbers")
}
