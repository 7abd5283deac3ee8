//! One node: its directory, its addresses and its process.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

use pkarr::Keypair;

use reqwest::Client;
use rustix::process::Signal;

use crate::{
    binary, ports,
    process::{Ended, Process},
    wait::{CONVERGE_WITHIN, START_WITHIN, until},
};

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
    fn free() -> Self {
        let [http, dns, peer, admin] = std::array::from_fn(|_| ports::take_address());
        Self {
            http,
            dns,
            peer,
            admin,
        }
    }
}

/// A node of a cluster. Its process is killed when this is dropped.
pub struct Node {
    name: String,
    id: String,
    addresses: Addresses,
    dir: PathBuf,
    client: Client,
    program: PathBuf,
    /// Environment variables of the next process.
    environment: Mutex<Vec<(String, String)>>,
    arguments: Mutex<Vec<String>>,
    /// The file with the join token, until the node has joined.
    token_file: Mutex<Option<PathBuf>>,
    /// The program and arguments that start its process.
    launcher: Mutex<Vec<String>>,
    /// Where it reaches others, as `<key>@host:port`, instead of their addresses.
    routes: Mutex<Vec<String>>,
    process: Process,
}

impl Node {
    /// Creates the directory and the identity of a node, so that its id is known before it starts.
    pub(crate) fn init(name: String, dir: PathBuf, program: &Path, client: Client) -> Self {
        let process = Process::new(name.clone(), dir.join("log.txt"));
        let keys = Keypair::random();
        let node = Self {
            name,
            id: keys.to_z32(),
            addresses: Addresses::free(),
            dir,
            client,
            program: program.to_owned(),
            environment: Mutex::default(),
            arguments: Mutex::default(),
            token_file: Mutex::default(),
            launcher: Mutex::default(),
            routes: Mutex::default(),
            process,
        };
        let writable = "the temporary directory is writable";
        fs::create_dir_all(node.data_dir()).expect(writable);
        let seed: String = keys
            .secret_key()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        fs::write(node.key_file(), seed).expect(writable);
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(node.key_file(), mode).expect(writable);
        node
    }

    /// Runs `quorate init --found` with the node's configuration.
    pub fn init_found(&self, args: &[&str]) -> Output {
        let mut command = self.init_found_command(args);
        command.output().expect("quorate can be started")
    }

    /// `quorate init --found` with the node's configuration.
    pub fn init_found_command(&self, args: &[&str]) -> Command {
        let mut command = binary::command_of(&self.program);
        command.args(["init", "--found", "--config"]);
        command.arg(self.config_file()).args(args);
        command
    }

    /// Prepares it to found a cluster of `voters` voters, which others join with the token in
    /// `token_file`.
    pub(crate) fn found(&self, token_file: &Path, voters: usize) {
        let file = token_file.to_str().expect("it is a name of ours");
        let output = self.init_found(&["--once", file, "--voters", &voters.to_string()]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "quorate init --found: {errors}");
    }

    /// Lets it join with the token in a file, which may appear later, at each start until it was ready
    /// once.
    pub fn join_by_file(&self, token_file: &Path) {
        *self.token_file.lock().expect("no holder panics") = Some(token_file.to_owned());
    }

    /// Its name in the test.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program that it runs.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Its id: its public key in z-base-32.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The HTTP client of the test.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The socket of its admin API, if it runs and its program has one. A test may have given it a file
    /// system of its own.
    pub fn admin_socket(&self) -> Option<PathBuf> {
        let socket = self.data_dir().join("admin.sock");
        let root = format!("/proc/{}/root", self.process_id().unwrap_or_default());
        let seen_by_it = PathBuf::from(format!("{root}{}", socket.display()));
        [socket, seen_by_it].into_iter().find(|path| path.exists())
    }

    /// Where commands for operators reach it.
    pub fn admin_url(&self) -> String {
        match self.admin_socket() {
            Some(socket) => format!("unix:{}", socket.display()),
            None => format!("http://{}", self.addresses.admin),
        }
    }

    /// Where its secret key is.
    pub fn key_file(&self) -> PathBuf {
        self.data_dir().join("node.key")
    }

    /// Where its configuration is.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// Writes its configuration file.
    pub fn configure(&self, config: &str) {
        fs::write(self.config_file(), config).expect("the test's directory can be written");
    }

    /// Its configuration file's text.
    pub fn config(&self) -> String {
        fs::read_to_string(self.config_file()).expect("it was written before")
    }

    /// Sets environment variables for the next start, in addition to the test's own.
    pub fn set_environment(&self, variables: impl IntoIterator<Item = (String, String)>) {
        let mut environment = self.environment.lock().expect("no holder panics");
        *environment = variables.into_iter().collect();
    }

