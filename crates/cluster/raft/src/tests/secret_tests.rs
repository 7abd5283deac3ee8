//! The cluster key, and what it seals.

use std::{collections::BTreeSet, fs, path::Path};

use quorate_api::{
    MemberChange, RemoveRequest, RenewCertificateRequest, RotateKeyRequest, RotatedKey,
};
use quorate_peer::{
    NotElectable,
    message::{Proposed, Response},
};
use quorate_replica::{OpenSecret, SecretError, SecretStore};
use quorate_secrets::CLUSTER_KEY_FILE;
use quorate_state::{Command, KeyId, Renewal, SecretKind, SecretState};

use super::{elections::calm, test_members::*, *};

const KIND: SecretKind = SecretKind::Certificate;

async fn secrets(node: &Node, condition: impl Fn(&SecretState) -> bool) -> Arc<SecretState> {
    let mut applied = node.context().write_path.applied.clone();
    let reached = applied.wait_for(|meta| condition(&meta.cluster.secrets));
    let meta = timeout(TIMEOUT, reached).await.expect("they come").unwrap();
    meta.cluster.secrets.clone()
}

/// The key in use once it is another than `before` and all cookies are sealed by it.
async fn key_after(node: &Node, before: Option<KeyId>) -> KeyId {
    let is_used = |secrets: &SecretState| {
        let cookies = secrets.stored.get(&SecretKind::DnsCookies);
        secrets.key != before
            && secrets.key_due.is_none()
            && cookies.is_some_and(|cookies| Some(cookies.sealed.key) == secrets.key)
    };
    secrets(node, is_used).await.key.unwrap()
}

/// Waits until the only key of a node is this one.
async fn has_only(node: &Node, id: KeyId) {
    let mut keys = node.context().cluster_keys.subscribe();
    let only = keys.wait_for(|keys| keys.len() == 1 && keys[0].id() == id);
    timeout(TIMEOUT, only).await.expect("it has it").unwrap();
}

async fn rotate(node: &Node, discard_lost: bool) -> RotatedKey {
    let rotated = timeout(TIMEOUT, ask(node, RotateKeyRequest { discard_lost })).await;
    rotated.expect("it is answered").unwrap()
}

async fn opened(node: &Node) -> OpenSecret {
    let opened = async {
        loop {
            if let Ok(Some(secret)) = node.secret(KIND) {
                return secret;
            }
            node.secrets_changed_after(node.secrets_version()).await;
        }
    };
    timeout(TIMEOUT, opened).await.expect("it can be opened")
}

/// Whether a file below `dir`, other than that of the keys, has these bytes.
fn is_in_files(dir: &Path, bytes: &[u8]) -> bool {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut paths = entries.map(|entry| entry.path());
    paths.any(|path| match path.is_dir() {
        true => is_in_files(&path, bytes),
        false if path.ends_with(CLUSTER_KEY_FILE) => false,
        false => {
            let file = fs::read(&path).unwrap();
            file.windows(bytes.len()).any(|found| found == bytes)
        }
    })
}

