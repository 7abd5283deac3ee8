//! Certificates that a cluster orders from a real authority, and the secrets of the cluster.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use quorate_tests::{
    Cluster, Node, ORIGIN, ports, voters,
    wait::{CONVERGE_WITHIN, until},
};
use reqwest::{Certificate, Client};
use serde_json::Value;

use crate::{
    authority::Authority,
    programs::{need, run},
};

/// How long an order may take on a busy machine, after its failures too.
const ORDER_WITHIN: Duration = Duration::from_secs(180);

/// A cluster that orders its certificate, with listeners for HTTPS and encrypted DNS on each node.
struct SecureCluster {
    authority: Authority,
    cluster: Cluster,
    root: String,
    root_file: PathBuf,
}

/// The addresses of a node's encrypted listeners.
#[derive(Clone, Copy)]
struct Encrypted {
    https: SocketAddr,
    tls: SocketAddr,
    quic: SocketAddr,
}

impl SecureCluster {
    async fn start(count: usize, delay: Duration) -> (Self, Vec<Encrypted>) {
        let authority = Authority::start(delay).await;
        let cluster = Cluster::prepare(&voters(count).with_config(&authority.settings()));
        let nodes = cluster.nodes();
        authority.ask(&nodes);
        let encrypted = nodes.iter().map(|node| Encrypted::of(node)).collect();
        nodes.start();
        nodes.wait_ready().await;
        let (root, root_file) = authority.root().await;
        let secure = Self {
            authority,
            cluster,
            root,
            root_file,
        };
        (secure, encrypted)
    }

    /// A client that trusts the authority and reaches `ORIGIN` at this address. It opens a new connection for
    /// each request.
    fn client(&self, https: SocketAddr) -> Client {
        let root = Certificate::from_pem(self.root.as_bytes()).expect("it is a certificate");
        let client = Client::builder().no_proxy().tls_certs_only([root]);
        let client = client.resolve(ORIGIN, https).pool_max_idle_per_host(0);
        client.build().expect("a client can be built")
    }

