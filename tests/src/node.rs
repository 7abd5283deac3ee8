//! One node: a process, its directory and its addresses.

use std::{
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use hickory_proto::{op::Message, rr::RecordType};
use reqwest::{Client, header::HeaderMap};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::{
    ORIGIN, Packet, PutAnswer, binary, dns, ports,
    wait::{START_WITHIN, STOP_WITHIN, until},
};

/// How much of a log is shown when a test fails, from its end, in bytes.
const SHOWN_LOG_SIZE: usize = 16 * 1024;

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The relay, DNS over HTTPS and health.
    pub http: SocketAddr,
    /// DNS over UDP and TCP.
    pub dns: SocketAddr,
    /// Other nodes.
    pub peer: SocketAddr,
    /// Health, metrics and status.
    pub admin: SocketAddr,
}

impl Addresses {
    pub(crate) fn free() -> Self {
        let [http, dns, peer, admin] = std::array::from_fn(|_| ports::free_address());
        Self {
            http,
            dns,
            peer,
            admin,
        }
    }
}

/// How a node says it stands (`/v1/status`).
#[derive(Debug, Clone, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of `quorate_replica::Status`"
)]
pub struct Status {
    pub node: String,
    pub role: String,
    pub term: u64,
    pub leader: Option<String>,
    pub last_log_index: u64,
    pub applied_index: u64,
    pub checkpoint_index: u64,
    pub purged_index: u64,
    pub voters: Vec<String>,
    pub record_count: u64,
}

/// A digest over all records of a node (`/v1/digest`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of `quorate_replica::StateDigest`"
)]
pub struct Digest {
    pub applied_index: u64,
    pub record_count: u64,
    pub sha256: String,
}

