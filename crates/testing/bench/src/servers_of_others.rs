//! Servers of other projects on loopback, started and ended with the run.

use std::{
    fs,
    net::{SocketAddr, SocketAddrV4},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use hyper::{Method, body::Bytes};
use quorate_tests::ports;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use crate::{
    cpu,
    http::{self, Connection},
};

/// How long a server may take to answer after its start.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(20);

/// How often it is checked until then.
pub(crate) const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// How many nodes etcd has: as many as Quorate.
const ETCD_NODE_COUNT: usize = 3;

/// The most that etcd may keep, in bytes: the largest that its documentation suggests.
const ETCD_SIZE_MAX: u64 = 8 << 30;

/// The processes of one system. When this is dropped, they and their child processes are killed,
/// and their data is removed.
pub(crate) struct OtherServers {
    pub(crate) name: &'static str,
    pub(crate) processes: Vec<Child>,
    pub(crate) addresses: Vec<SocketAddr>,
    /// The address of DNS, if it is served.
    pub(crate) dns: Option<SocketAddr>,
    pub(crate) taken: Vec<SocketAddr>,
    pub(crate) _dir: TempDir,
}

impl OtherServers {
    /// One iroh-dns-server: without a limit of PUTs, over plain HTTP. It uses the DHT if it gets nodes of it.
    pub(crate) async fn iroh(
        program: &Path,
        below: &Path,
        dht: &[SocketAddrV4],
    ) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("iroh-", below)?;
        let [http, dns] = std::array::from_fn(|_| ports::take_address());
        let config = dir.path().join("config.toml");
        fs::write(
            &config,
            iroh_config(&dir.path().join("data"), http, dns, dht),
        )?;
        let mut command = Command::new(program);
        command.arg("--config").arg(config).env("RUST_LOG", "error");
        let mut servers = Self {
            name: "iroh-dns-server",
            processes: vec![spawn(command)?],
            addresses: vec![http],
            dns: Some(dns),
            taken: vec![http, dns],
            _dir: dir,
        };
        servers.wait_for("/", |_| true).await?;
        Ok(servers)
    }

    /// One pkarr-relay without limits. The names of the nodes of the DHT that are built into it lead to this
    /// machine.
    pub(crate) async fn pkarr(program: &Path, below: &Path) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("pkarr-", below)?;
        let http = ports::take_address();
        let (config, hosts) = (dir.path().join("config.toml"), dir.path().join("hosts"));
        let port = http.port();
        fs::write(
            &config,
            format!("[http]\nport = {port}\n[mainline]\n[cache]\n"),
        )?;
        fs::write(
            &hosts,
            "127.0.0.1 localhost router.bittorrent.com dht.transmissionbt.com \
             dht.libtorrent.org relay.pkarr.org\n",
        )?;
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        command.arg("mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"");
        command.arg("sh").arg(hosts).arg(program);
        command.arg("--config").arg(config);
        let mut servers = Self {
            name: "pkarr-relay",
            processes: vec![spawn(command)?],
            addresses: vec![http],
            dns: None,
            taken: vec![http],
            _dir: dir,
        };
        servers.wait_for("/", |_| true).await?;
        Ok(servers)
    }

    /// Three nodes of etcd with default settings.
    pub(crate) async fn etcd(program: &Path, below: &Path) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("etcd-", below)?;
        let addresses = || -> Vec<_> {
            (0..ETCD_NODE_COUNT)
                .map(|_| ports::take_address())
                .collect()
        };
        let (clients, peers) = (addresses(), addresses());
        let cluster: Vec<_> = (peers.iter().enumerate())
            .map(|(number, peer)| format!("{number}=http://{peer}"))
            .collect();
        let mut processes = Vec::new();
        for (number, (client, peer)) in clients.iter().zip(&peers).enumerate() {
            let mut command = Command::new(program);
            command.arg("--name").arg(number.to_string());
            command
                .arg("--data-dir")
                .arg(dir.path().join(number.to_string()));
            for (option, value) in [
                ("--listen-client-urls", format!("http://{client}")),
                ("--advertise-client-urls", format!("http://{client}")),
                ("--listen-peer-urls", format!("http://{peer}")),
                ("--initial-advertise-peer-urls", format!("http://{peer}")),
                ("--initial-cluster", cluster.join(",")),
                ("--logger", "zap".to_owned()),
                ("--log-level", "error".to_owned()),
                // It keeps every version of every key, and by default at most 2 GiB of them.
                ("--quota-backend-bytes", ETCD_SIZE_MAX.to_string()),
            ] {
                command.arg(option).arg(value);
            }
            processes.push(spawn(command)?);
        }
        let mut servers = Self {
            name: "etcd",
            processes,
            taken: [&clients[..], &peers].concat(),
            addresses: clients,
            dns: None,
            _dir: dir,
        };
        let is_healthy = |answer: &str| answer.contains(r#""health":"true""#);
        servers.wait_for("/health", is_healthy).await?;
        Ok(servers)
    }

    /// The node of etcd that leads.
    pub(crate) async fn etcd_leader(&self) -> anyhow::Result<SocketAddr> {
        for &address in &self.addresses {
            let path = "/v3/maintenance/status";
            let answer = ask(address, Method::POST, path, Bytes::from_static(b"{}")).await?;
            let leader = number_of(&answer, "leader");
            ensure!(
                leader.is_some(),
                "etcd at {address} knows no leader: {answer}"
            );
            if leader == number_of(&answer, "member_id") {
                return Ok(address);
            }
        }
        bail!("no node of etcd leads")
    }

    /// The ids of its processes and their child processes.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        let started = self.processes.iter().filter_map(Child::id);
        started.flat_map(cpu::group).collect()
    }

    async fn wait_for(&mut self, path: &str, is_good: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let started = Instant::now();
        for (address, process) in self.addresses.iter().zip(&mut self.processes) {
            loop {
                let answer = ask(*address, Method::GET, path, Bytes::new()).await;
                if answer.as_ref().is_ok_and(|answer| is_good(answer)) {
                    break;
                }
                if let Some(status) = process.try_wait()? {
                    bail!("{} at {address} ended: {status}", self.name);
                }
                ensure!(
                    started.elapsed() < START_WITHIN,
                    "{} at {address} is not ready: {answer:?}",
                    self.name
                );
                sleep(ASK_INTERVAL).await;
            }
        }
        Ok(())
    }
}