    async fn is_served(&self, at: Encrypted) -> Result<(), String> {
        let url = format!("https://{ORIGIN}:{}/healthz", at.https.port());
        let answer = self.client(at.https).get(url).send().await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        answer
            .error_for_status()
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Waits until all nodes serve the certificate with this serial number.
    async fn expect_served(&self, all: &[Encrypted], serial: &str) {
        until(
            "all to serve the certificate",
            CONVERGE_WITHIN,
            async || {
                for at in all {
                    let served = self.served_serial(*at);
                    if served != serial {
                        return Err(format!("{served} and not {serial}"));
                    }
                }
                Ok(())
            },
        )
        .await;
    }

    /// The serial number of the certificate that a node shows, in lower case.
    fn served_serial(&self, at: Encrypted) -> String {
        let output = Command::new(need("openssl", "openssl"))
            .args([
                "s_client",
                "-connect",
                &at.https.to_string(),
                "-servername",
                ORIGIN,
            ])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("openssl can be started");
        let mut command = Command::new(need("openssl", "openssl"));
        command.args(["x509", "-noout", "-serial"]);
        let shown = piped(command, &output.stdout);
        let serial = shown.trim().trim_start_matches("serial=");
        serial.trim_start_matches('0').to_lowercase()
    }
}

/// The output of a program with this input.
fn piped(mut command: Command, input: &[u8]) -> String {
    use std::{io::Write, process::Stdio};
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command
        .stderr(Stdio::null())
        .spawn()
        .expect("it can be started");
    // A program that ends early does not read everything.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Encrypted {
    /// Lets a node that is not started listen for encrypted connections.
    fn of(node: &Node) -> Self {
        let [https, tls, quic] = std::array::from_fn(|_| ports::take_address());
        let listen = [
            ("QUORATE_HTTP_TLS_LISTEN", https),
            ("QUORATE_DNS_TLS_LISTEN", tls),
            ("QUORATE_DNS_QUIC_LISTEN", quic),
        ];
        node.set_environment(listen.map(|(name, at)| (name.to_owned(), at.to_string())));
        Self { https, tls, quic }
    }
}

pub(crate) async fn status(node: &Node) -> Result<Value, String> {
    let answer = node.admin("/v1/certificate").await?;
    serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
}

/// The serial number of the certificate that a node has, in lower case without leading zeros.
fn serial_in(status: &Value) -> Option<String> {
    let serial = status["certificate"]["serial"].as_str()?;
    let serial: String = serial.chars().filter(|c| *c != ':').collect();
    Some(serial.trim_start_matches('0').to_lowercase())
}

/// Waits for a certificate with another serial number, and until its order is over. Returns the number.
pub(crate) async fn next_certificate(node: &Node, before: Option<&str>) -> String {
    until("a certificate", ORDER_WITHIN, async || {
        let status = status(node).await?;
        let serial = serial_in(&status).filter(|serial| Some(serial.as_str()) != before);
        let is_over = status["order"].is_null();
        serial.filter(|_| is_over).ok_or_else(|| status.to_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_serve_a_certificate_from_an_empty_start() {
    let (secure, mut encrypted) = SecureCluster::start(3, Duration::ZERO).await;
    let nodes = secure.cluster.nodes();
    let serial = next_certificate(&nodes[0], None).await;
    for node in nodes.iter() {
        assert_eq!(next_certificate(node, None).await, serial);
    }
    // One that joins later serves it too.
    let late = secure.cluster.machine();
    encrypted.push(Encrypted::of(&late));
    late.join(&nodes[0].invite(&[]).await);
    nodes[0].wait_for_role(&late, "voter").await;
    secure.expect_served(&encrypted, &serial).await;
    let authority = format!("+tls-ca={}", secure.root_file.display());
    let hostname = format!("+tls-hostname={}", ORIGIN.trim_end_matches('.'));
    for at in &encrypted {
        secure.is_served(*at).await.expect("clients trust it");
        for (server, transport) in [(at.tls, "+tls"), (at.quic, "+quic"), (at.https, "+https")] {
            let output = run(Command::new(need("kdig", "knot-dnsutils"))
                .args([
                    &format!("@{}", server.ip()),
                    "-p",
                    &server.port().to_string(),
                ])
                .args([&authority, &hostname, "+short", transport, ORIGIN, "SOA"]));
            assert!(output.contains(ORIGIN), "{transport}: {output}");
        }
    }
    let shown = nodes[1].operate(&["certificate", "show"]).await;
    assert!(shown.starts_with("-----BEGIN CERTIFICATE-----"), "{shown}");
    let text = nodes[2].operate(&["certificate", "status"]).await;
    assert!(text.contains("valid until"), "{text}");
    // The records that proved it are gone.
    let listed = nodes[0].operate(&["zone", "list", ORIGIN]).await;
    assert!(!listed.contains("_acme-challenge"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_a_certificate_is_renewed() {
    let (secure, encrypted) = SecureCluster::start(3, Duration::ZERO).await;
    let nodes = secure.cluster.nodes();
    let mut serial = next_certificate(&nodes[0], None).await;
    secure.expect_served(&encrypted, &serial).await;
    let secure = Arc::new(secure);
    let (is_over, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let load = encrypted.iter().map(|at| {
        let (secure, at) = (secure.clone(), *at);
        let (is_over, count) = (is_over.clone(), count.clone());
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                secure.is_served(at).await.expect("no request fails");
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let load: Vec<_> = load.collect();
    for node in nodes.iter() {
        node.operate(&["certificate", "renew"]).await;
        serial = next_certificate(node, Some(&serial)).await;
        secure.expect_served(&encrypted, &serial).await;
    }
    is_over.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("no request fails");
    }
    assert!(count.load(Ordering::Relaxed) > 0);
}

/// The next leader goes on with the order. The authority takes seconds to validate, so that the leader is killed
/// while it waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_leaves_its_order_to_the_next_one() {
    let (secure, _) = SecureCluster::start(3, Duration::from_secs(3)).await;
    let nodes = secure.cluster.nodes();
    let mut serial = next_certificate(&nodes[0], None).await;
    for step in ["created", "records_set", "challenges_ready"] {
        let leader = secure.cluster.leader().await;
        let other = nodes.without(&leader)[0].clone();
        other.operate(&["certificate", "renew"]).await;
        let order = until("the order to get there", ORDER_WITHIN, async || {
            let status = status(&other).await?;
            let order = &status["order"];
            let reached = order["step"]
                .as_str()
                .is_some_and(|now| now >= step || now == "challenges_ready");
            reached
                .then(|| order.clone())
                .ok_or_else(|| status.to_string())
        })
        .await;
        leader.kill();
        let next = next_certificate(&other, Some(&serial)).await;
        assert_ne!(next, serial, "{order}");
        serial = next;
        leader.start();
        nodes.wait_ready().await;
    }
    assert_eq!(secure.authority.accounts_and_orders(), [1, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_all_restart_go_on_with_the_order() {
    let (secure, encrypted) = SecureCluster::start(3, Duration::from_secs(3)).await;
    let nodes = secure.cluster.nodes();
    until("an order that waits", ORDER_WITHIN, async || {
        let status = status(&nodes[0]).await?;
        let waits = status["order"]["step"] == "challenges_ready";
        waits.then_some(()).ok_or_else(|| status.to_string())
    })
    .await;
    nodes.kill();
    nodes.start();
    nodes.wait_ready().await;
    let serial = next_certificate(&nodes[0], None).await;
    secure.expect_served(&encrypted, &serial).await;
    assert_eq!(secure.authority.accounts_and_orders(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_node_costs_the_certificate_and_its_key() {
    let (secure, encrypted) = SecureCluster::start(3, Duration::ZERO).await;
    let nodes = secure.cluster.nodes();
    let before = next_certificate(&nodes[0], None).await;
    let leader = secure.cluster.leader().await;
    let others = nodes.without(&leader);
    let key = |node: &Node| fs::read(node.data_dir().join("cluster.key")).expect("it has a key");
    let old_key = key(&others[1]);
    leader
        .operate(&["member", "remove", "--compromised", others[0].id()])
        .await;
    others[0].terminate().await;
    let after = next_certificate(&leader, Some(&before)).await;
    let stay: Vec<_> = nodes
        .iter()
        .zip(&encrypted)
        .filter(|(node, _)| node.id() != others[0].id())
        .map(|(_, at)| *at)
        .collect();
    secure.expect_served(&stay, &after).await;
    until("the old one to be revoked", ORDER_WITHIN, async || {
        let status = secure.authority.status_of(&before).await;
        status.contains("Revoked").then_some(()).ok_or(status)
    })
    .await;
    assert_ne!(key(&others[1]), old_key);
    assert_eq!(key(&others[0]), old_key, "the removed node gets no new one");
}

/// Everything that a node writes, sends to operators or backs up is searched for its cluster key.
#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_key_is_in_its_file_and_nowhere_else() {
    let (secure, _) = SecureCluster::start(3, Duration::ZERO).await;
    let nodes = secure.cluster.nodes();
    next_certificate(&nodes[0], None).await;
    nodes[0].operate(&["cluster", "rotate-key"]).await;
    let late = secure.cluster.join(&nodes[0]).await;
    until("the key to be there", CONVERGE_WITHIN, async || {
        let file = fs::read_to_string(late.data_dir().join("cluster.key"));
        file.map(drop).map_err(|error| error.to_string())
    })
    .await;
    let backup = secure.cluster.dir().join("backup");
    let backup_arg = backup.to_str().expect("it is a text");
    nodes[1]
        .operate(&["backup", "save", "-o", backup_arg])
        .await;
    let mut shown = String::new();
    for args in [
        &["status"][..],
        &["member", "list"],
        &["certificate", "status"],
        &["certificate", "status", "--json"],
        &["cluster", "show"],
        &["zone", "list", ORIGIN],
        &["backup", "inspect", backup_arg],
    ] {
        shown += &nodes[1].operate(args).await;
    }
    for path in [
        "/metrics",
        "/v1/status",
        "/v1/digest",
        "/v1/certificate",
        "/v1/members",
    ] {
        let answer = nodes[1].admin(path).await.expect("it answers");
        shown += &String::from_utf8_lossy(&answer.body);
    }
    nodes.terminate().await;
    let text = fs::read_to_string(nodes[1].data_dir().join("cluster.key")).expect("it has keys");
    let keys: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!keys.is_empty());
    for key in keys.iter().map(|line| line.trim_end_matches(" used")) {
        assert!(!shown.to_lowercase().contains(key));
        let raw: Vec<u8> = (0..key.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&key[at..at + 2], 16).expect("it is hexadecimal"))
            .collect();
        for bytes in [key.as_bytes(), &raw] {
            let found = files_with(secure.cluster.dir(), bytes);
            let are_key_files = found.iter().all(|file| file.ends_with("cluster.key"));
            assert!(are_key_files, "{found:?}");
        }
    }
}

/// The files below `dir` that have these bytes.
fn files_with(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("it can be listed");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let found = paths.flat_map(|path| match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => files_with(&path, bytes),
        Ok(found) if found.is_file() => {
            let file = fs::read(&path).expect("it can be read");
            let has = file.windows(bytes.len()).any(|found| found == bytes);
            has.then_some(path).into_iter().collect()
        }
        _ => Vec::new(),
    });
    found.collect()
}
