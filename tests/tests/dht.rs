//! The bridge to the Mainline DHT, against a real network of its nodes on this machine.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use data_encoding::BASE64;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use iroh::{
    address_lookup::{DnsAddressLookup, PkarrResolver},
    dns::{DnsResolver, NameserverConfig},
};
use mainline::{Dht, MutableItem, Testnet, async_dht::AsyncDht};
use pkarr::Keypair;
use quorate_tests::{
    Cluster, Node, Nodes, ORIGIN, Packet, Plan,
    dns::{ask_tcp, ask_udp, question, texts},
    packet::{now_micros, sign_txt},
    voters,
    wait::{CONVERGE_WITHIN, until},
};

use tokio::{task::JoinSet, time::timeout};

use crate::{
    clients::{bind, connect_both_ways, endpoint, greeting, wait_until_published},
    namespace::Namespace,
};

/// How many nodes the network has: more than the 20 that keep each value.
const NETWORK_SIZE: usize = 100;

/// The shortest round of publications, and two of them on a busy machine.
const ROUND_SECS: u64 = 60;
const ROUNDS_WITHIN: Duration = Duration::from_secs(300);

const KEY_COUNT: usize = 100;

/// Nodes of the DHT, and another program that uses them.
struct Network {
    nodes: Vec<Dht>,
    addresses: Vec<SocketAddrV4>,
    other: AsyncDht,
}

impl Network {
    /// A network at an address of this machine.
    async fn start(address: Ipv4Addr, size: usize) -> Self {
        let Testnet { nodes, bootstrap } = Testnet::builder(size)
            .bind_address(address)
            .build()
            .expect("it starts");
        let addresses = bootstrap.iter().map(|address| address.parse());
        let mut builder = Dht::builder();
        builder.bootstrap(&bootstrap).bind_address(address).port(0);
        let other = builder.build().expect("it starts").as_async();
        // Before that, it would publish at few nodes.
        other.bootstrapped().await;
        Self {
            nodes,
            addresses: addresses
                .collect::<Result<_, _>>()
                .expect("they are addresses"),
            other,
        }
    }

    async fn on_loopback() -> Self {
        Self::start(Ipv4Addr::LOCALHOST, NETWORK_SIZE).await
    }

    /// Nodes of Quorate that use this network. What they ask may take long on a busy machine.
    fn plan(&self, count: usize, mode: &str, listen: Ipv4Addr) -> Plan {
        let bootstrap = self.addresses[..4].iter().map(ToString::to_string);
        let bootstrap: Vec<_> = bootstrap.collect();
        voters(count).with_config(&format!(
            "[dht]\nmode = {mode:?}\nbootstrap = {bootstrap:?}\nlisten = \"{listen}:0\"\n\
             lookup_http_deadline_ms = 3000\nlookup_dns_deadline_ms = 2500\n\
             republish_interval_secs = {ROUND_SECS}\n"
        ))
    }

    fn kill_all_but(&mut self, count: usize) {
        self.nodes.truncate(count);
    }

    /// Starts nodes at the addresses of those that were killed. They have stored nothing.
    fn restart(&mut self) {
        for address in &self.addresses[self.nodes.len()..] {
            let mut builder = Dht::builder();
            builder.bootstrap(&self.addresses).server_mode();
            builder.bind_address(*address.ip()).port(address.port());
            self.nodes.push(builder.build().expect("its port is free"));
        }
    }

    /// Publishes a packet as another program does.
    async fn publish(&self, packet: &Packet) {
        let (signature, rest) = packet
            .payload
            .split_first_chunk::<64>()
            .expect("it has one");
        let key: pkarr::PublicKey = packet.key.parse().expect("it is a key");
        let seq = packet.micros as i64;
        let item =
            MutableItem::new_signed_unchecked(key.to_bytes(), *signature, &rest[8..], seq, None);
        let stored = self.other.put_mutable(item, None).await;
        assert!(stored.expect("it is stored").stored_at > 0);
    }

