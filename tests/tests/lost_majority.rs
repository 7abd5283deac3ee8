//! What operators see when too few voters are left to elect a leader.

use std::time::{Duration, Instant};

use quorate_tests::{Cluster, Nodes, voters};

/// How long an operator waits for this answer: less than the 20 s for which commands retry.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// Two of three voters are dead. At a voter and at a learner, each command reports which are silent and
/// for how long, that no majority is left, and which page to read.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_majority_is_reported_with_the_silent_voters() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let left = cluster.follower().await;
    alice.put(&left, "before").await.expect_acked();
    let learner = cluster.machine();
    learner.join(&left.invite(&["--learner"]).await);
    left.wait_for_role(&learner, "learner").await;
    learner.wait_ready().await;
    let dead = cluster.nodes().without(&left).without(&learner);
    dead.kill();

    for node in [&left, &learner] {
        let of_dead = ["member", "remove", "--force", dead[0].id()];
        for command in [&of_dead[..], &["member", "add"], &["leader", "transfer"]] {
            let began = Instant::now();
            let ran = node.run(command).await;
            let took = began.elapsed();
            assert_eq!(ran.code, 1, "{command:?}: {}", ran.stderr);
            expect_named(&ran.stderr, &dead);
            assert!(took < TOLD_WITHIN, "{command:?} took {took:?}");
        }
        // The member list shows the same.
        let members = node.members().await.unwrap();
        for member in members {
            let is_dead = dead.iter().any(|node| node.id() == member.node);
            let state = if is_dead { "silent" } else { "live" };
            assert_eq!(member.state, state, "{member:?} at {}", node.name());
        }
        let node: Nodes = [node.clone()].into_iter().collect();
        node.expect_txt(&alice, "before").await;
    }

    // With one of them back, the same command succeeds.
    dead[1].restart();
    dead[1].wait_ready().await;
    left.operate(&["member", "remove", dead[0].id()]).await;
}

fn expect_named(stderr: &str, dead: &Nodes) {
    for text in [
        "1 of 3 voters",
        "2 are needed",
        "docs/trouble/lost-majority.md",
    ] {
        assert!(stderr.contains(text), "{text} in {stderr}");
    }
    for node in dead.iter() {
        let name = node.name().replace(' ', "-");
        assert!(stderr.contains(&name), "{name} in {stderr}");
    }
}
