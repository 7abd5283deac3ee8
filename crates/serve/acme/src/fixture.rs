//! A cluster of one fake replica, a DNS server for its zones, and a real authority: pebble.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hickory_proto::{
    op::{Message, OpCode},
    rr::{
        Name, RData, Record,
        rdata::{CNAME, TXT},
    },
};
use instant_acme::RevocationRequest;
use quorate_disk::LinuxDisk;
use quorate_fake::FakeReplica;
use quorate_metrics::Registry;
use quorate_replica::{CertificateOperator, Role, UnixMillis, WireName};
use quorate_zone::file::parse_name;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Acme, AcmeConfig, AcmeMetrics,
    account::account,
    certificate_check::first_of,
    clock::Clock,
    context::{Context, TimeLimits},
    documents::{AccountDocument, CertificateDocument, Document, OrderDocument},
    stored::Slot,
};

/// How long to wait for anything: much longer than it takes.
const PATIENCE: Duration = Duration::from_secs(40);

/// The key of an external account that pebble knows as `kid-1`.
pub(crate) const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

pub(crate) fn name(text: &str) -> WireName {
    parse_name(text, &WireName::root()).unwrap()
}

/// A clock that tests move.
#[derive(Debug, Default)]
pub(crate) struct MovedClock(AtomicU64);

impl MovedClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }

    pub(crate) fn clock(self: &Arc<Self>) -> Clock {
        let moved = self.clone();
        Clock::new(move || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            UnixMillis(since.as_millis() as u64 + moved.0.load(Ordering::SeqCst))
        })
    }
}

/// A replica with the zone `example.org`, whose secrets survive the nodes that run on it.
pub(crate) struct Cluster {
    pub(crate) replica: Arc<FakeReplica>,
    pub(crate) clock: Arc<MovedClock>,
    pub(crate) registry: Registry,
    pub(crate) metrics: AcmeMetrics,
    pub(crate) limits: TimeLimits,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        Self {
            replica: FakeReplica::new(),
            clock: Arc::default(),
            metrics: AcmeMetrics::register(&registry).unwrap(),
            registry,
            limits: TimeLimits {
                attempt: Duration::from_secs(30),
                request: Duration::from_secs(10),
            },
        }
    }

    /// Starts a node.
    pub(crate) fn node(&self, config: AcmeConfig) -> Acme {
        Acme::run(self.context(config))
    }

    /// The type of the problem with which the authority refuses to revoke a certificate.
    pub(crate) async fn revoke(
        &self,
        config: AcmeConfig,
        document: &CertificateDocument,
    ) -> String {
        let context = self.context(config);
        let account = account(&context, &context.client().unwrap()).await.unwrap();
        let request = RevocationRequest {
            certificate: &first_of(&document.chain_pem).unwrap(),
            reason: None,
        };
        match account.revoke(&request).await {
            Err(instant_acme::Error::Api(problem)) => problem.r#type.unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn context(&self, config: AcmeConfig) -> Context {
        Context::new(
            config,
            &[name("example.org"), name("example.net")],
            self.replica.clone(),
            Arc::new(LinuxDisk),
            self.metrics.clone(),
            self.clock.clock(),
            self.limits,
        )
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == format!("quorate_acme_{name}"));
        let metrics = family.expect("a metric").get_metric();
        let is_it = |metric: &&prometheus::proto::Metric| {
            metric.get_label().iter().all(|pair| pair.value() == label)
        };
        let metric = metrics.iter().find(is_it).expect("a label");
        (metric.get_counter().get_value() + metric.get_gauge().get_value()) as u64
    }

    pub(crate) fn set_role(&self, role: Role) {
        self.replica.change_status(|status| status.role = role);
    }

    pub(crate) fn document<D: Document>(&self) -> Option<D> {
        Slot::<D>::load(&*self.replica).unwrap().document
    }

    /// Stores a document where there is none.
    pub(crate) async fn store<D: Document>(&self, document: D) {
        let mut slot = Slot::load(&*self.replica).unwrap();
        slot.save(&*self.replica, document).await.unwrap();
    }

    pub(crate) fn certificate(&self) -> Option<CertificateDocument> {
        self.document()
    }

    pub(crate) fn order(&self) -> OrderDocument {
        self.document().unwrap_or_default()
    }

    pub(crate) fn account(&self) -> AccountDocument {
        self.document().expect("an account")
    }

    /// Waits for a certificate with another key than this, and for the end of its order.
    pub(crate) async fn next_certificate(
        &self,
        before: Option<&CertificateDocument>,
    ) -> CertificateDocument {
        let before = before.map(|before| before.key_pem.clone());
        let what = || format!("a new certificate; there is {:?}", self.order());
        wait_for(what, || {
            let certificate = self.certificate()?;
            let is_done = self.order().pending.is_none() && self.order().records.is_empty();
            let is_new = Some(&certificate.key_pem) != before.as_ref();
            (is_new && is_done).then_some(certificate)
        })
        .await
    }

    /// Waits for a failure after this many.
    pub(crate) async fn next_failure(&self, count: u32) -> OrderDocument {
        let what = || format!("failure {}; there is {:?}", count + 1, self.order());
        wait_for(what, || {
            Some(self.order()).filter(|order| order.attempts.failure_count > count)
        })
        .await
    }

    /// The TXT records at a name.
    pub(crate) fn texts(&self, zone: &str, owner: &str) -> Vec<String> {
        texts(&self.replica, &name(zone), &name(owner))
    }
}