    /// Checks that the network has this packet.
    async fn expect(&self, packet: &Packet) -> Result<(), String> {
        let key: pkarr::PublicKey = packet.key.parse().expect("it is a key");
        let key = key.to_bytes();
        match self.other.get_mutable_most_recent(&key, None).await {
            Some(found) if found.value() == &packet.payload[72..] => Ok(()),
            found => Err(format!("{}: {found:?}", packet.key)),
        }
    }
}

fn packet(keys: &Keypair, text: &str) -> Packet {
    let name = format!("_iroh.{}.", keys.to_z32());
    sign_txt(keys, now_micros(), &[(&name, text)])
}

fn iroh_question(key: &str) -> Vec<u8> {
    question(&format!("_iroh.{key}.{ORIGIN}"), RecordType::TXT)
}

async fn over_tcp(node: &Node, key: &str) -> Message {
    let answer = ask_tcp(node.addresses().dns, &iroh_question(key)).await;
    answer.expect("it answers")
}

/// The sum of the samples of a metric whose lines start so.
async fn metric(node: &Node, line_start: &str) -> Result<u64, String> {
    let metrics = node.admin("/metrics").await?.text();
    let values = metrics.lines().filter_map(|line| {
        let value = line.strip_prefix(line_start)?.rsplit(' ').next()?;
        value.parse::<u64>().ok()
    });
    Ok(values.sum())
}

async fn until_connected(nodes: &Nodes) {
    for node in nodes.iter() {
        until(
            "the DHT to be reached",
            CONVERGE_WITHIN,
            async || match metric(node, "quorate_dht_routing_nodes").await? {
                0 => Err("it is not".to_owned()),
                _ => Ok(()),
            },
        )
        .await;
    }
}

/// Checks that a node cannot tell whether this key has a packet, and says so.
async fn expect_no_answer(node: &Node, key: &str) {
    let answer = over_tcp(node, key).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    let answer = node.get(key).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.headers["cache-control"], "no-store");
}

