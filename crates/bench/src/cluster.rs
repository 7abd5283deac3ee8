//! A cluster of three real processes on loopback, ended and removed when it is dropped.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{http, measure::Servers, relay_url::RelayUrl};

/// Nodes of the cluster: the fewest that survive the loss of one.
const NODE_COUNT: usize = 3;

/// The zone that the nodes serve.
pub(crate) const ORIGIN: &str = "quorate.test.";

/// How long the nodes may take to be ready, and to agree on a leader.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often they are asked.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// How much of a log is shown when a node fails, from its end, in bytes.
const SHOWN_LOG_SIZE: usize = 4096;

/// How often a free port is looked for before giving up.
const PORT_TRIES: usize = 100;

/// The processes and their directory.
pub(crate) struct Cluster {
    // Dropped in this order: the processes end before their files go.
    nodes: Vec<Node>,
    dir: TempDir,
}

/// A node, running.
pub(crate) struct Node {
    pub(crate) number: usize,
    ports: Ports,
    log: PathBuf,
    process: Child,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
struct Ports {
    http: SocketAddr,
    dns: SocketAddr,
    peer: SocketAddr,
    admin: SocketAddr,
}

impl Cluster {
    /// Starts `program` three times with data in a new directory below `dir`, and waits until every
    /// node is ready.
    pub(crate) async fn start(program: &Path, dir: &Path) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("quorate-bench-", dir)
            .with_context(|| format!("no directory can be made in {}", dir.display()))?;
        let ports = free_ports().context("there are no free ports")?;
        let lines = ports
            .iter()
            .enumerate()
            .map(|(at, ports)| init(program, &node_dir(&dir, at + 1), ports.peer))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut cluster = Self {
            nodes: Vec::new(),
            dir,
        };
        for (at, ports) in ports.into_iter().enumerate() {
            let number = at + 1;
            let dir = node_dir(&cluster.dir, number);
            let config = dir.join("config.toml");
            fs::write(&config, config_text(&dir, ports, &lines))
                .with_context(|| format!("{} cannot be written", config.display()))?;
            let log = dir.join("log.txt");
            let process = serve(program, &config, &log)?;
            cluster.nodes.push(Node {
                number,
                ports,
                log,
                process,
            });
        }
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    /// Where its data is.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Whose cost is measured: the leader's first.
    pub(crate) async fn servers(&mut self) -> anyhow::Result<Servers> {
        let leader = self.wait_for_leader().await?;
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.rotate_left(leader);
        Ok(Servers {
            ids: nodes.iter().map(|node| node.id()).collect(),
            admins: nodes.iter().map(|node| node.ports.admin).collect(),
        })
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The leader and a follower, once a node says that it leads.
    pub(crate) async fn leader_and_follower(&mut self) -> anyhow::Result<(&Node, &Node)> {
        let leader = self.wait_for_leader().await?;
        let follower = (leader + 1) % self.nodes.len();
        Ok((&self.nodes[leader], &self.nodes[follower]))
    }

    async fn wait_for_leader(&mut self) -> anyhow::Result<usize> {
        self.wait("a leader", async |cluster| cluster.leader_now().await)
            .await
    }

    async fn leader_now(&self) -> Result<usize, String> {
        for (at, node) in self.nodes.iter().enumerate() {
            let (_, status) =
                http::fetch(node.ports.admin, "/v1/status")
                    .await
                    .map_err(|error| {
                        format!("node {}: {:#}", node.number, anyhow::Error::new(error))
                    })?;
            let status: serde_json::Value =
                serde_json::from_str(&status).map_err(|error| format!("{error}: {status}"))?;
            if status["role"] == "leader" {
                return Ok(at);
            }
        }
        Err("no node leads".to_owned())
    }

    async fn wait_ready(&mut self) -> anyhow::Result<()> {
        self.wait("the nodes to be ready", async |cluster| {
            for node in &cluster.nodes {
                match http::fetch(node.ports.admin, "/readyz").await {
                    Ok((200, _)) => {}
                    Ok((_, reason)) => return Err(format!("node {}: {reason}", node.number)),
                    Err(error) => {
                        return Err(format!(
                            "node {}: {:#}",
                            node.number,
                            anyhow::Error::new(error)
                        ));
                    }
                }
            }
            Ok(())
        })
        .await
    }

    async fn wait<T>(
        &mut self,
        what: &str,
        look: impl AsyncFn(&Self) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            self.check_alive()?;
            match look(self).await {
                Ok(value) => return Ok(value),
                Err(reason) if begun.elapsed() > READY_WITHIN => {
                    bail!("waited {READY_WITHIN:?} for {what}: {reason}")
                }
                Err(_) => sleep(ASK_INTERVAL).await,
            }
        }
    }

    fn check_alive(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            if let Some(status) = node.process.try_wait()? {
                bail!("node {} ended: {status}\n{}", node.number, node.log_end());
            }
        }
        Ok(())
    }
}

impl Node {
    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its relay.
    pub(crate) fn relay(&self) -> RelayUrl {
        RelayUrl::at(self.ports.http)
    }

    /// Where it answers DNS.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.ports.dns
    }

    fn log_end(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(SHOWN_LOG_SIZE)..]).into_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is what we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn node_dir(dir: &TempDir, number: usize) -> PathBuf {
    dir.path().join(number.to_string())
}

/// Makes the identity of a node; the line that stands for it in every node's configuration.
fn init(program: &Path, dir: &Path, peer: SocketAddr) -> anyhow::Result<String> {
    let output = command(program)
        .arg("init")
        .arg("--data-dir")
        .arg(dir.join("data"))
        .args(["--address", &peer.to_string()])
        .output()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    ensure!(
        output.status.success(),
        "quorate init: {}, {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn serve(program: &Path, config: &Path, log: &Path) -> anyhow::Result<Child> {
    let file = File::create(log).with_context(|| format!("{} cannot be made", log.display()))?;
    command(program)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))
}

/// The program, free of settings that whoever measures has in the environment.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("QUORATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// All as it is by default, but for the limit: all PUTs come from one address.
fn config_text(dir: &Path, ports: Ports, nodes: &[String]) -> String {
    let Ports {
        http,
        dns,
        peer,
        admin,
    } = ports;
    format!(
        r#"version = 1
data_dir = {data_dir:?}

[cluster]
name = "quorate-bench"
nodes = {nodes:?}

[http]
listen = "{http}"

[peer]
listen = "{peer}"

[admin]
listen = "{admin}"

[dns]
listen = "{dns}"

[[dns.origins]]
name = "{ORIGIN}"
ns = ["ns1.{ORIGIN}"]
ns_addresses = {{ "ns1.{ORIGIN}" = ["127.0.0.1"] }}

[limit]
enabled = false
"#,
        data_dir = dir.join("data"),
    )
}

/// Ports of loopback that are free now. All are held until the last is found, so that none is found
/// twice.
fn free_ports() -> io::Result<Vec<Ports>> {
    let mut held = Vec::new();
    let mut free = || {
        let (tcp, udp, address) = free_port()?;
        held.push((tcp, udp));
        io::Result::Ok(address)
    };
    (0..NODE_COUNT)
        .map(|_| {
            Ok(Ports {
                http: free()?,
                dns: free()?,
                peer: free()?,
                admin: free()?,
            })
        })
        .collect()
}

/// A port that is free for TCP and UDP.
fn free_port() -> io::Result<(TcpListener, UdpSocket, SocketAddr)> {
    for _ in 0..PORT_TRIES {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = tcp.local_addr()?;
        if let Ok(udp) = UdpSocket::bind(address) {
            return Ok((tcp, udp, address));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
