//! The relays, on loopback.

use std::{any::Any, env, fs, net::SocketAddr, process::Stdio};

use anyhow::Context;
use quorate_tests::{Cluster, ORIGIN, ports, voters, wait};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::{case::Limits, pkarr_relay};

/// How many PUTs Quorate accepts from a client in one burst if limits are on.
const PUT_BURST: u32 = 5;

/// A relay that runs until this is dropped.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Its HTTP address.
    pub(crate) http: Vec<SocketAddr>,
    /// The path above keys.
    pub(crate) prefix: &'static str,
    /// The address that answers DNS, and the zone of the keys.
    pub(crate) dns: Option<(SocketAddr, &'static str)>,
    _running: Box<dyn Any>,
}

impl Server {
    pub(crate) async fn quorate(limits: Limits) -> Self {
        let plan = match limits {
            Limits::Off => voters(3),
            Limits::On => voters(1).put_burst(PUT_BURST),
        };
        let cluster = Cluster::start(plan).await;
        let nodes = cluster.nodes();
        Self {
            name: "Quorate",
            http: nodes.iter().map(|node| node.addresses().http).collect(),
            prefix: "/pkarr",
            dns: Some((cluster.node(1).addresses().dns, ORIGIN)),
            _running: Box::new(cluster),
        }
    }

    pub(crate) async fn iroh(limits: Limits) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("quorate-compat-")?;
        let [http, dns] = std::array::from_fn(|_| ports::take_address());
        let config = dir.path().join("config.toml");
        fs::write(&config, iroh_config(&dir, http, dns, limits))?;
        let mut command = Command::new("iroh-dns-server");
        command.arg("--config").arg(config).env("RUST_LOG", "error");
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.kill_on_drop(true).spawn();
        let process = process.context("iroh-dns-server is not in the PATH")?;
        let listening = wait::until(
            "iroh-dns-server to listen",
            wait::START_WITHIN,
            async || {
                let connected = TcpStream::connect(http).await;
                connected.map(drop).map_err(|error| error.to_string())
            },
        );
        listening.await;
        Ok(Self {
            name: "iroh-dns-server 1.4.1",
            http: vec![http],
            prefix: "/pkarr",
            dns: Some((dns, ORIGIN)),
            _running: Box::new((process, dir)),
        })
    }

    /// On a DHT of its own. Its library has only an unsafe function to start it with limits.
    pub(crate) async fn pkarr() -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("quorate-compat-")?;
        let mut command = Command::new(env::current_exe()?);
        // It writes its cache to the directory of temporary files and does not remove it.
        command.arg(pkarr_relay::ARGUMENT).env("TMPDIR", dir.path());
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn()?;
        let stdout = process
            .stdout
            .take()
            .context("standard output is not piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = lines.next_line().await?;
        let address = address.context("pkarr-relay ended before it listened")?;
        Ok(Self {
            name: "pkarr-relay 2.1.0",
            http: vec![address.parse()?],
            prefix: "",
            dns: None,
            _running: Box::new((process, dir)),
        })
    }

    /// The HTTP address for the case with this number: the nodes take turns.
    pub(crate) fn address(&self, number: usize) -> SocketAddr {
        self.http[number % self.http.len()]
    }

    /// The URL that clients use.
    pub(crate) fn url(&self, number: usize) -> String {
        format!("http://{}{}", self.address(number), self.prefix)
    }
}

fn iroh_config(dir: &TempDir, http: SocketAddr, dns: SocketAddr, limits: Limits) -> String {
    let limit = match limits {
        Limits::Off => "disabled",
        Limits::On => "simple",
    };
    format!(
        r#"pkarr_put_rate_limit = "{limit}"
data_dir = {data_dir:?}

[http]
port = {http_port}
bind_addr = "127.0.0.1"

[dns]
port = {dns_port}
bind_addr = "127.0.0.1"
default_soa = "ns1.{ORIGIN} hostmaster.{ORIGIN} 0 10800 3600 604800 3600"
default_ttl = 30
origins = ["{ORIGIN}", "."]
rr_a = "127.0.0.1"
rr_ns = "ns1.{ORIGIN}"

[metrics]
disabled = true

[mainline]
enabled = false
"#,
        data_dir = dir.path().join("data"),
        http_port = http.port(),
        dns_port = dns.port(),
    )
}
