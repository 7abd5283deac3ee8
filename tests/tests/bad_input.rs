//! Invalid requests to the relay: each kind gets its answer, and none does harm.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use pkarr::Keypair;
use quorate_tests::{
    Answer, Cluster, Node, ORIGIN, Packet, dns,
    packet::{garbage, now_micros, sign, sign_txt},
    voters,
};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const Z32_ALPHABET: &str = "ybndrfg8ejkmcpqxot1uwisza345h769";

/// A DNS response without records.
const EMPTY_DNS: [u8; 12] = [0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The largest packet that a relay accepts: signature, timestamp and 1000 bytes of DNS.
const PAYLOAD_SIZE_MAX: usize = 1072;

const MINUTE_MICROS: u64 = 60 * 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn malformed_keys_are_rejected() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let packet = cluster.publisher("alice").packet("here");
    let key = &packet.key;
    let no_point = keys_bytes_as_z32(&[2; 32]);
    for bad in [&key[..51], &format!("{}%ff", &key[..51])] {
        expect_rejected(&node.put_bytes(bad, packet.payload.clone()).await, 400);
        assert_eq!(node.get(bad).await.status, 400, "GET of {bad}");
    }
    expect_rejected(
        &node.put_bytes(&no_point, packet.payload.clone()).await,
        400,
    );
    assert_eq!(
        node.get(&no_point).await.status,
        404,
        "nobody can publish it"
    );
    expect_nothing_stored(&node).await;
}

