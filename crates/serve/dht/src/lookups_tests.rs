use std::net::Ipv4Addr;

use mainline::{Dht, MutableItem, Testnet, async_dht::AsyncDht};
use quorate_fake::FakeReplica;
use quorate_limit::RequestLimits;
use quorate_metrics::Registry;
use quorate_replica::{Deletion, DhtBridge, PublishState, Reader};

use super::*;
use quorate_packet::SignedPacket;

use crate::{
    Bridge, DhtMode,
    client::LOOKUP_TIMEOUT,
    item,
    metrics::InvalidLabel,
    test_node::{Behaviour, TestNode},
    values::ANSWERED_MIN,
};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DEADLINE: Duration = Duration::from_secs(10);

struct Started {
    bridge: Bridge,
    replica: Arc<FakeReplica>,
    metrics: DhtMetrics,
}

async fn start(bootstrap: Vec<String>, change: impl FnOnce(&mut DhtSettings)) -> Started {
    let mut settings = DhtSettings {
        mode: DhtMode::Resolve,
        bootstrap,
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        ..DhtSettings::default()
    };
    change(&mut settings);
    let replica = FakeReplica::new();
    let metrics = DhtMetrics::register(&Registry::new()).unwrap();
    let limits = RequestLimits::default();
    let bridge = Bridge::start(settings, replica.clone(), limits, metrics.clone()).unwrap();
    bridge.connected().await;
    Started {
        bridge,
        replica,
        metrics,
    }
}

/// Starts a bridge that knows these nodes only.
async fn start_with(nodes: &[TestNode]) -> Started {
    let addresses = nodes.iter().map(|node| node.address.to_string()).collect();
    start(addresses, |_| {}).await
}

async fn few(count: u32, behaviour: Behaviour) -> Vec<TestNode> {
    let mut nodes = Vec::new();
    for number in 0..count {
        nodes.push(TestNode::start(number as u8 + 1, behaviour.clone()).await);
    }
    nodes
}

async fn publisher(network: &Testnet) -> AsyncDht {
    let mut builder = Dht::builder();
    builder.bootstrap(&network.bootstrap);
    builder.bind_address(Ipv4Addr::LOCALHOST).port(0);
    let dht = builder.build().unwrap().as_async();
    dht.bootstrapped().await;
    dht
}

fn packet(seed: u8, micros: u64) -> SignedPacket {
    quorate_fake::packet(seed, micros, &format!("at {micros}"), 30)
}

fn found(answer: DhtAnswer) -> Option<SignedPacket> {
    match answer {
        DhtAnswer::Found(found) => Some(found.compiled.packet().clone()),
        _ => None,
    }
}

impl Started {
    async fn lookup(&self, packet: &SignedPacket) -> DhtAnswer {
        self.lookup_within(packet, DEADLINE).await
    }

    async fn lookup_within(&self, packet: &SignedPacket, deadline: Duration) -> DhtAnswer {
        self.bridge.lookup(packet.key(), CLIENT, deadline).await
    }

