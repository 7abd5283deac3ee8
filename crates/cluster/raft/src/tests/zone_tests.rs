//! Replicated records, and the secrets of DNS cookies.

use quorate_api::{ChangeZone, Problem, ProblemType};
use quorate_replica::{CookieSecrets, NamedSet, RecordSet, SecretStore, ZoneChange, ZoneState};
use quorate_state::{COOKIE_SECRET_AGE, SecretKind, UnixMillis, WireName};

use super::{disk_faults::Simulated, test_members::ask, *};
use crate::{WallClock, membership::problems};

const A: u16 = 1;

fn name(labels: &[&str]) -> WireName {
    let label = |label: &&str| [&[label.len() as u8], label.as_bytes()].concat();
    let bytes: Vec<u8> = labels.iter().flat_map(label).chain([0]).collect();
    WireName::parse(bytes.into()).unwrap()
}

/// Sets the address of `www.a.`.
fn setting(last: u8) -> ZoneChange {
    ZoneChange {
        zone: name(&["a"]),
        clear: false,
        unset: Vec::new(),
        set: vec![NamedSet {
            owner: name(&["www", "a"]),
            record_type: A,
            records: RecordSet {
                ttl_secs: 300,
                rdata: vec![vec![192, 0, 2, last].into()],
            },
        }],
    }
}

async fn change(node: &Node, change: ZoneChange) -> Result<(), Problem> {
    timeout(TIMEOUT, ask(node, ChangeZone { change }))
        .await
        .expect("it is answered")
}

/// The last byte of the address of `www.a.`, and the serial.
fn seen(state: &ZoneState) -> Option<(u8, u32)> {
    let zone = state.zones.get(&name(&["a"]))?;
    let set = zone.sets.get(&(name(&["www", "a"]), A))?;
    Some((*set.rdata[0].last()?, zone.serial))
}

/// Waits until the cookie secrets of a node fulfil `condition`.
async fn secrets(node: &Node, condition: impl Fn(&CookieSecrets) -> bool) -> CookieSecrets {
    let reached = async {
        loop {
            let version = node.zone_version();
            match node.cookie_secrets().filter(&condition) {
                Some(secrets) => return secrets,
                None => node.zones_changed_after(version).await,
            }
        }
    };
    timeout(TIMEOUT, reached).await.expect("they come")
}

/// When the cookie secret was made.
fn made(node: &Node) -> UnixMillis {
    node.secret(SecretKind::DnsCookies).unwrap().unwrap().made
}

