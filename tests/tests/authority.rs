//! A real certificate authority for tests: pebble, which asks all nodes of a cluster in turn.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use quorate_tests::{Nodes, ports, wait::START_WITHIN, wait::until};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client};
use tempfile::TempDir;
use tokio::{net::UdpSocket, task::JoinHandle, time::timeout};

use crate::programs::need;

/// How long a node may take to answer a forwarded question.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// The largest datagram that is forwarded.
const DATAGRAM_SIZE_MAX: usize = 4096;

/// The authority. Its process ends with this value.
pub(crate) struct Authority {
    process: Child,
    resolver: Resolver,
    directory: SocketAddr,
    management: SocketAddr,
    client: Client,
    dir: TempDir,
}

impl Authority {
    /// Starts it. It validates each challenge after `delay`, and its certificates are valid for six days.
    pub(crate) async fn start(delay: Duration) -> Self {
        let dir = TempDir::new().expect("a temporary directory can be created");
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost", "127.0.0.1"].map(str::to_owned))
                .expect("it needs nothing");
        let [certificate, key] = ["tls.pem", "tls.key"].map(|file| dir.path().join(file));
        fs::write(&certificate, cert.pem()).expect("the file can be written");
        fs::write(&key, signing_key.serialize_pem()).expect("the file can be written");
        fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("the file is ours");
        let resolver = Resolver::start().await;
        let [directory, management] = [(); 2].map(|()| ports::take_address());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": directory.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": 1,
            "tlsPort": 1,
            "certificateValidityPeriod": 6 * 24 * 3600,
            "profiles": { "default": { "description": "", "validityPeriod": 6 * 24 * 3600 } },
        }});
        let config_file = dir.path().join("pebble.json");
        fs::write(&config_file, config.to_string()).expect("the file can be written");
        let log = File::create(dir.path().join("log")).expect("the file can be written");
        let process = Command::new(need("pebble", "pebble"))
            .arg("-config")
            .arg(&config_file)
            .args(["-dnsserver", &resolver.address.to_string()])
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0")
            .envs(match delay.as_secs() {
                0 => [("PEBBLE_VA_NOSLEEP", "1".to_owned())],
                secs => [("PEBBLE_VA_SLEEPTIME", secs.to_string())],
            })
            .stdout(log.try_clone().expect("it is open"))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("pebble can be started");
        let root = Certificate::from_der(cert.der()).expect("it is a certificate");
        let client = Client::builder().no_proxy().tls_certs_only([root]);
        let authority = Self {
            process,
            resolver,
            directory,
            management,
            client: client.build().expect("a client can be built"),
            dir,
        };
        until("the authority to start", START_WITHIN, async || {
            authority.managed("roots/0").await.map(drop)
        })
        .await;
        authority
    }

    /// The section of a configuration that orders from it.
    pub(crate) fn settings(&self) -> String {
        let (directory, root) = (self.directory, self.dir.path().join("tls.pem"));
        format!(
            "\n[tls.acme]\ndirectory = \"https://{directory}/dir\"\nroot_file = {root:?}\n\
             contact = [\"mailto:hostmaster@example.org\"]\n"
        )
    }

    /// From now on it asks these nodes, one after the other.
    pub(crate) fn ask(&self, nodes: &Nodes) {
        let addresses = nodes.iter().map(|node| node.addresses().dns);
        *self.resolver.servers.lock().expect("no test panics there") = addresses.collect();
    }

    /// The root of its certificates, in PEM, and its file.
    pub(crate) async fn root(&self) -> (String, PathBuf) {
        let pem = self.managed("roots/0").await.expect("it has a root");
        let file = self.dir.path().join("root.pem");
        fs::write(&file, &pem).expect("the file can be written");
        (pem, file)
    }

    /// Whether a certificate is valid or revoked.
    pub(crate) async fn status_of(&self, serial: &str) -> String {
        let path = format!("cert-status-by-serial/{serial}");
        self.managed(&path).await.expect("it has issued it")
    }

    /// How many accounts and how many orders it was asked for.
    pub(crate) fn accounts_and_orders(&self) -> [usize; 2] {
        let log = fs::read_to_string(self.dir.path().join("log")).expect("it writes a log");
        ["/sign-me-up", "/order-plz"].map(|path| log.matches(&format!("POST {path} ")).count())
    }

    async fn managed(&self, path: &str) -> Result<String, String> {
        let url = format!("https://{}/{path}", self.management);
        let answer = self.client.get(url).send().await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let answer = answer
            .error_for_status()
            .map_err(|error| error.to_string())?;
        answer.text().await.map_err(|error| error.to_string())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // It is our own child, and nothing can be done if it cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
        [self.directory, self.management]
            .into_iter()
            .for_each(ports::give_back);
    }
}

/// Forwards each question to another server than the one before. Authorities ask from several places.
struct Resolver {
    address: SocketAddr,
    servers: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Resolver {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let servers = Arc::<Mutex<Vec<SocketAddr>>>::default();
        Self {
            address: socket.local_addr().expect("it is bound"),
            task: tokio::spawn(forward_all(Arc::new(socket), servers.clone())),
            servers,
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward_all(socket: Arc<UdpSocket>, servers: Arc<Mutex<Vec<SocketAddr>>>) {
    let mut question = [0; DATAGRAM_SIZE_MAX];
    for turn in 0.. {
        let Ok((size, client)) = socket.recv_from(&mut question).await else {
            return;
        };
        let mut servers = servers.lock().expect("no test panics there").clone();
        let first = turn % servers.len().max(1);
        servers.rotate_left(first);
        let (socket, question) = (socket.clone(), question[..size].to_vec());
        tokio::spawn(async move {
            // As other resolvers, it asks the next server if one is down.
            for server in servers {
                if let Ok(Ok(answer)) = timeout(ANSWER_TIMEOUT, exchange(server, &question)).await {
                    let _ = socket.send_to(&answer, client).await;
                    return;
                }
            }
        });
    }
}

async fn exchange(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; DATAGRAM_SIZE_MAX];
    let size = socket.recv(&mut answer).await?;
    answer.truncate(size);
    Ok(answer)
}