    fn lookups(&self, label: LookupLabel) -> u64 {
        self.metrics.lookups_total.of(label).get()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_only_the_dht_has_is_found_there() {
    let network = Testnet::builder(30).build().unwrap();
    let started = start(network.bootstrap[..4].to_vec(), |_| {}).await;
    let packet = packet(1, 5);
    assert!(matches!(
        started.lookup(&self::packet(2, 5)).await,
        DhtAnswer::Absent
    ));
    let stored = publisher(&network)
        .await
        .put_mutable(item::item(&packet), None)
        .await
        .unwrap();
    assert!(stored.stored_at > 0, "{stored:?}");
    assert_eq!(found(started.lookup(&packet).await), Some(packet.clone()));
    // It is known now.
    let no_time = started.lookup_within(&packet, Duration::ZERO).await;
    assert_eq!(found(no_time), Some(packet));
    assert_eq!(started.lookups(LookupLabel::Found), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_three_packets_wins_although_the_oldest_comes_first() {
    let mut nodes = Vec::new();
    for (number, (micros, millis)) in [(5, 0), (7, 120), (6, 240)].into_iter().enumerate() {
        let behaviour = Behaviour::Value(
            item::item(&packet(1, micros)),
            Duration::from_millis(millis),
        );
        nodes.push(TestNode::start(number as u8 + 1, behaviour).await);
    }
    let started = start_with(&nodes).await;
    let newest = packet(1, 7);
    assert_eq!(found(started.lookup(&newest).await), Some(newest));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_deadline_is_there_for_the_next_question() {
    let late = Behaviour::Value(item::item(&packet(1, 7)), Duration::from_millis(300));
    let early = Behaviour::Value(item::item(&packet(1, 5)), Duration::ZERO);
    let nodes = [
        TestNode::start(1, late).await,
        TestNode::start(2, early).await,
    ];
    let started = start_with(&nodes).await;
    let (old, new) = (packet(1, 5), packet(1, 7));
    // The oldest answers at once; the deadline ends before the other does.
    let mut first = started.lookup_within(&old, Duration::ZERO).await;
    while !matches!(first, DhtAnswer::Found(_)) {
        first = started.lookup_within(&old, Duration::from_millis(1)).await;
    }
    assert_eq!(found(started.lookup(&new).await), Some(new));
    assert_eq!(started.lookups(LookupLabel::Found), 1, "one lookup for all");
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_of_each_kind_are_ignored() {
    let honest = packet(1, 5);
    let item = item::item(&honest);
    let forged = MutableItem::new_signed_unchecked(*item.key(), [7; 64], item.value(), 9, None);
    let of_another_key = item::item(&packet(2, 9));
    let far_ahead = item::item(&packet(1, u64::MAX / 4));
    let values = [forged, of_another_key, far_ahead, item];
    let mut nodes = vec![TestNode::start(99, Behaviour::Silent).await];
    for (number, value) in values.into_iter().enumerate() {
        let behaviour = Behaviour::Value(value, Duration::ZERO);
        nodes.push(TestNode::start(number as u8 + 1, behaviour).await);
    }
    let started = start_with(&nodes).await;
    assert_eq!(found(started.lookup(&honest).await), Some(honest));
    let invalid = &started.metrics.values_invalid_total;
    assert_eq!(invalid.of(InvalidLabel::TooFarAhead).get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_absent_only_if_the_dht_says_so() {
    let silent = [TestNode::start(1, Behaviour::Silent).await];
    let started = start_with(&silent).await;
    let answer = started.lookup(&packet(1, 5)).await;
    assert!(matches!(answer, DhtAnswer::Unanswered), "{answer:?}");
    assert_eq!(started.lookups(LookupLabel::Unanswered), 1);

    // Perhaps they lie.
    let mut nodes = few(ANSWERED_MIN - 1, Behaviour::Empty).await;
    let started = start_with(&nodes).await;
    let answer = started.lookup(&packet(1, 5)).await;
    assert!(matches!(answer, DhtAnswer::Unanswered), "{answer:?}");

    nodes.push(TestNode::start(99, Behaviour::Empty).await);
    let started = start_with(&nodes).await;
    for _ in 0..2 {
        let answer = started.lookup(&packet(1, 5)).await;
        assert!(matches!(answer, DhtAnswer::Absent), "{answer:?}");
    }
    assert_eq!(started.lookups(LookupLabel::Absent), 1, "it is remembered");
}

fn delete(replica: &FakeReplica, packet: &SignedPacket) {
    let deletion = Deletion {
        timestamp: packet.timestamp(),
        blocked_until: None,
    };
    replica.set_publish_state(PublishState {
        deleted: [(*packet.key(), deletion)].into(),
        ..PublishState::default()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_packet_is_not_served_from_the_dht() {
    let packet = packet(1, 5);
    let value = Behaviour::Value(item::item(&packet), Duration::ZERO);
    let nodes = few(ANSWERED_MIN, value.clone()).await;
    let started = start_with(&nodes).await;
    assert!(found(started.lookup(&packet).await).is_some());
    delete(&started.replica, &packet);
    let answer = started.lookup(&packet).await;
    assert!(matches!(answer, DhtAnswer::Absent), "{answer:?}");

    // Perhaps a node that did not answer has a newer one.
    let nodes = few(1, value).await;
    let started = start_with(&nodes).await;
    delete(&started.replica, &packet);
    let answer = started.lookup(&packet).await;
    assert!(matches!(answer, DhtAnswer::Unanswered), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_packet_that_comes_first_hides_no_newer_one() {
    let (deleted, newer) = (packet(1, 5), packet(1, 7));
    let early = Behaviour::Value(item::item(&deleted), Duration::ZERO);
    let late = Behaviour::Value(item::item(&newer), Duration::from_millis(300));
    let nodes = [
        TestNode::start(1, early).await,
        TestNode::start(2, late).await,
    ];
    let started = start_with(&nodes).await;
    delete(&started.replica, &deleted);
    let mut answer = started.lookup_within(&deleted, Duration::ZERO).await;
    while !matches!(answer, DhtAnswer::Found(_)) {
        assert!(matches!(answer, DhtAnswer::Unanswered), "{answer:?}");
        let so_far = started.bridge.known_so_far(deleted.key());
        assert!(!matches!(so_far, Some(DhtAnswer::Absent)), "{so_far:?}");
        let moment = Duration::from_millis(1);
        answer = started.lookup_within(&deleted, moment).await;
    }
    assert_eq!(found(answer), Some(newer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_fixed_port_starts_at_the_first_attempt() {
    let nodes = few(ANSWERED_MIN, Behaviour::Empty).await;
    let bootstrap = nodes.iter().map(|node| node.address.to_string()).collect();
    let free = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let started = start(bootstrap, |settings| settings.listen = listen).await;
    assert_eq!(
        started.metrics.starts_total.get(),
        1,
        "at the first attempt"
    );
    let answer = started.lookup(&packet(1, 5)).await;
    assert!(matches!(answer, DhtAnswer::Absent), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_publish_is_not_looked_up() {
    let packet = packet(1, 5);
    let value = Behaviour::Value(item::item(&packet), Duration::ZERO);
    let nodes = [TestNode::start(1, value).await];
    let started = start_with(&nodes).await;
    started.replica.set_publish_state(PublishState {
        denied: [*packet.key()].into(),
        ..PublishState::default()
    });
    let answer = started.lookup(&packet).await;
    assert!(matches!(answer, DhtAnswer::Absent), "{answer:?}");
    assert_eq!(started.metrics.nodes_asked_total.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_found_packet_is_stored_if_the_operator_wants_that_and_it_has_not_expired() {
    let now_us = values::now().0 * 1000;
    let (fresh, expired) = (packet(1, now_us), packet(2, 5));
    let values = [&fresh, &expired].map(item::item);
    let [fresh_value, expired_value] = values.map(|item| Behaviour::Value(item, Duration::ZERO));
    // The library drops values of other keys.
    let nodes = [
        TestNode::start(1, fresh_value).await,
        TestNode::start(2, expired_value).await,
    ];
    let bootstrap = nodes.iter().map(|node| node.address.to_string()).collect();
    let started = start(bootstrap, |settings| settings.store_found = true).await;
    started
        .replica
        .change_status(|status| status.retention_secs = Some(3600));
    for packet in [&expired, &fresh] {
        assert_eq!(found(started.lookup(packet).await), Some(packet.clone()));
    }
    let mut put_count = started.replica.put_count.subscribe();
    put_count.wait_for(|count| *count > 0).await.unwrap();
    while started.metrics.lookups_open.get() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(started.replica.packet(fresh.key()).unwrap().is_some());
    assert!(started.replica.packet(expired.key()).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_a_share_of_the_lookups_and_others_have_theirs() {
    let nodes = [TestNode::start(1, Behaviour::Silent).await];
    let bootstrap = vec![nodes[0].address.to_string()];
    let started = start(bootstrap, |settings| {
        settings.lookup_count_max = 4;
        settings.lookup_count_per_client_max = 1;
    })
    .await;
    let ask = |seed: u8, client: &str| {
        let client = client.parse().unwrap();
        let (packet, bridge) = (packet(seed, 5), &started.bridge);
        async move { bridge.lookup(packet.key(), client, Duration::ZERO).await }
    };
    assert!(matches!(ask(1, "192.0.2.1").await, DhtAnswer::Unanswered));
    assert!(matches!(ask(2, "192.0.2.1").await, DhtAnswer::Refused));
    assert!(
        matches!(ask(1, "192.0.2.1").await, DhtAnswer::Unanswered),
        "the same key"
    );
    assert!(matches!(
        ask(3, "198.51.100.1").await,
        DhtAnswer::Unanswered
    ));
    assert_eq!(started.metrics.lookups_open.get(), 2);
}

/// A node of the DHT that invents nearer nodes for ever would hold memory and a place.
#[tokio::test(flavor = "multi_thread")]
async fn lookups_that_never_end_are_given_up() {
    let nodes = [TestNode::start(1, Behaviour::Nearer).await];
    let started = start_with(&nodes).await;
    let answer = started
        .lookup_within(&packet(1, 5), LOOKUP_TIMEOUT * 2)
        .await;
    assert!(!matches!(answer, DhtAnswer::Found(_)), "{answer:?}");
    assert_eq!(started.metrics.lookups_open.get(), 0);
}