/// Success would hide a misspelt name.
#[tokio::test(flavor = "multi_thread")]
async fn removing_records_that_are_not_there_fails() {
    let cluster = Cluster::start(3, |_| {}).await;
    let node = cluster.nodes.values().next().unwrap();
    leader_proposals::agreed_count_max(node).await;
    let unsetting = |labels: &[&str], record_type| ZoneChange {
        unset: vec![(name(labels), record_type)],
        set: Vec::new(),
        ..setting(1)
    };
    change(node, setting(1)).await.unwrap();
    for (labels, record_type) in [(&["wwww", "a"], None), (&["www", "a"], Some(A + 1))] {
        let problem = change(node, unsetting(labels, record_type))
            .await
            .unwrap_err();
        assert_eq!(problem.problem_type, ProblemType::UnknownRecord);
        assert!(
            problem.detail.starts_with(&name(labels).to_string()),
            "{}",
            problem.detail
        );
    }
    change(node, unsetting(&["www", "a"], Some(A)))
        .await
        .unwrap();
    let again = change(node, unsetting(&["www", "a"], None)).await;
    assert_eq!(again.unwrap_err().problem_type, ProblemType::UnknownRecord);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_zone_is_visible_there_immediately_and_soon_everywhere() {
    let cluster = Cluster::start(3, |_| {}).await;
    for node in cluster.nodes.values() {
        leader_proposals::agreed_count_max(node).await;
    }
    for (last, node) in (1..).zip(cluster.nodes.values()) {
        let version = node.zone_version();
        change(node, setting(last)).await.unwrap();
        assert_eq!(seen(&node.zone_state()), Some((last, last.into())));
        assert!(node.zone_version() > version);
        let index = node.status().applied_index;
        for other in cluster.nodes.values() {
            applied(other, index).await;
            assert_eq!(seen(&other.zone_state()), Some((last, last.into())));
        }
    }
    // Without a change nothing is written.
    let node = cluster.followers().next().unwrap();
    let (version, index) = (node.zone_version(), node.status().last_log_index);
    change(node, setting(3)).await.unwrap();
    put(node, &packet(1, 5)).await.unwrap();
    assert_eq!(node.zone_version(), version, "a packet is not in a zone");
    assert_eq!(node.status().last_log_index, index.next());
    let mut apex = setting(9);
    apex.set[0].owner = name(&["b"]);
    let rejected = change(node, apex).await;
    assert_eq!(
        rejected,
        Err(problems::zone("b. is outside a.: set it in its own zone"))
    );
    expect_equal_digests(cluster.nodes.values()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_have_the_same_cookie_secrets_and_another_each_day() {
    let ahead = Ahead::default();
    let cluster = Cluster::start(3, |config| config.wall_clock = ahead.clock()).await;
    let nodes: Vec<_> = cluster.nodes.values().collect();
    let first = secrets(nodes[0], |_| true).await;
    let first_made = made(nodes[0]);
    assert_eq!(first.previous, None);
    for node in &nodes {
        assert_eq!(secrets(node, |_| true).await, first);
    }
    let version = nodes[1].zone_version();
    ahead.set(COOKIE_SECRET_AGE + Duration::from_millis(1));
    for node in &nodes {
        let second = secrets(node, |secrets| secrets.current != first.current).await;
        assert_eq!(
            second.previous,
            Some(first.current),
            "its cookies stay good"
        );
        assert!(made(node).since(first_made) >= COOKIE_SECRET_AGE);
    }
    assert!(nodes[1].zone_version() > version);
    expect_equal_digests(nodes).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_zones_and_cookie_secrets() {
    let mut simulated = Simulated::start(3).await;
    let leader = simulated.cluster.leader().clone();
    leader_proposals::agreed_count_max(&leader).await;
    let behind = simulated.follower();
    let node = simulated.cluster.nodes[&behind].clone();
    applied(&node, leader.status().applied_index).await;
    let version = node.zone_version();
    let board = simulated.cluster.board.clone();
    board.cut_off.lock().unwrap().insert(behind);
    change(&leader, setting(7)).await.unwrap();
    disk_faults::checkpoint_and_purge(&leader).await;
    board.cut_off.lock().unwrap().clear();
    applied(&node, leader.status().applied_index).await;
    assert_eq!(node.zone_state(), leader.zone_state());
    assert_eq!(seen(&node.zone_state()), Some((7, 1)));
    secrets(&node, |_| true).await;
    assert!(
        node.zone_version() > version,
        "a client sees that the secret has changed"
    );
    drop((node, leader));

    // A checkpoint keeps them too.
    let expected = simulated.cluster.nodes[&behind].zone_state();
    disk_faults::checkpoint_and_purge(&simulated.cluster.nodes[&behind]).await;
    simulated.kill(behind);
    simulated.cluster.open(behind).await.unwrap();
    let reopened = &simulated.cluster.nodes[&behind];
    assert_eq!(reopened.zone_state(), expected);
    assert!(
        reopened.zone_version() > 0,
        "not the value of a node without a secret"
    );
    simulated.cluster.shutdown().await;
}

/// The first rotation uses the cluster time.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_has_a_secret_as_soon_as_its_cluster_is_founded() {
    let cluster = Cluster::start(1, |_| {}).await;
    let node = cluster.nodes.values().next().unwrap();
    secrets(node, |_| true).await;
    let now = WallClock::default().now();
    assert!(made(node) > UnixMillis(0) && made(node) <= now);
    cluster.shutdown().await;
}
