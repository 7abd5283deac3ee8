//! Consecutive reads of a node.

use std::sync::atomic::AtomicU64;

use quorate_replica::{NotReady, ReadError};
use quorate_state::{Command, UnixMillis};

use super::{
    disk_faults::{Simulated, checkpoint_and_purge},
    elections::{eventually, without_elections},
    *,
};

/// How many reads are made while something changes.
const READ_COUNT: u64 = 20_000;

fn expire(cutoff: u64) -> Command {
    Command::Expire {
        cutoff: UnixMillis(cutoff),
        count_max: 1,
    }
}

/// When the packet of a key was signed, in microseconds, if there is one.
fn micros(node: &Node, key: &PublicKey) -> Option<u64> {
    let indexed = node.packet(key).expect("it serves reads")?;
    Some(indexed.compiled.packet().timestamp().as_micros())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_read_during_updates_is_older_than_an_earlier_read_or_what_was_acknowledged() {
    let cluster = Cluster::start(3, |_| {}).await;
    let key = *packet(1, 1).key();
    for node in cluster.nodes.values() {
        let first = micros(node, &key).unwrap_or(0) + 1;
        let acked = Arc::new(AtomicU64::new(0));
        let (writer, ack) = (node.clone(), acked.clone());
        let writer = tokio::spawn(async move {
            for micros in first.. {
                put(&writer, &packet(1, micros)).await.unwrap();
                ack.store(micros, Ordering::Release);
            }
        });
        let (mut seen, mut read_count) = (0, 0);
        while read_count < READ_COUNT || acked.load(Ordering::Acquire) < first + 100 {
            let acked = acked.load(Ordering::Acquire);
            let found = micros(node, &key).unwrap_or(0);
            assert!(found >= seen.max(acked), "{found}: {seen}, {acked}");
            (seen, read_count) = (found, read_count + 1);
            tokio::task::yield_now().await;
        }
        writer.abort();
        // It fails because it is aborted.
        let _ = writer.await;
    }
    cluster.shutdown().await;
}

/// A packet that the snapshot removes is removed atomically, and no old packet reappears.
#[tokio::test(flavor = "multi_thread")]
async fn no_read_during_the_installation_of_a_snapshot_goes_back_in_time() {
    let cluster = Cluster::start(3, |_| {}).await;
    let (leader, lagging) = {
        let lagging = cluster.followers().next().unwrap();
        (cluster.leader().clone(), lagging.clone())
    };
    let numbers = 1..=200_u8;
    for number in numbers.clone() {
        put(&leader, &packet(number, 1)).await.unwrap();
    }
    applied(&lagging, leader.status().applied_index).await;
    let board = &cluster.board;
    board
        .cut_off
        .lock()
        .unwrap()
        .insert(lagging.context().config.node);
    let expire = expire(u64::MAX);
    leader
        .context()
        .write_path
        .raft
        .propose(expire.encode())
        .await;
    for number in numbers.clone().skip(1) {
        put(&leader, &packet(number, 2)).await.unwrap();
    }
    checkpoint_and_purge(&leader).await;

    let index = leader.status().applied_index;
    let reader = std::thread::spawn(move || {
        let mut seen = 1;
        let mut read_count: u64 = 0;
        while lagging.status().applied_index < index || read_count < READ_COUNT {
            // Read from the last to the first: the first is the one that is removed.
            for number in numbers.clone().rev() {
                let found = micros(&lagging, packet(number, 1).key()).unwrap_or(2);
                assert!(found >= seen, "packet {number} is an older one");
                (seen, read_count) = (found, read_count + 1);
            }
        }
        micros(&lagging, packet(1, 1).key())
    });
    board.cut_off.lock().unwrap().clear();
    let reader = tokio::task::spawn_blocking(|| reader.join().unwrap());
    let first = timeout(TIMEOUT, reader).await.expect("it catches up");
    assert_eq!(first.unwrap(), None);
    cluster.shutdown().await;
}

/// Acknowledgements from before the election of another leader confirm nothing that came after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_leader_confirms_no_read_when_old_acknowledgements_arrive() {
    let cluster = without_elections(3).await;
    let (board, old) = (&cluster.board, cluster.leader().clone());
    let followers: Vec<_> = cluster.followers().cloned().collect();
    let raft = old.context().raft.clone();
    for follower in &followers {
        board.hold_answers(follower.id, old.id);
    }
    let before = raft.view().last_log;
    let proposed = {
        let raft = raft.clone();
        tokio::spawn(async move { raft.propose(expire(0).encode()).await })
    };
    until(&old, |view| view.last_log > before).await;
    let index = raft.view().last_log;
    for follower in &followers {
        until(follower, |view| view.last_log >= index).await;
        board.lose(old.id, follower.id);
        board.lose(follower.id, old.id);
    }

    let vote = raft.vote().await.unwrap();
    for follower in &followers {
        follower.context().raft.release_lease(vote).await;
    }
    let [first, second] = [&followers[0], &followers[1]];
    let elected = async {
        while !leads(first) {
            first.context().raft.elect().await;
            let led = until(first, |view| view.role == Role::Leader);
            let _ = timeout(Duration::from_millis(500), led).await;
        }
    };
    timeout(TIMEOUT, elected).await.expect("it is elected");
    assert_eq!(put(first, &packet(2, 5)).await, Ok(PutOutcome::Stored));

    let mut read = Box::pin(raft.read_index());
    assert!(futures_util::poll!(&mut read).is_pending());
    // Answered after the request of the read.
    raft.vote().await.unwrap();
    let sent = board.lost_appends(old.id, second.id);
    board.deliver_answers(first.id, old.id);
    until(&old, |view| view.committed >= index).await;
    eventually("it sends what is committed, with no entries", || {
        board.lost_appends(old.id, second.id) > sent
    })
    .await;
    board.deliver_answers(second.id, old.id);
    until(&old, |view| {
        let mut followers = view.followers.iter();
        followers.any(|f| f.node == second.id && f.match_index >= index)
    })
    .await;
    board.heal();
    let confirmed = timeout(TIMEOUT, read).await.expect("it is answered");
    assert_eq!(confirmed, None, "another leader had committed more");
    proposed.await.unwrap();
    cluster.shutdown().await;
}

/// It may have served more before it stopped, but the nodes that know it are gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_without_a_leader_serves_what_it_has_after_a_while() {
    let mut simulated = Simulated::start(3).await;
    let restarted = simulated.follower();
    put(&simulated.cluster.nodes[&restarted], &packet(1, 5))
        .await
        .unwrap();
    checkpoint_and_purge(&simulated.cluster.nodes[&restarted]).await;
    let nodes: Vec<_> = simulated.cluster.nodes.keys().copied().collect();
    nodes.into_iter().for_each(|node| simulated.kill(node));

    simulated.cluster.open(restarted).await.unwrap();
    let node = simulated.cluster.nodes[&restarted].clone();
    let (known, unknown) = (packet(1, 5), packet(2, 5));
    let error = node.packet(known.key()).unwrap_err();
    assert!(matches!(error, ReadError::NotReady(_)), "{error}");
    let served = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while node.packet(known.key()).is_err() {
            ticks.tick().await;
        }
    };
    timeout(TIMEOUT, served)
        .await
        .expect("reads need no quorum");
    assert_eq!(micros(&node, known.key()), Some(5));
    assert_eq!(micros(&node, unknown.key()), None);
    assert_eq!(node.status().not_ready, Some(NotReady::NoLeader));
    timeout(TIMEOUT, node.shutdown()).await.unwrap().unwrap();
}