fn key_lines(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join(CLUSTER_KEY_FILE)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let keys = lines.map(|line| line.split(' ').next().unwrap().to_owned());
    keys.collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let digits = digits.map(|digits| str::from_utf8(digits).unwrap());
    digits
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_have_one_key_which_no_log_and_no_checkpoint_contains() {
    let cluster = Cluster::start(3, |_| {}).await;
    let nodes: Vec<_> = cluster.nodes.values().collect();
    let leader = cluster.leader();
    let key = key_after(leader, None).await;
    leader
        .store_secret(KIND, b"a planted secret".to_vec(), None)
        .await
        .unwrap();
    for node in &nodes {
        has_only(node, key).await;
        assert_eq!(&*opened(node).await.content, b"a planted secret");
        let checkpoint = crate::snapshots::checkpoint::checkpoint_applied;
        checkpoint(&node.context().state_machine).await.unwrap();
    }
    let cookies = leader.cookie_secrets().unwrap();
    let dirs: Vec<_> = cluster.configs.values().map(|config| &config.dir).collect();
    let lines = key_lines(dirs[0]);
    assert_eq!(lines.len(), 1);
    for dir in dirs {
        assert_eq!(key_lines(dir), lines);
        let planted: [&[u8]; 4] = [
            &hex(&lines[0]),
            lines[0].as_bytes(),
            &cookies.current.0,
            b"a planted secret",
        ];
        for bytes in planted {
            assert!(!is_in_files(dir, bytes));
        }
        assert!(is_in_files(dir, &key.0), "what is searched is there");
    }
    expect_equal_digests(nodes).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_gets_no_new_key_and_its_cookies_are_worth_nothing() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let [stays, removed] = [1, 3].map(|number| cluster.nodes[&id(number)].clone());
    let before = key_after(&stays, None).await;
    has_only(&removed, before).await;
    let cookies = stays.cookie_secrets().unwrap();
    cluster.change(remove(3)).await.unwrap();
    let after = key_after(&stays, Some(before)).await;
    for number in [1, 2] {
        has_only(&cluster.nodes[&id(number)], after).await;
    }
    assert_eq!(stays.cookie_secrets().unwrap().previous, None);
    assert_ne!(stays.cookie_secrets().unwrap().current, cookies.current);
    assert!(removed.context().cluster_keys.key(after).is_none());
    let given = |number| stays.context().give_key(id(number), after);
    assert_eq!(given(3), Response::Key(None));
    assert_eq!(given(9), Response::Key(None), "a stranger");
    assert!(matches!(given(2), Response::Key(Some(_))));
    cluster.shutdown().await;
}

/// A key that was made before a node was removed may be known to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_given_only_after_the_switch_to_it() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2]).await;
    cluster.lead(1).await;
    let node = cluster.nodes[&id(1)].context();
    key_after(&cluster.nodes[&id(1)], None).await;
    let pending = quorate_peer::ClusterKey::generate().unwrap();
    node.cluster_keys
        .add_pending(pending.clone())
        .await
        .unwrap();
    let given = node.give_key(id(2), pending.id());
    assert_eq!(given, Response::Key(None));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_gets_the_key_and_opens_what_was_sealed_meanwhile() {
    let cluster = Cluster::start(3, calm).await;
    let leader = cluster.leader();
    let before = key_after(leader, None).await;
    leader
        .store_secret(KIND, b"kept".to_vec(), None)
        .await
        .unwrap();
    let away = cluster.followers().next().unwrap();
    let first = opened(away).await;
    let away_id = away.context().config.node;
    cluster.board.cut_off.lock().unwrap().insert(away_id);
    let rotated = rotate(leader, false).await;
    assert_eq!((&rotated.lost, rotated.discarded), (&Vec::new(), false));
    let after = key_after(leader, Some(before)).await;
    assert_eq!(rotated.key, after.to_string());
    cluster.board.cut_off.lock().unwrap().clear();
    for node in cluster.nodes.values() {
        has_only(node, after).await;
        let again = opened(node).await;
        assert_eq!((&*again.content, again.made), (&b"kept"[..], first.made));
    }
    cluster.shutdown().await;
}

/// The next leader finds the demand in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_demand_outlives_its_leader() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    let leader = cluster.leader().clone();
    let before = key_after(&leader, None).await;
    let raft = &leader.context().write_path.raft;
    let demanded = raft.propose(Command::DemandKey.encode()).await;
    assert!(matches!(demanded, Proposed::Applied { .. }));
    cluster.kill(leader.context().config.node);
    drop(leader);
    let keys: Vec<_> = futures_util::future::join_all(
        cluster
            .nodes
            .values()
            .map(|node| key_after(node, Some(before))),
    )
    .await;
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_its_keys_follows_and_gets_them() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    let key = key_after(cluster.leader(), None).await;
    let node = cluster.followers().next().unwrap().context().config.node;
    let number = (1..=3).find(|number| id(*number) == node).unwrap();
    cluster.stop(number).await;
    fs::remove_file(cluster.configs[&node].dir.join(CLUSTER_KEY_FILE)).unwrap();
    cluster.reopen(number).await;
    has_only(&cluster.nodes[&node], key).await;
    cluster.shutdown().await;
}

