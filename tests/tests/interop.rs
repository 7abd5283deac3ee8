//! DNS tools, and other resolvers in front of a node.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};
use pkarr::Keypair;
use quorate_tests::{
    Cluster, Node, dns,
    packet::{now_micros, sign},
    ports, voters,
    wait::{START_WITHIN, until},
};
use tempfile::TempDir;

use crate::programs::{need, run};

/// The zone that the resolvers are told of.
const ZONE: &str = "quorate.test.";

/// Negative answers stay for a second, so that the tests see what comes after them.
const SETTINGS: &str = r#"
[[dns.origins]]
name = "quorate.test."
ns = ["ns1.quorate.test."]
ttl_secs = 60
soa = { minimum_secs = 1 }
ns_addresses = { "ns1.quorate.test." = ["127.0.0.1"] }
"#;

/// The TTL of published records, in seconds, so that updates are seen soon.
const TTL_SECS: u32 = 1;

/// How long a resolver may take to see an update.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn unbound_resolves_what_is_published() {
    let cluster = Cluster::start(voters(1).with_dns(SETTINGS)).await;
    let node = cluster.node(1);
    let resolver = Resolver::unbound(node.addresses().dns);
    resolves_what_is_published(&node, &resolver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bind_resolves_what_is_published() {
    let cluster = Cluster::start(voters(1).with_dns(SETTINGS)).await;
    let node = cluster.node(1);
    let resolver = Resolver::named(node.addresses().dns);
    resolves_what_is_published(&node, &resolver).await;
}

async fn resolves_what_is_published(node: &Node, resolver: &Resolver) {
    resolver.wait_ready().await;
    let alice = Keypair::random();
    let under = |name: &str| format!("{name}{}.{ZONE}", alice.to_z32());
    let iroh = under("_iroh.");

    // A negative answer is cached for a while; then the record is seen.
    resolver
        .expect(&iroh, RecordType::TXT, ResponseCode::NXDomain)
        .await;
    publish(node, &alice, &[("_iroh", txt("first"))]).await;
    resolver.wait_for_text(&iroh, "first").await;

    // Types and names without data poison nothing: the key itself, which who minimises asks for
    // first, is one of them.
    let bob = Keypair::random();
    publish(node, &bob, &[("_iroh", txt("bob"))]).await;
    for name in ["", "_iroh."] {
        let name = format!("{name}{}.{ZONE}", bob.to_z32());
        for record_type in [RecordType::A, RecordType::AAAA, RecordType::NS] {
            let answer = resolver
                .expect(&name, record_type, ResponseCode::NoError)
                .await;
            assert!(answer.answers.is_empty(), "{answer}");
        }
    }
    let name = format!("_iroh.{}.{ZONE}", bob.to_z32());
    assert_eq!(
        resolver.texts(&name).await,
        ["bob"],
        "right after it was published"
    );

    publish(node, &alice, &[("_iroh", txt("second"))]).await;
    resolver.wait_for_text(&iroh, "second").await;

    let long: Vec<_> = (0..3)
        .map(|n| ("long", txt(&n.to_string().repeat(250))))
        .collect();
    let alias = |target: &str| {
        let target = format!("{target}.{}.", alice.to_z32());
        RData::CNAME(rdata::CNAME(
            Name::from_ascii(target).expect("it is a name"),
        ))
    };
    let mut records = vec![("_iroh", txt("second")), ("www", alias("_iroh"))];
    records.extend([("*.wild", txt("wild"))]);
    publish(node, &alice, &records).await;
    let www = under("www.");
    resolver.wait_for_text(&www, "second").await;
    assert_eq!(resolver.texts(&under("a.b.wild.")).await, ["wild"]);
    // What does not fit a datagram comes over TCP.
    publish(node, &alice, &long).await;
    until("a long answer", SEEN_WITHIN, async || {
        match resolver.texts(&under("long.")).await.len() {
            3 => Ok(()),
            count => Err(format!("{count} texts")),
        }
    })
    .await;
    resolver
        .expect(&under("nothing."), RecordType::TXT, ResponseCode::NXDomain)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kdig_drill_and_delv_find_records_over_udp_and_tcp() {
    let cluster = Cluster::start(voters(1).with_dns(SETTINGS)).await;
    let (node, alice) = (cluster.node(1), Keypair::random());
    publish(&node, &alice, &[("_iroh", txt("here"))]).await;
    let name = format!("_iroh.{}.{ZONE}", alice.to_z32());
    let server = node.addresses().dns;
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());

    let kdig = |arguments: &[&str]| {
        let program = need("kdig", "knot-dnsutils");
        run(Command::new(program)
            .args([&*at, "-p", &port])
            .args(arguments))
    };
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(kdig(&[transport, "+short", &name, "TXT"]), "\"here\"\n");
    }
    let output = kdig(&["+ignore", "+bufsize=1232", "+cookie", "+nsid", &name, "TXT"]);
    for expected in ["status: NOERROR", "Flags: qr aa", "Version: 0"] {
        assert!(output.contains(expected), "{expected:?} is not in {output}");
    }

    let drill = |arguments: &[&str]| {
        let program = need("drill", "ldnsutils");
        run(Command::new(program)
            .args(["-p", &port])
            .args(arguments)
            .args([&*at, &name, "TXT"]))
    };
    for transport in ["-u", "-t"] {
        let output = drill(&[transport]);
        assert!(
            output.contains("\"here\"") && output.contains("rcode: NOERROR"),
            "{output}"
        );
    }

    // `-i`: nothing is signed, so that nothing can be validated.
    let delv = need("delv", "bind9-dnsutils");
    let arguments = ["-i", "+nodnssec", &*at, "-p", &port, &name, "TXT"];
    let output = run(Command::new(delv).args(arguments));
    assert!(output.contains("\"here\""), "{output}");
}