pub(crate) async fn wait_for<T>(
    what: impl Fn() -> String,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {}", what());
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn no_order(node: &Acme) -> bool {
    node.status().order.is_none()
}

fn texts(replica: &FakeReplica, zone: &WireName, owner: &WireName) -> Vec<String> {
    let state = quorate_replica::Reader::zone_state(replica);
    let set = state
        .zones
        .get(zone)
        .and_then(|zone| zone.sets.get(&(owner.clone(), 16)));
    let rdata = set.map(|set| set.rdata.clone()).unwrap_or_default();
    rdata
        .iter()
        .map(|data| String::from_utf8(data[1..].to_vec()).unwrap())
        .collect()
}

/// Answers queries for TXT from the zones of a replica, over UDP and TCP. The zone `example.com` elsewhere leads
/// its challenges here.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Dns {
    pub(crate) async fn start(replica: Arc<FakeReplica>) -> Self {
        let (socket, listener) = loop {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // Newer versions of pebble ask over TCP.
            if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()).await {
                break (socket, listener);
            }
        };
        let address = socket.local_addr().unwrap();
        let udp_replica = replica.clone();
        let udp = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (size, from) = socket.recv_from(&mut buffer).await.unwrap();
                let response = respond(&udp_replica, &buffer[..size]);
                socket.send_to(&response, from).await.unwrap();
            }
        });
        let tcp = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let replica = replica.clone();
                tokio::spawn(async move {
                    while let Ok(size) = stream.read_u16().await {
                        let mut query = vec![0; size.into()];
                        stream.read_exact(&mut query).await.ok()?;
                        let response = respond(&replica, &query);
                        stream.write_u16(response.len() as u16).await.ok()?;
                        stream.write_all(&response).await.ok()?;
                    }
                    Some(())
                });
            }
        });
        Self {
            address,
            _tasks: [udp, tcp].map(AbortOnDropHandle::new),
        }
    }
}

fn respond(replica: &FakeReplica, query: &[u8]) -> Vec<u8> {
    let query = Message::from_vec(query).unwrap();
    let mut response = Message::response(query.metadata.id, OpCode::Query);
    response.metadata.authoritative = true;
    response.queries = query.queries.clone();
    let mut owner = query.queries[0].name().to_ascii().to_ascii_lowercase();
    let record = |owner: &str, data| Record::from_rdata(Name::from_ascii(owner).unwrap(), 1, data);
    if owner == "_acme-challenge.www.example.com." {
        let target = "www-challenge.example.net.";
        let data = RData::CNAME(CNAME(Name::from_ascii(target).unwrap()));
        response.add_answer(record(&owner, data));
        owner = target.to_owned();
    }
    for zone in ["example.org", "example.net"] {
        for text in texts(replica, &name(zone), &name(&owner)) {
            response.add_answer(record(&owner, RData::TXT(TXT::new(vec![text]))));
        }
    }
    response.to_vec().unwrap()
}