/// Nobody can open the secrets any more: the cluster works on, and the operator has a way back.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_has_lost_its_key_gets_another_and_says_what_is_lost() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    let before = key_after(cluster.leader(), None).await;
    let leader = cluster.leader().clone();
    leader
        .store_secret(KIND, b"lost".to_vec(), None)
        .await
        .unwrap();
    drop(leader);
    for number in 1..=3 {
        cluster.stop(number).await;
        fs::remove_file(cluster.configs[&id(number)].dir.join(CLUSTER_KEY_FILE)).unwrap();
    }
    for number in 1..=3 {
        cluster.reopen(number).await;
    }
    cluster.ready().await;
    let node = cluster.leader().clone();
    assert_eq!(node.secret(KIND), Err(SecretError::NoKey));
    assert!(put(&node, &packet(1, 5)).await.is_ok());
    let mut reasons = elections::gossip(&node).not_electable();
    let has_none = reasons.wait_for(|reasons| reasons.contains(NotElectable::NO_KEY));
    timeout(TIMEOUT, has_none)
        .await
        .expect("it says so")
        .unwrap();
    let rotated = rotate(&node, false).await;
    assert_eq!((rotated.lost, rotated.discarded), (vec![KIND], false));
    key_after(&node, Some(before)).await;
    assert_eq!(node.secret(KIND), Err(SecretError::NoKey));
    let rotated = rotate(&node, true).await;
    assert_eq!((rotated.lost, rotated.discarded), (vec![KIND], true));
    assert_eq!(node.secret(KIND), Ok(None));
    assert!(node.cookie_secrets().is_some());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_compromised_node_knew_is_demanded_anew() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let leader = cluster.nodes[&id(1)].clone();
    let before = key_after(&leader, None).await;
    leader
        .store_secret(KIND, b"known".to_vec(), None)
        .await
        .unwrap();
    let known = opened(&leader).await;
    let compromised = RemoveRequest {
        force: false,
        compromised: true,
    };
    let removed = cluster.change(MemberChange::Remove(compromised).of(id(3).to_string()));
    removed.await.unwrap();
    assert_eq!(leader.renewal(KIND), Some(Renewal::Compromised));
    assert_eq!(
        leader.renewal(SecretKind::AcmeAccount),
        Some(Renewal::Compromised)
    );
    assert_eq!(leader.renewal(SecretKind::DnsCookies), None);
    key_after(&leader, Some(before)).await;
    // One that was made before the demand does not meet it.
    let late = leader
        .store_secret(KIND, b"late".to_vec(), Some(known.index))
        .await;
    assert_eq!(late, Err(SecretError::Replaced));
    let index = opened(&leader).await.index;
    leader
        .store_secret(KIND, b"new".to_vec(), Some(index))
        .await
        .unwrap();
    assert_eq!(leader.renewal(KIND), None);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_demanded_with_another_order_while_there_is_none() {
    let cluster = Cluster::alone(calm).await;
    let leader = cluster.leader().clone();
    key_after(&leader, None).await;
    let demanded = async || {
        ask(&leader, RenewCertificateRequest {}).await.unwrap();
        [KIND, SecretKind::AcmeOrder].map(|kind| leader.renewal(kind))
    };
    let store = async |kind| {
        let index = leader.secret(kind).unwrap().map(|secret| secret.index);
        leader.store_secret(kind, b"new".to_vec(), index).await
    };
    // The one before it did not help: the first is met by an order that fails.
    for _ in 0..2 {
        assert_eq!(demanded().await, [Some(Renewal::Requested); 2]);
        store(SecretKind::AcmeOrder).await.unwrap();
    }
    store(KIND).await.unwrap();
    assert_eq!(demanded().await, [Some(Renewal::Requested), None]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_are_served_everywhere_once_every_live_member_says_so() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    key_after(cluster.leader(), None).await;
    let leader = cluster.leader().clone();
    let other = cluster.followers().next().unwrap().clone();
    assert_eq!(
        other.zones_served_everywhere().await,
        Err(SecretError::NotLeader)
    );
    let late = cluster.followers().nth(1).unwrap().context().config.node;
    for node in [leader.clone(), other.clone()] {
        tokio::spawn(async move {
            loop {
                let version = node.zone_version();
                node.set_zones_served(version);
                node.zones_changed_after(version).await;
            }
        });
    }
    let mut served = leader.zones_served_everywhere();
    let early = timeout(Duration::from_millis(300), &mut served).await;
    assert!(early.is_err(), "one does not serve them");
    // A node that is away is not waited for.
    cluster.kill(late);
    assert_eq!(timeout(TIMEOUT, served).await, Ok(Ok(())));
    cluster.shutdown().await;
}