fn txt(text: &str) -> RData {
    RData::TXT(rdata::TXT::new(vec![text.to_owned()]))
}

/// PUTs a packet of these records, each a name relative to the key and its data.
async fn publish(node: &Node, keys: &Keypair, records: &[(&str, RData)]) {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    for (name, data) in records {
        let name = Name::from_ascii(format!("{name}.{}.", keys.to_z32())).expect("a name");
        message.add_answer(Record::from_rdata(name, TTL_SECS, data.clone()));
    }
    let packet = sign(keys, now_micros(), &message.to_vec().expect("it is short"));
    let answer = node.put_bytes(&packet.key, packet.payload).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Another resolver that forwards one zone to a node. Its process ends when this is dropped.
struct Resolver {
    name: &'static str,
    address: SocketAddr,
    process: Child,
    dir: TempDir,
}

impl Resolver {
    /// Unbound: it minimises names strictly, mixes the case of letters, and takes NXDOMAIN as a word
    /// on all names below.
    fn unbound(server: SocketAddr) -> Self {
        let address = ports::take_address();
        let config = format!(
            r#"server:
    interface: {ip}@{port}
    port: {port}
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    verbosity: 1
    num-threads: 1
    do-ip6: no
    do-not-query-localhost: no
    module-config: "iterator"
    qname-minimisation: yes
    qname-minimisation-strict: yes
    harden-below-nxdomain: yes
    use-caps-for-id: yes
    local-zone: "test." nodefault
remote-control:
    control-enable: no
stub-zone:
    name: "{ZONE}"
    stub-addr: {stub}@{stub_port}
"#,
            ip = address.ip(),
            port = address.port(),
            stub = server.ip(),
            stub_port = server.port(),
        );
        Self::start("unbound", address, &config, &["-d", "-c"])
    }

    /// BIND: it minimises names strictly.
    fn named(server: SocketAddr) -> Self {
        let address = ports::take_address();
        // `port` is where it asks others, which is 53 elsewhere.
        let config = format!(
            r#"options {{
    directory ".";
    pid-file none;
    lock-file none;
    session-keyfile none;
    port {stub_port};
    listen-on port {port} {{ {ip}; }};
    listen-on-v6 {{ none; }};
    recursion yes;
    dnssec-validation no;
    empty-zones-enable no;
    qname-minimization strict;
    max-cache-size 16M;
}};
controls {{ }};
zone "{ZONE}" {{
    type static-stub;
    server-addresses {{ {stub}; }};
}};
"#,
            ip = address.ip(),
            port = address.port(),
            stub = server.ip(),
            stub_port = server.port(),
        );
        Self::start("named", address, &config, &["-g", "-n", "1", "-c"])
    }

    /// Starts the program in the foreground, as our own child.
    fn start(name: &'static str, address: SocketAddr, config: &str, arguments: &[&str]) -> Self {
        let dir =
            TempDir::with_prefix("quorate-tests-").expect("a temporary directory can be created");
        let file = dir.path().join("config");
        fs::write(&file, config).expect("the file can be written");
        let log = File::create(dir.path().join("log")).expect("the file can be made");
        let process = Command::new(copied(name, dir.path()))
            .args(arguments)
            .arg(file)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle can be copied"))
            .stderr(log)
            .spawn();
        Self {
            name,
            address,
            process: process.expect("the program can be started"),
            dir,
        }
    }

    async fn wait_ready(&self) {
        let what = format!("{} to answer", self.name);
        until(&what, START_WITHIN, async || {
            let answer = self.ask(ZONE, RecordType::SOA).await?;
            match answer.response_code {
                ResponseCode::NoError => Ok(()),
                _ => Err(format!("{answer}\n{}", self.log())),
            }
        })
        .await;
    }

    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Message, String> {
        let question = dns::question(name, record_type);
        match dns::ask_udp(self.address, &question).await {
            Ok(answer) if answer.truncation => dns::ask_tcp(self.address, &question).await,
            answer => answer,
        }
    }

    async fn expect(&self, name: &str, record_type: RecordType, rcode: ResponseCode) -> Message {
        let answer = self.ask(name, record_type).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        assert_eq!(
            answer.response_code,
            rcode,
            "{name}: {answer}\n{}",
            self.log()
        );
        answer
    }

    async fn texts(&self, name: &str) -> Vec<String> {
        let answer = self
            .expect(name, RecordType::TXT, ResponseCode::NoError)
            .await;
        dns::texts(&answer)
    }

    async fn wait_for_text(&self, name: &str, text: &str) {
        let what = format!("{text:?} from {}", self.name);
        until(&what, SEEN_WITHIN, async || {
            let answer = self.ask(name, RecordType::TXT).await?;
            match dns::texts(&answer) == [text] {
                true => Ok(()),
                false => Err(answer.to_string()),
            }
        })
        .await;
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        // An error means that it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        ports::give_back(self.address);
    }
}

/// A copy of the program in `dir`: what AppArmor allows a server it allows by its path, and that is
/// not to read files of tests.
fn copied(name: &str, dir: &Path) -> PathBuf {
    let package = if name == "named" { "bind9" } else { name };
    let copy = dir.join(name);
    fs::copy(need(name, package), &copy).expect("the program can be copied");
    copy
}