/// A certificate authority.
pub(crate) struct Pebble {
    child: Child,
    dir: TempDir,
    address: SocketAddr,
}

impl Pebble {
    /// Starts pebble. `None` if it is not installed, and that is accepted.
    pub(crate) async fn start(dns: &Dns, wants_eab: bool) -> Option<Self> {
        Self::start_with(dns, wants_eab, 6 * 24 * 3600).await
    }

    pub(crate) async fn start_with(dns: &Dns, wants_eab: bool, valid_secs: u64) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let path = |file: &str| dir.path().join(file);
        let tls = Tls::new();
        fs::write(path("root.pem"), &tls.root_pem).unwrap();
        fs::write(path("cert.pem"), &tls.certificate_pem).unwrap();
        fs::write(path("key.pem"), &tls.key_pem).unwrap();
        let address = free_address();
        let config = serde_json::json!({"pebble": {
            "listenAddress": address.to_string(),
            "managementListenAddress": "",
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": 5002,
            "tlsPort": 5001,
            "externalAccountBindingRequired": wants_eab,
            "externalAccountMACKeys": {"kid-1": EAB_KEY},
            "certificateValidityPeriod": valid_secs,
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "default", "validityPeriod": valid_secs}},
        }});
        fs::write(path("pebble.json"), config.to_string()).unwrap();
        let log = File::create(path("log")).unwrap();
        let program = std::env::var("QUORATE_PEBBLE").unwrap_or_else(|_| "pebble".to_owned());
        let started = Command::new(program)
            .arg("-config")
            .arg(path("pebble.json"))
            .args(["-dnsserver", &dns.address.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) if std::env::var_os("QUORATE_SKIP_PEBBLE").is_some() => {
                skip(&format!("pebble cannot be started ({error})"));
                return None;
            }
            Err(error) => {
                panic!("pebble cannot be started ({error}): run `apt-get install pebble`")
            }
        };
        let pebble = Self {
            child,
            dir,
            address,
        };
        wait_for(
            || format!("pebble: {}", pebble.log()),
            || std::net::TcpStream::connect(address).ok(),
        )
        .await;
        Some(pebble)
    }

    pub(crate) fn config(&self, names: &[&str]) -> AcmeConfig {
        AcmeConfig {
            directory: format!("https://{}/dir", self.address),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            root_file: self.dir.path().join("root.pem"),
            ..AcmeConfig::default()
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// How many orders were created.
    pub(crate) fn order_count(&self) -> usize {
        self.count("Added order")
    }

    /// How many accounts were created.
    pub(crate) fn account_count(&self) -> usize {
        self.count("accounts in memory")
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that a test, or the rest of it, is skipped.
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the output of tests must see it"
)]
pub(crate) fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

/// An address of loopback that no other process of these tests uses, and a port that is free there. Otherwise
/// another process could take the port before pebble does.
fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind((own_ip(), 0)).unwrap();
    listener.local_addr().unwrap()
}

fn own_ip() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 63), middle, low)
}

/// A certificate, and the authority that has issued it: by default that of an authority's own server.
pub(crate) struct Tls {
    pub(crate) root_pem: String,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Tls {
    pub(crate) fn new() -> Self {
        Self::issue(&["127.0.0.1", &own_ip().to_string()], |_| {})
    }

    /// A certificate for these names, changed by `change`, and its new authority.
    pub(crate) fn issue(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        Self {
            root_pem,
            certificate_pem: params.signed_by(&key, &issuer).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }
}
