//! Who may publish, as operators set it on a live cluster, and packets that they delete.

use hickory_proto::{op::ResponseCode, rr::RecordType};
use quorate_tests::{
    Cluster, Node, Nodes, ORIGIN, Packet, Publisher, PutAnswer, voters,
    wait::{CONVERGE_WITHIN, until},
};
use serde_json::Value;

async fn started() -> (Cluster, Nodes) {
    let cluster = Cluster::start(voters(3)).await;
    let nodes = cluster.nodes();
    (cluster, nodes)
}

/// The status of a PUT with a publish token.
async fn put_with_token(node: &Node, packet: &Packet, token: &str) -> u16 {
    let url = node.url(&format!("/pkarr/{}", packet.key));
    let request = node.client().put(url).bearer_auth(token);
    let answer = node.send(request.body(packet.payload.clone())).await;
    answer.status
}

/// Waits until every node gives this answer to a new packet of the publisher.
async fn expect_answered(nodes: &Nodes, publisher: &Publisher, expected: PutAnswer) {
    let what = format!("{expected:?} for {} at all", publisher.name());
    until(&what, CONVERGE_WITHIN, async || {
        for node in nodes.iter() {
            let answer = publisher.put(node, "x").await;
            if answer != expected {
                return Err(format!("{}: {answer:?}", node.name()));
            }
        }
        Ok(())
    })
    .await;
}

/// Waits until no node serves anything of the publisher.
async fn expect_gone(nodes: &Nodes, publisher: &Publisher) {
    let what = format!("nothing of {} at any", publisher.name());
    until(&what, CONVERGE_WITHIN, async || {
        for node in nodes.iter() {
            check_gone(node, publisher).await?;
        }
        Ok(())
    })
    .await;
}

async fn check_gone(node: &Node, publisher: &Publisher) -> Result<(), String> {
    let name = publisher.name_under(ORIGIN);
    let answer = node.ask(&name, RecordType::TXT).await;
    let rcode = answer.metadata.response_code;
    let status = node.get(&publisher.key()).await.status;
    match (rcode, status) {
        (ResponseCode::NXDomain, 404) => Ok(()),
        _ => Err(format!("{}: {rcode}, {status}", node.name())),
    }
}