async fn until_found(node: &Node, packet: &Packet) {
    until(
        "the DHT to be asked again",
        ROUNDS_WITHIN,
        async || match node.get(&packet.key).await.found() {
            Some(found) if found == packet.payload => Ok(()),
            found => Err(format!("{found:?}")),
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_dht_has_is_found_over_http_and_dns() {
    let network = Network::on_loopback().await;
    let plan = network.plan(1, "resolve", Ipv4Addr::LOCALHOST);
    let cluster = Cluster::start(plan).await;
    let node = cluster.node(1);
    until_connected(&cluster.nodes()).await;

    let packet = packet(&Keypair::random(), "from the DHT");
    let bobs = self::packet(&Keypair::random(), "bob");
    network.publish(&packet).await;
    network.publish(&bobs).await;

    let found = node.get(&packet.key).await;
    assert_eq!(found.found(), Some(&packet.payload[..]));
    assert_eq!(found.headers["quorate-source"], "dht");
    // It is known now, so a datagram is answered at once.
    let answer = ask_udp(node.addresses().dns, &iroh_question(&packet.key)).await;
    assert_eq!(texts(&answer.unwrap()), ["from the DHT"]);

    // A datagram whose source may be forged starts no lookup.
    let answer = ask_udp(node.addresses().dns, &iroh_question(&bobs.key)).await;
    let answer = answer.unwrap();
    assert!(
        answer.metadata.truncation && answer.answers.is_empty(),
        "{answer}"
    );
    assert_eq!(texts(&over_tcp(&node, &bobs.key).await), ["bob"]);

    // What nobody has published is absent.
    let nobody = Keypair::random().to_z32();
    let absent = over_tcp(&node, &nobody).await;
    assert_eq!(absent.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(node.get(&nobody).await.status, 404);
    let missing = node.expect_rejected(&["dht", "get", &nobody]).await;
    assert!(missing.contains("the DHT has no packet of"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_dht_dies_then_all_of_it_and_it_comes_back() {
    let mut network = Network::on_loopback().await;
    let plan = network.plan(1, "resolve", Ipv4Addr::LOCALHOST);
    let cluster = Cluster::start(plan).await;
    let node = cluster.node(1);
    until_connected(&cluster.nodes()).await;
    let packet = packet(&Keypair::random(), "survives");
    network.publish(&packet).await;
    network.kill_all_but(NETWORK_SIZE / 2);
    until_found(&node, &packet).await;

    network.kill_all_but(0);
    let unknown = Keypair::random();
    expect_no_answer(&node, &unknown.to_z32()).await;
    // What is stored is answered as before.
    let stored = self::packet(&unknown, "stored");
    node.put(&stored).await;
    assert_eq!(texts(&over_tcp(&node, &stored.key).await), ["stored"]);
    until("the node to notice", ROUNDS_WITHIN, async || {
        let _ = node.get(&Keypair::random().to_z32()).await;
        match metric(&node, "quorate_dht_routing_nodes").await? {
            0 => Ok(()),
            nodes => Err(format!("{nodes} nodes seem to be there")),
        }
    })
    .await;
    let ready = node.admin("/readyz").await.unwrap();
    assert_eq!(ready.text(), "ready\nthe DHT cannot be reached\n");

    network.restart();
    until_connected(&cluster.nodes()).await;
    let again = self::packet(&Keypair::random(), "again");
    network.publish(&again).await;
    until_found(&node, &again).await;
}

/// Publishing stops nobody, and what is published is found by another program.
#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_is_put_here_is_found_by_a_pkarr_client_over_the_dht() {
    let network = Network::on_loopback().await;
    let plan = network.plan(1, "resolve-and-publish", Ipv4Addr::LOCALHOST);
    let cluster = Cluster::start(plan).await;
    let node = cluster.node(1);
    until_connected(&cluster.nodes()).await;
    let keys = Keypair::random();
    let signed = greeting(&keys, "hello");
    let packet = Packet {
        key: keys.to_z32(),
        micros: signed.timestamp().as_u64(),
        payload: signed.to_relay_payload(),
    };
    node.put(&packet).await;
    until("it to be published", CONVERGE_WITHIN, async || {
        network.expect(&packet).await
    })
    .await;
    let mut builder = pkarr::Client::builder();
    builder.no_default_network().bootstrap(&network.addresses);
    builder.dht(|dht| {
        dht.bind_address = Some(Ipv4Addr::LOCALHOST);
        dht
    });
    let client = builder.build().expect("loopback has free ports");
    // It knows few nodes at first: its first queries may time out on a busy machine.
    let found = until("it to be found", CONVERGE_WITHIN, async || {
        let policy = pkarr::ResolvePolicy::NetworkOnly;
        let found = client.resolve(&keys.public_key(), policy).await;
        found.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(found.to_relay_payload(), packet.payload);

    // It counts when the last node has answered, and others have the packet by then.
    let status = until("it to be counted", CONVERGE_WITHIN, async || {
        let status = node.operate(&["dht", "status"]).await;
        let counted = status.contains("published  1 packets");
        counted.then_some(status.clone()).ok_or(status)
    })
    .await;
    assert!(
        status.contains("mode       resolve-and-publish"),
        "{status}"
    );
    let printed = node.operate(&["dht", "get", &packet.key]).await;
    assert!(printed.contains("hello"), "{printed}");
    let put = node.run(&["dht", "put", &packet.key]).await;
    assert!(
        put.stderr.contains("nodes of the DHT took the packet"),
        "{put:?}"
    );
}

/// An endpoint publishes elsewhere, and only the DHT has its packet. Another one finds it here.
#[tokio::test(flavor = "multi_thread")]
async fn iroh_endpoints_find_each_other_by_packets_of_the_dht() {
    let network = Network::on_loopback().await;
    let elsewhere = Cluster::start(voters(1)).await.node(1);
    let plan = network.plan(1, "resolve", Ipv4Addr::LOCALHOST);
    let cluster = Cluster::start(plan).await;
    let node = cluster.node(1);
    until_connected(&cluster.nodes()).await;
    let relay = elsewhere.url("/pkarr").parse().expect("it is a URL");
    let here = node.url("/pkarr").parse().expect("it is a URL");
    let server = node.addresses().dns;
    let nameserver = NameserverConfig::udp(server.ip()).with_port(server.port());
    let resolver = DnsResolver::builder()
        .add_nameserver_config(nameserver)
        .disable_fallback()
        .build();
    let alice = endpoint(relay).address_lookup(PkarrResolver::builder(here));
    let relay = elsewhere.url("/pkarr").parse().expect("it is a URL");
    let bob = endpoint(relay)
        .dns_resolver(resolver)
        .address_lookup(DnsAddressLookup::builder(ORIGIN.to_owned()));
    let (alice, bob) = (bind(alice).await, bind(bob).await);
    for endpoint in [&alice, &bob] {
        wait_until_published(&elsewhere, endpoint.id()).await;
        let key = endpoint.id().to_z32();
        let published = elsewhere.get(&key).await;
        let payload = published.found().expect("it is published").to_vec();
        let micros = payload[64..72].try_into().expect("eight bytes");
        let packet = Packet {
            key,
            micros: u64::from_be_bytes(micros),
            payload: payload.into(),
        };
        network.publish(&packet).await;
    }
    connect_both_ways(&alice, &bob).await;
}

/// Packets that nobody publishes again, a leader that dies in the middle of the round, and a member that
/// takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_published_although_members_change_within_the_round() {
    let network = Network::on_loopback().await;
    let plan = network.plan(3, "resolve-and-publish", Ipv4Addr::LOCALHOST);
    let cluster = Cluster::start(plan).await;
    until_connected(&cluster.nodes()).await;
    let packets: Vec<_> = (0..KEY_COUNT)
        .map(|number| packet(&Keypair::random(), &number.to_string()))
        .collect();
    let lines = packets.iter().map(|packet| {
        let payload = BASE64.encode(&packet.payload);
        format!("{{\"key\":\"{}\",\"payload\":\"{payload}\"}}\n", packet.key)
    });
    let file = cluster.dir().join("packets.json");
    fs::write(&file, lines.collect::<String>()).expect("the directory can be written");
    let leader = cluster.leader().await;
    let file = file.to_str().expect("the path is text");
    leader.operate(&["import", file]).await;

    let published = async |nodes: &Nodes| {
        let mut sum = 0;
        for node in nodes.iter() {
            let stored = "quorate_dht_publications_total{outcome=\"stored\"}";
            sum += metric(node, stored).await?;
        }
        Ok::<_, String>(sum)
    };
    until(
        "a part of the round",
        ROUNDS_WITHIN,
        async || match published(&cluster.nodes()).await? {
            20.. => Ok(()),
            count => Err(format!("{count} keys are published")),
        },
    )
    .await;
    leader.kill();
    let survivors = cluster.nodes().without(&leader);
    let new = cluster.machine();
    survivors.wait_for_leader().await;
    new.join(&survivors[0].invite(&[]).await);
    survivors[1].wait_until_known(&new).await;
    let replace = ["member", "replace", leader.id(), new.id()];
    survivors[1].operate(&replace).await;
    let nodes = survivors.with(&new);
    nodes.expect_to_be_the_voters().await;
    let network = Arc::new(network);
    let mut lookups = JoinSet::new();
    for packet in packets {
        let network = network.clone();
        // Each lookup takes its time.
        lookups.spawn(async move { while network.expect(&packet).await.is_err() {} });
    }
    let all = timeout(ROUNDS_WITHIN, lookups.join_all()).await;
    all.expect("every key is published");
    until(
        "the new member to take part",
        ROUNDS_WITHIN,
        async || match published(&[new.clone()].into_iter().collect()).await? {
            0 => Err("it publishes nothing".to_owned()),
            _ => Ok(()),
        },
    )
    .await;
}

/// The DHT is in a network of its own. The cable is pulled, and put back.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_between_the_node_and_the_dht_heals() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    let (here, there) = (namespace.here, namespace.there);
    let network = namespace.within(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .expect("a thread can be started")
            .block_on(Network::start(there, 30))
    });
    let cluster = Cluster::start(network.plan(1, "resolve", here)).await;
    let node = cluster.node(1);
    until_connected(&cluster.nodes()).await;
    let (before, after) = (
        packet(&Keypair::random(), "before"),
        packet(&Keypair::random(), "after"),
    );
    network.publish(&before).await;
    until_found(&node, &before).await;

    namespace.set_cable("down");
    expect_no_answer(&node, &Keypair::random().to_z32()).await;
    network.publish(&after).await;
    namespace.set_cable("up");
    until_found(&node, &after).await;
}