/// The last symbol of a key has four unused bits, so 16 strings name each key. Every node treats them
/// as the same key.
#[tokio::test(flavor = "multi_thread")]
async fn an_alias_of_a_key_is_that_key_on_every_node() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let key = alice.key();
    for node in cluster.nodes().iter() {
        let packet = alice.packet(&format!("put at {}", node.name()));
        let answer = node.put_bytes(&alias(&key), packet.payload.clone()).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert_eq!(node.get(&key).await.found(), Some(&*packet.payload));
        assert_eq!(node.get(&alias(&key)).await.found(), Some(&*packet.payload));
    }
    let digest = cluster.nodes().expect_converged().await;
    assert_eq!(digest.packet_count, 1, "they are one key");
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_and_oversized_bodies_are_rejected() {
    let cluster = Cluster::start(voters(1)).await;
    let (node, alice) = (cluster.node(1), cluster.publisher("alice"));
    let packet = alice.packet("whole");
    let cut = packet.payload.slice(..packet.payload.len() - 1);
    expect_rejected(&node.put_bytes(&packet.key, cut).await, 400);
    for size in [PAYLOAD_SIZE_MAX + 1, 1024 * 1024] {
        let answer = node.put_bytes(&packet.key, garbage(7, size)).await;
        expect_rejected(&answer, 413);
    }
    expect_nothing_stored(&node).await;

    let largest = packet_of_size(alice.keys(), PAYLOAD_SIZE_MAX);
    assert_eq!(
        node.put_bytes(&largest.key, largest.payload.clone())
            .await
            .status,
        204
    );
    assert_eq!(
        node.get(&largest.key).await.found(),
        Some(&*largest.payload)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_signatures_are_rejected() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let (alice, bob) = (cluster.publisher("alice"), cluster.publisher("bob"));
    let packet = alice.packet("mine");
    let mut forged = packet.payload.to_vec();
    forged[0] ^= 1;
    expect_rejected(&node.put_bytes(&packet.key, forged).await, 400);
    expect_rejected(
        &node.put_bytes(&bob.key(), packet.payload.clone()).await,
        400,
    );
    expect_nothing_stored(&node).await;
    alice.put_packet(&node, &packet).await.expect_acked();
}

/// Bytes that a key has signed and that are no DNS message.
#[tokio::test(flavor = "multi_thread")]
async fn undecodable_dns_messages_are_rejected() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let process = node.process_id();
    let keys = Keypair::random();
    let claims_a_question = [0, 0, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    // Twelve bytes that make a careless parser reserve megabytes.
    let claims_everything = [0, 0, 0x84, 0, 255, 255, 255, 255, 255, 255, 255, 255];
    // A name that points to itself.
    let loops = [&claims_a_question[..], &[0xc0, 12, 0, 16, 0, 1]].concat();
    for dns in [claims_everything.to_vec(), loops, garbage(1, 300)] {
        let packet = sign(&keys, now_micros(), &dns);
        let answer = node.put_bytes(&packet.key, packet.payload).await;
        assert_eq!(answer.status, 400, "{dns:?}");
    }
    node.expect_unharmed(process).await;
    expect_nothing_stored(&node).await;
}

/// A key may sign anything about other keys: it is stored as signed, and only what is in its own zone
/// is served.
#[tokio::test(flavor = "multi_thread")]
async fn records_outside_the_signers_zone_are_not_served() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let (mallory, victim) = (Keypair::random(), cluster.publisher("victim"));
    victim.put(&node, "the truth").await.expect_acked();
    let own = mallory.to_z32();
    let lies = [
        (format!("_iroh.{own}."), "own"),
        (format!("_iroh.{}.", victim.key()), "a lie"),
        (format!("{}.", victim.key()), "a lie"),
        ("lie.".to_owned(), "a lie"),
        (ORIGIN.to_owned(), "a lie"),
        ("example.org.".to_owned(), "a lie"),
        (format!("x{own}."), "a lie"),
        (".".to_owned(), "a lie"),
    ];
    let records: Vec<_> = lies
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    let packet = sign_txt(&mallory, now_micros(), &records);
    assert_eq!(
        node.put_bytes(&own, packet.payload.clone()).await.status,
        204
    );

    assert_eq!(
        node.get(&own).await.found(),
        Some(&*packet.payload),
        "as it was signed"
    );
    assert_eq!(node.texts(&own).await, ["own"]);
    assert_eq!(node.texts(&victim.key()).await, ["the truth"]);
    for name in [
        format!("{}.{ORIGIN}", victim.key()),
        format!("lie.{ORIGIN}"),
        format!("lie.{own}.{ORIGIN}"),
        format!("example.org.{own}.{ORIGIN}"),
        format!("{own}.{ORIGIN}"),
        ORIGIN.to_owned(),
        "example.org.".to_owned(),
    ] {
        let answer = node.ask(&name, RecordType::TXT).await;
        assert_eq!(dns::texts(&answer), [""; 0], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_too_far_ahead_are_rejected() {
    let cluster = Cluster::start(voters(3)).await;
    for node in [cluster.leader().await, cluster.follower().await] {
        let keys = Keypair::random();
        for micros in [
            u64::MAX,
            u64::MAX - 1,
            1 << 63,
            now_micros() + 20 * MINUTE_MICROS,
        ] {
            let packet = sign(&keys, micros, &EMPTY_DNS);
            expect_rejected(&node.put_bytes(&packet.key, packet.payload).await, 400);
        }
        assert_eq!(node.get(&keys.to_z32()).await.status, 404);
        // A slightly fast clock is accepted, and any slow one.
        for micros in [0, 1, now_micros() + 5 * MINUTE_MICROS] {
            let packet = sign(&keys, micros, &EMPTY_DNS);
            assert_eq!(
                node.put_bytes(&packet.key, packet.payload).await.status,
                204,
                "{micros}"
            );
        }
    }
    cluster.nodes().expect_converged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_packets_conflict_and_ties_go_to_the_larger() {
    let cluster = Cluster::start(voters(3)).await;
    let keys = Keypair::random();
    let now = now_micros();
    let name = format!("_iroh.{}.", keys.to_z32());
    let signed = |micros, text| sign_txt(&keys, micros, &[(&name, text)]);
    let (older, smaller, larger) = (signed(now - 1, "z"), signed(now, "a"), signed(now, "b"));
    let put = async |node: &Node, packet: &Packet| {
        node.put_bytes(&packet.key, packet.payload.clone())
            .await
            .status
    };

    let leader = cluster.leader().await;
    for (node, first) in [(leader.clone(), true), (cluster.follower().await, false)] {
        // A node decides by what it has applied: identical bytes that it still stores are accepted.
        let applied = leader.status().await.expect("it lives").applied_index;
        node.wait_applied(applied).await;
        let smaller_status = if first { 204 } else { 409 };
        assert_eq!(
            put(&node, &smaller).await,
            smaller_status,
            "the smaller at {}",
            node.name()
        );
        assert_eq!(
            put(&node, &older).await,
            409,
            "the older at {}",
            node.name()
        );
        assert_eq!(
            put(&node, &larger).await,
            204,
            "the larger at {}",
            node.name()
        );
        assert_eq!(
            put(&node, &smaller).await,
            409,
            "the smaller again at {}",
            node.name()
        );
    }
    cluster.nodes().expect_converged().await;
    for node in cluster.nodes().iter() {
        assert_eq!(node.get(&larger.key).await.found(), Some(&*larger.payload));
    }
}

/// Most writes of endpoints are refreshes, so these must not reach the log.
#[tokio::test(flavor = "multi_thread")]
async fn identical_bytes_cost_no_raft_entry() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let packet = alice.packet("the same");
    alice
        .put_packet(&cluster.node(1), &packet)
        .await
        .expect_acked();
    cluster.nodes().wait_agreed().await;
    cluster.nodes().expect_converged().await;

    let last_log_index = async || {
        let statuses = cluster.nodes().statuses().await.expect("all nodes live");
        statuses
            .iter()
            .map(|status| status.last_log_index)
            .collect::<Vec<_>>()
    };
    let before = last_log_index().await;
    for node in cluster.nodes().iter() {
        for _ in 0..10 {
            alice.put_packet(node, &packet).await.expect_acked();
        }
    }
    assert_eq!(last_log_index().await, before);
    // The metric changes when something is stored.
    alice.put(&cluster.node(1), "another").await.expect_acked();
    assert_ne!(last_log_index().await, before);
}

/// A client that writes too often gets `Retry-After`; reads and preflights use up no limit.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_puts_are_limited_and_reads_are_not() {
    const BURST: u32 = 20;

    let cluster = Cluster::start(voters(1).put_burst(BURST)).await;
    let (node, alice) = (cluster.node(1), cluster.publisher("alice"));
    let mut limited = None;
    for _ in 0..2 * BURST {
        let packet = alice.packet("again");
        let answer = node.put_bytes(&packet.key, packet.payload).await;
        match answer.status {
            204 => assert!(limited.is_none(), "a burst is followed by nothing at once"),
            _ => limited = Some(answer),
        }
    }
    let limited = limited.expect("twice the burst is too much");
    expect_rejected(&limited, 429);
    let after = limited.headers["retry-after"].to_str().expect("it is text");
    assert!(after.parse::<u64>().expect("it is a number of seconds") > 0);

    assert_eq!(node.get(&alice.key()).await.status, 200);
    let preflight = node
        .client()
        .request(Method::OPTIONS, node.url(&format!("/{}", alice.key())));
    let preflight = node
        .send(preflight.header("access-control-request-method", "PUT"))
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.headers["access-control-allow-origin"], "*");
}

/// Bytes that are no HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_over_http_does_no_harm() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let process = node.process_id();
    for address in [node.addresses().http, node.addresses().admin] {
        for seed in 1..=4 {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            // It may close the connection before it has read everything.
            let _ = stream.write_all(&garbage(seed, 500 * seed as usize)).await;
            let _ = stream.shutdown().await;
            let answer = read_to_end(&mut stream).await;
            assert!(
                !answer.starts_with(b"HTTP/1.1 2"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
    node.expect_unharmed(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_over_udp_does_no_harm() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let process = node.process_id();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    socket
        .connect(node.addresses().dns)
        .await
        .expect("an address");
    for seed in 1..=500 {
        socket
            .send(&garbage(seed, 12 + (seed as usize * 7) % 1400))
            .await
            .expect("it is sent");
    }
    let question = dns::question(ORIGIN, RecordType::A);
    let answer = dns::ask_udp(node.addresses().dns, &question)
        .await
        .expect("an answer");
    assert_eq!(answer.answers.len(), 1);
    node.expect_unharmed(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_over_tcp_dns_does_no_harm() {
    let cluster = Cluster::start(voters(1)).await;
    let node = cluster.node(1);
    let process = node.process_id();
    let framed = |bytes: Vec<u8>| [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
    let cut = [&[0xff, 0xff][..], &garbage(1, 100)].concat();
    for bytes in [vec![], cut, garbage(2, 3000), framed(garbage(3, 1000))] {
        let mut stream = TcpStream::connect(node.addresses().dns)
            .await
            .expect("it listens");
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        read_to_end(&mut stream).await;
    }
    let question = dns::question(ORIGIN, RecordType::A);
    let answer = dns::ask_tcp(node.addresses().dns, &question)
        .await
        .expect("an answer");
    assert_eq!(answer.answers.len(), 1);
    node.expect_unharmed(process).await;
}

/// Reads until the node closes the connection, which it must within seconds.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    // A reset is an end too.
    let _ = read.expect("the node closes the connection once we have sent everything");
    answer
}

#[track_caller]
fn expect_rejected(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(!answer.body.is_empty(), "it says why");
    let origin = answer.headers.get("access-control-allow-origin");
    assert_eq!(
        origin.map(|value| value.as_bytes()),
        Some(&b"*"[..]),
        "browsers may read why"
    );
}

async fn expect_nothing_stored(node: &Node) {
    assert_eq!(node.digest().await.expect("it lives").packet_count, 0);
}

/// Another string that decodes to the same key.
fn alias(key: &str) -> String {
    let (front, last) = key.split_at(51);
    let index = Z32_ALPHABET.find(last).expect("a key is z-base-32");
    // 52 symbols hold 260 bits: of the last one only the highest of five counts.
    let other = (index & 16) | ((index + 1) & 15);
    format!("{front}{}", &Z32_ALPHABET[other..=other])
}

fn keys_bytes_as_z32(key: &[u8; 32]) -> String {
    let mut specification = data_encoding::Specification::new();
    specification.symbols.push_str(Z32_ALPHABET);
    specification
        .encoding()
        .expect("32 symbols are an encoding")
        .encode(key)
}

/// A packet of exactly this size: TXT records filled up.
fn packet_of_size(keys: &Keypair, size: usize) -> Packet {
    let name = format!("_iroh.{}.", keys.to_z32());
    let texts: Vec<String> = vec!["x".repeat(200); 4];
    let signed = |last: usize| {
        let last = "y".repeat(last);
        let texts = texts
            .iter()
            .chain([&last])
            .map(|text| (name.as_str(), text.as_str()));
        sign_txt(keys, now_micros(), &texts.collect::<Vec<_>>())
    };
    let missing = size - signed(0).payload.len();
    let packet = signed(missing);
    assert_eq!(packet.payload.len(), size);
    packet
}