/// The list is applied at the position of the packet in the log, so it is in force at all nodes.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_denied_at_one_node_may_publish_at_none() {
    let (cluster, nodes) = started().await;
    let (alice, bob) = (cluster.publisher("alice"), cluster.publisher("bob"));
    let [leader, follower] = [cluster.leader().await, cluster.follower().await];
    alice.put(&leader, "before").await.expect_acked();

    follower.operate(&["policy", "deny", &alice.key()]).await;
    for node in nodes.iter() {
        alice.put(node, "denied").await.expect_rejected(403);
        bob.put(node, "x").await.expect_acked();
    }
    nodes.expect_txt(&alice, "before").await;
    nodes.terminate().await;
    nodes.restart();
    nodes.wait_ready().await;
    alice.put(&leader, "denied").await.expect_rejected(403);
    let denied = leader.operate(&["policy", "list", "denied"]).await;
    assert_eq!(denied, alice.key() + "\n");

    leader.operate(&["policy", "undeny", &alice.key()]).await;
    for node in nodes.iter() {
        alice.put(node, "after").await.expect_acked();
    }
    nodes.expect_converged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allow_list_keeps_all_others_out() {
    let (cluster, nodes) = started().await;
    let (alice, bob) = (cluster.publisher("alice"), cluster.publisher("bob"));
    let node = cluster.follower().await;
    let file = cluster.dir().join("keys");
    let text = format!("# friends\n{} # alice\n", alice.key());
    std::fs::write(&file, text).expect("it can be written");
    let file = file.to_str().expect("a Unicode path");
    node.operate(&["policy", "allow", "--file", file]).await;
    bob.put(&node, "x").await.expect_acked();
    node.operate(&["policy", "mode", "allow-list"]).await;
    for node in nodes.iter() {
        alice.put(node, "x").await.expect_acked();
        bob.put(node, "x").await.expect_rejected(403);
    }
    // A key on both lists is denied.
    node.operate(&["policy", "deny", &alice.key()]).await;
    alice.put(&node, "x").await.expect_rejected(403);
    let shown = node.operate(&["policy", "show"]).await;
    let expected = "allow-list  1        1       0       0\n";
    assert!(shown.ends_with(expected), "{shown}");
    node.operate(&["policy", "mode", "open"]).await;
    for node in nodes.iter() {
        bob.put(node, "x").await.expect_acked();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_mode_tokens_a_packet_needs_one() {
    let (cluster, nodes) = started().await;
    let (alice, bob) = (cluster.publisher("alice"), cluster.publisher("bob"));
    let node = cluster.follower().await;
    let add = ["policy", "token", "add", "ci"];
    let token = node.operate(&add).await.trim_end().to_owned();
    let rejected = node.expect_rejected(&add).await;
    assert!(rejected.contains("named `ci` exists"), "{rejected}");
    node.operate(&["policy", "mode", "tokens"]).await;
    node.operate(&["policy", "allow", &bob.key()]).await;
    expect_answered(&nodes, &alice, PutAnswer::Refused(401)).await;
    for node in nodes.iter() {
        let packet = alice.packet("with");
        let wrong = put_with_token(node, &packet, "quorate-publish-guess").await;
        assert!(matches!(wrong, 401), "{wrong}");
        assert_eq!(put_with_token(node, &packet, &token).await, 204);
        bob.put(node, "allowed").await.expect_acked();
    }

    let dir = cluster.dir();
    let [token_file, key_file] = ["token", "key"].map(|name| dir.join(name));
    std::fs::write(&token_file, &token).expect("it can be written");
    let [token_file, key_file] =
        [&token_file, &key_file].map(|path| path.to_str().expect("a Unicode path"));
    let relay = node.url("/pkarr");
    let publish = ["publish", "--relay", &relay, "--key", key_file];
    let record = ["_iroh", "TXT", "x"];
    let rejected = node.run(&[&publish[..], &record].concat()).await;
    assert_eq!(rejected.code, 1);
    let hint = "--token-file FILE";
    assert!(rejected.stderr.contains(hint), "{}", rejected.stderr);
    let with_token = ["--token-file", token_file];
    let args = [&publish[..], &with_token, &record].concat();
    node.operate(&args).await;

    let listed = node.operate(&["policy", "token", "list"]).await;
    assert_eq!(listed, "ci\n");
    nodes.terminate().await;
    for node in nodes.iter() {
        let log = node.log_text();
        assert!(!log.contains(&token), "{} has written it down", node.name());
    }
    nodes.restart();
    nodes.wait_ready().await;
    let packet = alice.packet("again");
    assert_eq!(put_with_token(&node, &packet, &token).await, 204);
    node.operate(&["policy", "token", "remove", "ci"]).await;
    until(
        "the token to be good nowhere",
        CONVERGE_WITHIN,
        async || {
            for node in nodes.iter() {
                let status = put_with_token(node, &alice.packet("late"), &token).await;
                if status == 204 {
                    return Err(format!("it is at {}", node.name()));
                }
            }
            Ok(())
        },
    )
    .await;
}

/// A kept copy of a deleted packet cannot be stored again, at any node, also after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_packet_is_gone_everywhere_and_does_not_come_back() {
    let (cluster, nodes) = started().await;
    let (alice, bob) = (cluster.publisher("alice"), cluster.publisher("bob"));
    let [leader, follower] = [cluster.leader().await, cluster.follower().await];
    let [yesterday, today] = ["yesterday", "today"].map(|text| alice.packet(text));
    for packet in [&yesterday, &today] {
        alice.put_packet(&leader, packet).await.expect_acked();
    }
    bob.put(&leader, "stays").await.expect_acked();
    nodes.expect_txt(&alice, "today").await;

    let delete = ["packet", "delete", &alice.key()];
    let deleted = follower.run(&delete).await;
    assert!(deleted.stderr.contains("is deleted"), "{deleted:?}");
    check_gone(&follower, &alice).await.expect("at once");
    expect_gone(&nodes, &alice).await;
    for node in nodes.iter() {
        for packet in [&yesterday, &today] {
            node.put(packet).await.expect_rejected(409);
        }
    }
    let again = leader.run(&delete).await;
    assert_eq!(again.code, 0);
    assert!(again.stderr.contains("there is no packet"), "{again:?}");
    let listed = leader.operate(&["packet", "deleted"]).await;
    assert!(listed.contains(&alice.key()), "{listed}");

    nodes.terminate().await;
    nodes.restart();
    nodes.wait_ready().await;
    nodes.expect_txt(&bob, "stays").await;
    leader.put(&today).await.expect_rejected(409);
    alice.put(&leader, "tomorrow").await.expect_acked();
    nodes.expect_txt(&alice, "tomorrow").await;
    follower.put(&today).await.expect_rejected(409);
    nodes.expect_converged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_blocked_for_a_time_and_let_in_again() {
    let (cluster, nodes) = started().await;
    let alice = cluster.publisher("alice");
    let node = cluster.follower().await;
    alice.put(&node, "x").await.expect_acked();
    let delete = |how: &'static str| [vec!["packet", "delete"], how.split(' ').collect()].concat();
    let key = alice.key();
    let blocked = [delete("--block 7d"), vec![&key]].concat();
    node.operate(&blocked).await;
    for node in nodes.iter() {
        alice.put(node, "blocked").await.expect_rejected(403);
    }
    let unblocked = [delete("--unblock"), vec![&key]].concat();
    node.operate(&unblocked).await;
    for node in nodes.iter() {
        alice.put(node, "again").await.expect_acked();
    }

    // It also ends on its own.
    let briefly = [delete("--block 1s"), vec![&key]].concat();
    node.operate(&briefly).await;
    expect_answered(&nodes, &alice, PutAnswer::Acked).await;
}

/// The kinds of the changes of a key in a page, in order.
fn kinds(page: &Value, key: &str) -> Vec<String> {
    let changes = page["changes"].as_array().expect("a list").iter();
    let of_key = changes.filter(|change| change["key"] == key);
    let kind = |change: &Value| change["kind"].as_str().expect("a text").to_owned();
    of_key.map(kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_after_an_entry_are_reported_until_it_is_too_old() {
    let (cluster, nodes) = started().await;
    let alice = cluster.publisher("alice");
    let [leader, follower] = [cluster.leader().await, cluster.follower().await];
    let status = follower.status().await.expect("it answers");
    let since = status.applied_index;
    let packet = alice.packet("one");
    alice.put_packet(&follower, &packet).await.expect_acked();
    // Identical bytes are not a change.
    alice.put_packet(&follower, &packet).await.expect_acked();
    alice.put(&follower, "two").await.expect_acked();
    let key = alice.key();
    follower.operate(&["packet", "delete", &key]).await;
    let path = format!("/v1/changes?since={since}");
    // Entries have the same index on all nodes.
    for node in [&follower, &leader] {
        let what = format!("all changes at {}", node.name());
        until(&what, CONVERGE_WITHIN, async || {
            let answer = node.admin(&path).await?;
            let page = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
            match kinds(&page, &key) == ["stored", "stored", "deleted"] {
                true => Ok(()),
                false => Err(answer.text()),
            }
        })
        .await;
    }
    let command = ["packet", "changes", "--since", &since.to_string()];
    let output = follower.operate(&command).await;
    let words = output.lines().map(|line| line.split(' ').nth(1));
    let words: Vec<_> = words.map(Option::unwrap_or_default).collect();
    assert_eq!(words, ["stored", "stored", "deleted"], "{output}");

    follower.terminate().await;
    follower.restart();
    nodes.wait_ready().await;
    let answer = follower.admin(&path).await.expect("it answers");
    assert_eq!(answer.status, 410, "{}", answer.text());
    let rejected = follower.expect_rejected(&command).await;
    assert!(rejected.contains("list all packets"), "{rejected}");
}
