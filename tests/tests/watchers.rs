//! Thousands of clients that wait for changes.

use std::net::SocketAddr;

use quorate_tests::{
    Cluster, Node, voters,
    wait::{CONVERGE_WITHIN, until},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The number of waiting clients, each with its own connection, if the system allows as many files.
const WATCHER_COUNT_MAX: usize = 10_000;

/// The memory that one of them may cost a node, in bytes of its resident set.
const WATCHER_SIZE_MAX: usize = 20 * 1024;

/// The number of client addresses, so that no limit of one client is reached.
const CLIENT_COUNT: usize = 50;

/// No wait times out during the test.
const PATIENT: &str = "[watch]\nwait_secs_max = 3600\n";

/// A waiting client, over HTTP/1.1.
struct Watcher(TcpStream);

impl Watcher {
    /// Sends a request for `path`, as client `number`.
    async fn open(node: &Node, number: usize, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("files are left");
        let client = [127, 0, 1, (number % CLIENT_COUNT) as u8];
        let bound = socket.bind(SocketAddr::from((client, 0)));
        bound.expect("loopback addresses are ours");
        let connected = socket.connect(node.addresses().http).await;
        let mut stream = connected.expect("the node takes connections");
        // As many fields as common clients send.
        let request = format!(
            "GET /pkarr/{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: a client of many (Linux; x86_64)\r\n\
             Accept: */*\r\nAccept-Encoding: gzip, br\r\n\r\n",
            node.addresses().http
        );
        let written = stream.write_all(request.as_bytes()).await;
        written.expect("the node takes requests");
        Self(stream)
    }

    /// Reads until this text has arrived.
    async fn expect(&mut self, text: &str) {
        let mut read = Vec::new();
        let all = async {
            while !String::from_utf8_lossy(&read).contains(text) {
                let size = self.0.read_buf(&mut read).await;
                assert!(size.expect("the node answers") > 0, "no {text}");
            }
        };
        timeout(CONVERGE_WITHIN, all).await.expect(text);
    }
}

/// How many clients can wait here: the system may allow fewer files, and both this process and the node
/// need some for other purposes.
fn watcher_count() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a process may open as many files as it may");
    let file_count = limit.current.map_or(usize::MAX, |count| count as usize);
    (file_count / 4).min(WATCHER_COUNT_MAX)
}

async fn wait_for_watchers(node: &Node, kind: &str, count: usize) {
    let line = format!("quorate_relay_watches_open{{kind=\"{kind}\"}} {count}");
    until(&line, CONVERGE_WITHIN, async || {
        let metrics = node.admin("/metrics").await?.text();
        let found = metrics.lines().any(|found| found == line);
        found.then_some(()).ok_or_else(|| {
            let watches = metrics.lines().filter(|line| line.contains("watches_"));
            watches.collect::<Vec<_>>().join("\n")
        })
    })
    .await;
}

/// Half of them wait for one change, half for all changes. Each receives only its own packet, and none of
/// them delays the stop of the node.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_watchers_take_little_memory() {
    // First, because the node inherits the limit of open files.
    let count = watcher_count();
    let cluster = Cluster::start(voters(1).with_config(PATIENT)).await;
    let node = cluster.node(1);
    let publishers = ["alice", "bob"].map(|name| cluster.publisher(name));
    // So that the cost of the first request is not counted.
    node.get(&publishers[0].key()).await;
    let keys: Vec<_> = (publishers.iter().map(|publisher| publisher.key()))
        .chain((2..count).map(|_| pkarr::Keypair::random().to_z32()))
        .collect();
    let before = node.resident_size();
    let mut watchers = Vec::with_capacity(count);
    for (number, key) in keys.iter().enumerate() {
        let path = match number % 2 {
            0 => format!("{key}?wait=3600s"),
            _ => format!("{key}/events"),
        };
        watchers.push(Watcher::open(&node, number, &path).await);
    }
    wait_for_watchers(&node, "wait", count / 2).await;
    wait_for_watchers(&node, "events", count - count / 2).await;
    let size = (node.resident_size() - before) / count;
    assert!(size <= WATCHER_SIZE_MAX, "{size} bytes each");

    let expected = ["application/pkarr.org", "event: stored"];
    for (number, publisher) in publishers.iter().enumerate() {
        publisher.put(&node, "told").await.expect_acked();
        watchers[number].expect(expected[number]).await;
    }
    wait_for_watchers(&node, "wait", count / 2 - 1).await;

    node.terminate().await;
    let log = node.log();
    assert!(!log.contains("cut off at the drain limit"), "{log}");
}