/// The answer to an HTTP request.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The packet of a GET, or `None` if there is none.
    pub fn found(&self) -> Option<&[u8]> {
        match self.status {
            200 => Some(&self.body),
            404 => None,
            status => panic!("a GET was answered with {status}: {}", self.text()),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How a process ended that was expected to.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// All that it wrote.
    pub log: String,
}

/// A node of a cluster. Its process is killed when this is dropped.
pub struct Node {
    name: String,
    id: String,
    addresses: Addresses,
    dir: PathBuf,
    client: Client,
    process: Mutex<Option<Child>>,
    /// Where in the log file the last process began to write.
    log_start: AtomicUsize,
}

impl Node {
    /// Makes the directory and the identity of a node.
    pub(crate) fn init(name: String, dir: PathBuf, client: Client) -> Self {
        fs::create_dir_all(&dir).expect("the directory for temporary files can be written");
        let addresses = Addresses::free();
        let mut node = Self {
            name,
            id: String::new(),
            addresses,
            dir,
            client,
            process: Mutex::default(),
            log_start: AtomicUsize::default(),
        };
        let line = node.init_line();
        let (id, address) = line
            .split_once('@')
            .expect("`quorate init` prints <key>@host:port");
        assert_eq!(
            address,
            addresses.peer.to_string(),
            "`quorate init` repeats the address"
        );
        node.id = id.to_owned();
        node
    }

    /// What `quorate init` prints for this node.
    pub fn init_line(&self) -> String {
        let output = binary::command()
            .arg("init")
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--address", &self.addresses.peer.to_string()])
            .output()
            .expect("quorate can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "quorate init: {}, {errors}",
            output.status
        );
        let line = String::from_utf8(output.stdout).expect("it prints text");
        line.trim_end().to_owned()
    }

    /// What the test calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id: its public key in z-base-32.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("log.txt")
    }

    /// Writes its configuration file.
    pub fn configure(&self, config: &str) {
        fs::write(self.config_file(), config).expect("the test's directory can be written");
    }

    /// Its configuration file's text.
    pub fn config(&self) -> String {
        fs::read_to_string(self.config_file()).expect("it was written before")
    }

    /// Starts the process, which must not run.
    pub fn start(&self) {
        let mut process = self.process();
        assert!(process.is_none(), "{} runs already", self.name);
        self.log_start
            .store(self.log_bytes().len(), Ordering::Relaxed);
        let log = || -> File {
            let log = OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.log_file());
            log.expect("the test's directory can be written")
        };
        let child = binary::command()
            .arg("serve")
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn();
        *process = Some(child.expect("quorate can be started"));
    }

    /// Starts the process again after it was killed or terminated.
    pub fn restart(&self) {
        self.start();
    }

    /// Ends the process without warning (SIGKILL), and waits until it is gone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// Waits for the process that was killed.
    pub(crate) fn reap(&self) {
        if let Some(mut child) = self.process().take() {
            child.wait().expect("our own child can be waited for");
        }
    }

    /// Tells the process to stop (SIGTERM), and waits until it has, with exit code 0.
    pub async fn terminate(&self) {
        self.signal(Signal::TERM);
        let ended = self.wait_for_end().await;
        assert_eq!(ended.status.code(), Some(0), "{}: {}", self.name, ended.log);
    }

    /// Sends a signal to the process, which must run.
    pub fn signal(&self, signal: Signal) {
        let mut process = self.process();
        let child = process
            .as_mut()
            .unwrap_or_else(|| panic!("{} is down", self.name));
        assert!(exited(child).is_none(), "{} ended by itself", self.name);
        kill_process(Pid::from_child(child), signal).expect("our own child takes signals");
    }

    /// Waits until the process has ended by itself.
    pub async fn wait_for_end(&self) -> Ended {
        let what = format!("the end of {}", self.name);
        let status = until(&what, STOP_WITHIN, async || {
            let mut process = self.process();
            let child = process
                .as_mut()
                .unwrap_or_else(|| panic!("{} is down", self.name));
            let status = exited(child).ok_or("it runs")?;
            *process = None;
            Ok(status)
        })
        .await;
        Ended {
            status,
            log: self.log(),
        }
    }

    /// Starts the process and expects that it gives up, not by a panic, and says why.
    pub async fn expect_start_refused(&self) -> String {
        self.start();
        let ended = self.wait_for_end().await;
        assert!(
            !ended.status.success(),
            "{} stopped as if all were well: {}",
            self.name,
            ended.log
        );
        assert!(
            ended.status.code().is_some(),
            "{} was killed by a signal",
            self.name
        );
        assert!(
            !ended.log.contains("panicked"),
            "{} panicked: {}",
            self.name,
            ended.log
        );
        ended.log
    }

    /// Whether the process runs.
    pub fn is_up(&self) -> bool {
        self.process()
            .as_mut()
            .is_some_and(|child| exited(child).is_none())
    }

    /// The process's id.
    pub fn process_id(&self) -> Option<u32> {
        self.process().as_ref().map(Child::id)
    }

    /// Panics if the process has ended without being told to.
    pub fn check_alive(&self) {
        if let Some(status) = self.process().as_mut().and_then(exited) {
            panic!(
                "{} ended by itself: {status}\n{}",
                self.name,
                self.log_text()
            );
        }
    }

    /// Expects that nothing it was sent did it any harm: it is the process `process_id`, ready, and
    /// no task of it has panicked.
    pub async fn expect_unharmed(&self, process_id: Option<u32>) {
        assert_eq!(
            self.process_id(),
            process_id,
            "{} was started anew",
            self.name
        );
        self.wait_ready().await;
        assert!(!self.log().contains("panicked"), "{} panicked", self.name);
    }

    /// Waits until the node says that it is ready.
    pub async fn wait_ready(&self) {
        until(
            &format!("{} to be ready", self.name),
            START_WITHIN,
            async || self.ready().await,
        )
        .await;
    }

    /// Waits until the node answers requests, ready or not.
    pub async fn wait_alive(&self) {
        until(
            &format!("{} to be alive", self.name),
            START_WITHIN,
            async || {
                self.check_alive();
                let answer = self.admin("/livez").await?;
                if answer.status == 200 {
                    Ok(())
                } else {
                    Err(answer.text())
                }
            },
        )
        .await;
    }

    /// Whether the node says that it is ready, or why not.
    pub async fn ready(&self) -> Result<(), String> {
        self.check_alive();
        let answer = self.admin("/readyz").await?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.text())
        }
    }

    /// How it stands.
    pub async fn status(&self) -> Result<Status, String> {
        self.check_alive();
        let answer = self.admin("/v1/status").await?;
        serde_json::from_slice(&answer.body).map_err(|e| format!("{e}: {}", answer.text()))
    }

    /// The digest of its records.
    pub async fn digest(&self) -> Result<Digest, String> {
        let answer = self.admin("/v1/digest").await?;
        serde_json::from_slice(&answer.body).map_err(|e| format!("{e}: {}", answer.text()))
    }

    /// GETs a path at the admin address.
    pub async fn admin(&self, path: &str) -> Result<Answer, String> {
        let url = format!("http://{}{path}", self.addresses.admin);
        answer(self.client.get(url).send().await)
            .await
            .map_err(|e| format!("{e:?}"))
    }

    /// The URL of a path at the public address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.http)
    }

    /// The HTTP client of the test.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request, and panics if there is no answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        answer(request.send().await)
            .await
            .unwrap_or_else(|error| panic!("{} does not answer: {error:?}", self.name))
    }

    /// GETs the packet of a key.
    pub async fn get(&self, key: &str) -> Answer {
        self.send(self.client.get(self.url(&format!("/pkarr/{key}"))))
            .await
    }

    /// PUTs any bytes.
    pub async fn put_bytes(&self, key: &str, payload: impl Into<Bytes>) -> Answer {
        let url = self.url(&format!("/pkarr/{key}"));
        self.send(self.client.put(url).body(payload.into())).await
    }

    /// PUTs a packet.
    pub async fn put(&self, packet: &Packet) -> PutAnswer {
        let url = self.url(&format!("/pkarr/{}", packet.key));
        let request = self.client.put(url).body(packet.payload.clone());
        match answer(request.send().await).await {
            Ok(answer) if answer.status == 204 => PutAnswer::Acked,
            Ok(answer) if answer.status == 504 => PutAnswer::Unknown,
            Ok(answer) => PutAnswer::Refused(answer.status),
            Err(error) if error.is_connect() => PutAnswer::Unreached,
            Err(_) => PutAnswer::Unknown,
        }
    }

    /// Asks for a name over UDP, and panics if there is no answer.
    pub async fn ask(&self, name: &str, record_type: RecordType) -> Message {
        let question = dns::question(name, record_type);
        let answer = dns::ask_udp(self.addresses.dns, &question).await;
        answer.unwrap_or_else(|error| panic!("{name} at {}: {error}", self.name))
    }

    /// The texts at a key's `_iroh`, by DNS over UDP.
    pub async fn texts(&self, key: &str) -> Vec<String> {
        dns::texts(
            &self
                .ask(&format!("_iroh.{key}.{ORIGIN}"), RecordType::TXT)
                .await,
        )
    }

    /// All that its last process wrote.
    pub fn log(&self) -> String {
        let start = self.log_start.load(Ordering::Relaxed);
        String::from_utf8_lossy(&self.log_bytes()[start..]).into_owned()
    }

    fn log_bytes(&self) -> Vec<u8> {
        fs::read(self.log_file()).unwrap_or_default()
    }

    /// The end of its log under a heading, to print.
    pub fn log_text(&self) -> String {
        let log = self.log_bytes();
        let log = String::from_utf8_lossy(&log);
        let from = log.ceil_char_boundary(log.len().saturating_sub(SHOWN_LOG_SIZE));
        format!("\n--- {} ({}) ---\n{}", self.name, self.id, &log[from..])
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        // A test that failed while it held the lock still needs its processes killed.
        self.process
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.process().take() {
            // One that has ended cannot be killed, and that is what we want.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn exited(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("our own child can be waited for")
}

async fn answer(sent: reqwest::Result<reqwest::Response>) -> reqwest::Result<Answer> {
    let response = sent?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await?,
    })
}
