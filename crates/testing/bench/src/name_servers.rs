//! Name servers of others on loopback, with a zone of the same names and texts as our packets have.

use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::ensure;
use quorate_tests::{ORIGIN, packet::TTL_SECS, ports};
use tempfile::TempDir;
use tokio::{process::Command, time::sleep};

use crate::{
    cluster::own_path,
    load::{dns::Route, queries::Queries},
    packets::TEXTS,
    servers_of_others::{OtherServers, POLL_INTERVAL, START_WITHIN, spawn},
};

/// How many threads or processes answer: as many as we have on two cores.
const WORKER_COUNT: usize = 2;

/// A zone file of `_iroh.<key>` for each key.
pub(crate) struct ZoneFile {
    path: PathBuf,
    key: String,
    _dir: TempDir,
}

impl ZoneFile {
    pub(crate) fn write(keys: &[String], below: &Path) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("zone-", below)?;
        let path = dir.path().join("zone");
        let mut zone = format!(
            "$ORIGIN {ORIGIN}\n$TTL {TTL_SECS}\n@ SOA ns1 hostmaster 1 10800 3600 604800 60\n\
             @ NS ns1\nns1 A 192.0.2.53\n"
        );
        for key in keys {
            for text in TEXTS {
                writeln!(zone, "_iroh.{key} TXT \"{text}\"")?;
            }
        }
        fs::write(&path, zone)?;
        Ok(Self {
            path,
            key: keys[0].clone(),
            _dir: dir,
        })
    }
}

/// Whether Knot limits rates and exchanges cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    On,
    Off,
}

impl OtherServers {
    /// One `knotd`.
    pub(crate) async fn knot(
        program: &Path,
        zone: &ZoneFile,
        checks: Checks,
        below: &Path,
    ) -> anyhow::Result<Self> {
        let command = |dir: &Path, dns| {
            let path = dir.join("config");
            fs::write(&path, knot_config(dir, dns, &zone.path, checks))?;
            let mut command = Command::new(program);
            command.arg("-c").arg(path);
            Ok(command)
        };
        Self::name_server("knot", &zone.key, below, command).await
    }

    /// One `nsd`, in the foreground.
    pub(crate) async fn nsd(program: &Path, zone: &ZoneFile, below: &Path) -> anyhow::Result<Self> {
        let command = |dir: &Path, dns| {
            let path = dir.join("config");
            fs::write(&path, nsd_config(dir, dns, &zone.path))?;
            let mut command = Command::new(program);
            command.arg("-d").arg("-c").arg(path);
            Ok(command)
        };
        Self::name_server("nsd", &zone.key, below, command).await
    }

    /// This program, sending back what it gets.
    pub(crate) async fn echo(below: &Path) -> anyhow::Result<Self> {
        let command = |_: &Path, dns: SocketAddr| {
            let mut command = Command::new(own_path()?);
            command.arg("echo").arg("--listen").arg(dns.to_string());
            Ok(command)
        };
        Self::name_server("kernel alone", "any", below, command).await
    }

    /// Starts a server, and waits until it answers about this key.
    async fn name_server(
        name: &'static str,
        key: &str,
        below: &Path,
        command: impl FnOnce(&Path, SocketAddr) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("name-server-", below)?;
        let dns = ports::take_address();
        let mut server = Self {
            name,
            processes: vec![spawn(command(dir.path(), dns)?)?],
            addresses: Vec::new(),
            dns: Some(dns),
            reserved: vec![dns],
            _dir: dir,
        };
        server.wait_for_key(dns, key).await?;
        Ok(server)
    }

    async fn wait_for_key(&mut self, dns: SocketAddr, key: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        let queries = Queries::txt(&[key.to_owned()], ORIGIN)?;
        loop {
            let answer = Route::from(dns).ask(queries.first());
            // It refuses, or fails, until it has its zone.
            if answer.is_ok_and(|answer| answer.get(3).is_some_and(|byte| byte & 0x0f == 0)) {
                return Ok(());
            }
            for process in &mut self.processes {
                let ended = process.try_wait()?;
                ensure!(ended.is_none(), "{} ended: {ended:?}", self.name);
            }
            ensure!(
                started.elapsed() < START_WITHIN,
                "{} at {dns} does not serve its zone",
                self.name
            );
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// With checks, limits that nothing here reaches: what is measured is what they cost.
fn knot_config(dir: &Path, dns: SocketAddr, zone: &Path, checks: Checks) -> String {
    let modules = match checks {
        Checks::On => "module: [mod-cookies/default, mod-rrl/default]",
        Checks::Off => "",
    };
    format!(
        r#"server:
    rundir: {dir:?}
    listen: {ip}@{port}
    udp-workers: {WORKER_COUNT}
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: error
database:
    storage: {dir:?}
mod-rrl:
  - id: default
    rate-limit: 100000000
mod-cookies:
  - id: default
template:
  - id: default
    storage: {dir:?}
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
    {modules}
zone:
  - domain: {ORIGIN}
    file: {zone:?}
"#,
        ip = dns.ip(),
        port = dns.port(),
    )
}

fn nsd_config(dir: &Path, dns: SocketAddr, zone: &Path) -> String {
    format!(
        r#"server:
    ip-address: {ip}
    port: {port}
    server-count: {WORKER_COUNT}
    reuseport: yes
    username: ""
    zonesdir: "{dir}"
    database: ""
    zonelistfile: "{dir}/zone.list"
    xfrdfile: "{dir}/xfrd.state"
    xfrdir: "{dir}"
    pidfile: ""
    verbosity: 0
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: {ORIGIN}
    zonefile: {zone:?}
"#,
        dir = dir.display(),
        ip = dns.ip(),
        port = dns.port(),
    )
}