impl Drop for OtherServers {
    fn drop(&mut self) {
        for process in &self.processes {
            let group = process.id().map(|id| Pid::from_raw(id.cast_signed()));
            if let Some(group) = group.flatten() {
                // It fails if the group has no process left.
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
        for address in &self.taken {
            ports::give_back(*address);
        }
    }
}

pub(crate) fn spawn(mut command: Command) -> anyhow::Result<Child> {
    let program = command.as_std().get_program().to_owned();
    // Errors are printed on standard error.
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = command.process_group(0).kill_on_drop(true).spawn();
    started.with_context(|| {
        format!(
            "{} cannot be started: see crates/testing/bench/peers",
            program.display()
        )
    })
}

async fn ask(
    server: SocketAddr,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<String> {
    let request = http::request(method, &server.to_string(), path, body);
    let answer = Connection::open(server).await?.exchange(request).await?;
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}

/// A number in JSON, where 64 bits are written as text.
fn number_of<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = json.split_once(&format!("\"{name}\":\""))?;
    Some(value.split_once('"')?.0)
}

fn iroh_config(data_dir: &Path, http: SocketAddr, dns: SocketAddr, dht: &[SocketAddrV4]) -> String {
    let bootstrap: Vec<_> = dht.iter().map(ToString::to_string).collect();
    format!(
        r#"pkarr_put_rate_limit = "disabled"
data_dir = {data_dir:?}

[http]
port = {http_port}
bind_addr = "{http_ip}"

[dns]
port = {dns_port}
bind_addr = "{dns_ip}"
default_soa = "ns1.quorate.test hostmaster.quorate.test 0 10800 3600 604800 3600"
default_ttl = 900
origins = ["quorate.test.", "."]
rr_a = "127.0.0.1"
rr_ns = "ns1.quorate.test."

[metrics]
disabled = true

[mainline]
enabled = {uses_dht}
bootstrap = {bootstrap:?}
"#,
        uses_dht = !dht.is_empty(),
        http_port = http.port(),
        http_ip = http.ip(),
        dns_port = dns.port(),
        dns_ip = dns.ip(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_status_are_found() {
        let status = r#"{"header":{"cluster_id":"1","member_id":"22"},"leader":"22","x":"3"}"#;
        assert_eq!(number_of(status, "leader"), Some("22"));
        assert_eq!(number_of(status, "member_id"), Some("22"));
        assert_eq!(number_of(status, "id"), None);
    }
}