    /// Sets arguments for the next start, in addition to the configuration.
    pub fn set_arguments<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) {
        let arguments = arguments.into_iter().map(str::to_owned);
        *self.arguments.lock().expect("no holder panics") = arguments.collect();
    }

    /// Sets where it reaches others, as `<key>@host:port`, instead of their addresses.
    pub(crate) fn set_routes(&self, routes: Vec<String>) {
        *self.routes.lock().expect("no holder panics") = routes;
    }

    /// Sets a launcher for its process: a program that executes the command that it is given.
    pub fn set_launcher(&self, launcher: &[String]) {
        let mut set = self.launcher.lock().expect("no holder panics");
        *set = launcher.to_vec();
    }

    /// A free address at which this node can listen for others.
    pub fn take_peer_address(&self) -> SocketAddr {
        ports::take_address()
    }

    /// Starts the process, which must not run.
    pub fn start(&self) {
        let launcher = self.launcher.lock().expect("no holder panics");
        let mut command = match &**launcher {
            [] => binary::command_of(&self.program),
            [launcher, arguments @ ..] => {
                let mut command = binary::command_of(Path::new(launcher));
                command.args(arguments).arg(&self.program);
                command
            }
        };
        let environment = self.environment.lock().expect("no holder panics");
        command.envs(environment.iter().cloned());
        command.arg("serve").arg("--config").arg(self.config_file());
        for route in &*self.routes.lock().expect("no holder panics") {
            command.args(["--route", route]);
        }
        if let Some(file) = &*self.token_file.lock().expect("no holder panics") {
            command.arg("--join-file").arg(file);
        }
        let arguments = self.arguments.lock().expect("no holder panics");
        self.process.start(command.args(arguments.iter()));
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
        self.process.reap();
    }

    /// Stops the process (SIGTERM), and waits until it has exited with code 0.
    pub async fn terminate(&self) {
        self.signal(Signal::TERM);
        let ended = self.wait_for_end().await;
        assert_eq!(ended.status.code(), Some(0), "{}: {}", self.name, ended.log);
    }

    /// Sends a signal to the process, which must run.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until the process has ended by itself.
    pub async fn wait_for_end(&self) -> Ended {
        self.process.wait_for_end().await
    }

    /// Starts the process, and expects that it exits with an error and without a panic. Returns its log.
    pub async fn expect_start_fails(&self) -> String {
        self.start();
        let Ended { status, log } = self.wait_for_end().await;
        let name = &self.name;
        assert!(!status.success(), "{name} stopped without an error: {log}");
        assert!(status.code().is_some(), "{name} was killed by a signal");
        assert!(!log.contains("panicked"), "{name} panicked: {log}");
        log
    }

    /// Whether the process runs.
    pub fn is_up(&self) -> bool {
        self.process.is_up()
    }

    /// The process's id.
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Its resident set, in bytes.
    pub fn resident_size(&self) -> usize {
        let id = self.process_id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("Linux tells it");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: usize = kib.expect("in KiB").trim().parse().expect("a number");
        kib * 1024
    }

    /// Panics if the process has ended on its own.
    pub fn check_alive(&self) {
        self.process.check_alive();
    }

    /// Expects that what it received did no harm: it is still process `process_id`, ready, and none of
    /// its tasks has panicked.
    pub async fn expect_unharmed(&self, process_id: Option<u32>) {
        let name = &self.name;
        assert_eq!(self.process_id(), process_id, "{name} was restarted");
        self.wait_ready().await;
        assert!(!self.log().contains("panicked"), "{name} panicked");
    }

    /// Waits until the node reports that it is ready.
    pub async fn wait_ready(&self) {
        let what = format!("{} to be ready", self.name);
        until(&what, START_WITHIN, async || self.ready().await).await;
    }

    /// Waits until the node answers requests, ready or not.
    pub async fn wait_alive(&self) {
        let what = format!("{} to be alive", self.name);
        until(&what, START_WITHIN, async || self.health("/livez").await).await;
    }

    /// `Ok` if the node reports that it is ready, otherwise its reason.
    pub async fn ready(&self) -> Result<(), String> {
        self.health("/readyz").await?;
        // It is a member now and needs no token for its next start.
        *self.token_file.lock().expect("no holder panics") = None;
        Ok(())
    }

    async fn health(&self, path: &str) -> Result<(), String> {
        self.check_alive();
        let answer = self.admin(path).await?;
        match answer.status {
            200 => Ok(()),
            _ => Err(answer.text()),
        }
    }

    /// Waits until the node has applied the entries up to this index.
    pub async fn wait_applied(&self, index: u64) {
        let what = format!("{} to have applied entry {index}", self.name);
        until(&what, CONVERGE_WITHIN, async || {
            match self.status().await?.applied_index {
                applied if applied >= index => Ok(()),
                applied => Err(format!("it has applied {applied}")),
            }
        })
        .await;
    }

    /// The output of its last process.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The end of its log with a heading, for printing.
    pub fn log_text(&self) -> String {
        let Self { name, id, .. } = self;
        format!("\n--- {name} ({id}) ---\n{}", self.process.log_end())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.end();
        let Addresses {
            http,
            dns,
            peer,
            admin,
        } = self.addresses;
        for address in [http, dns, peer, admin] {
            // Nothing listens there any more.
            ports::give_back(address);
        }
    }
}
