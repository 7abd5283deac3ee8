//! Certificates of six days, from another real authority: acme2certifier, which suggests when to renew.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use quorate_tests::{
    Cluster, Node, ports, voters,
    wait::{START_WITHIN, until},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::Value;

use crate::{
    certificates::{next_certificate, status},
    programs::{clock_from, python_of},
};

/// The program that runs the authority.
const LAUNCHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/authority.py");

const DAY_MS: u64 = 24 * 3600 * 1000;

/// How many days a certificate is valid.
const LIFETIME_DAYS: u64 = 6;

/// How often the certificate is renewed.
const RENEWAL_COUNT: u64 = 3;

/// The authority. Its process ends with this value.
struct Acme2certifier(Child);

impl Acme2certifier {
    /// Starts it with files in `dir` and the clock of `clock`. It asks the DNS server of `node`.
    fn start(dir: &Path, port: u16, node: &Node, clock: &Path) -> Self {
        let write = |file: &str, text: String| {
            fs::write(dir.join(file), text).expect("the file can be written");
        };
        let key = || KeyPair::generate().expect("the system has random bytes");
        let (own, issuing) = (key(), key());
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let params = CertificateParams::new(names).expect("the names are valid");
        let certificate = params.self_signed(&own).expect("it is signed");
        write("tls.pem", certificate.pem());
        write("tls.key", own.serialize_pem());
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&issuing).expect("it is signed");
        write("ca.pem", certificate.pem());
        write("ca.key", issuing.serialize_pem());
        fs::create_dir(dir.join("issued")).expect("it can be created");
        let dns = node.addresses().dns;
        let at = dir.display();
        write(
            "acme_srv.cfg",
            format!(
                "[DEFAULT]\ndns_server_list: [\"{}\"]\n\
                 [Account]\ncontact_check_disable: True\n\
                 [DBhandler]\nhandler: wsgi\ndbfile: {at}/a2c.db\n\
                 [CAhandler]\nhandler_module: acme2certifier.cahandlers.openssl_ca_handler\n\
                 issuing_ca_key: {at}/ca.key\nissuing_ca_cert: {at}/ca.pem\n\
                 issuing_ca_crl: {at}/ca.crl\nca_cert_chain_list: []\n\
                 cert_validity_days: {LIFETIME_DAYS}\ncert_save_path: {at}/issued\n\
                 cn_enforce: True\n",
                dns.ip()
            ),
        );
        let log = File::create(dir.join("log")).expect("the file can be written");
        let process = Command::new(python_of("acme2certifier"))
            .arg(LAUNCHER)
            .arg(port.to_string())
            .arg(dir)
            .arg(dns.port().to_string())
            .env("ACME_SRV_CONFIGFILE", dir.join("acme_srv.cfg"))
            .envs(clock_from(clock))
            // Read each time: behind the node's clock it would give an order that soon is too old.
            .env("FAKETIME_NO_CACHE", "1")
            .stdout(log.try_clone().expect("it is open"))
            .stderr(Stdio::from(log))
            .spawn();
        Self(process.expect("it can be started"))
    }
}

impl Drop for Acme2certifier {
    fn drop(&mut self) {
        // It is our own child, and nothing can be done if it cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_six_days_are_renewed_again_and_again() {
    let dir = tempfile::tempdir().expect("a temporary directory can be created");
    let clock = dir.path().join("clock");
    let move_to = |days: u64| {
        let new = dir.path().join("clock.new");
        let written = fs::write(&new, format!("+{days}d\n"));
        let moved = written.and_then(|()| fs::rename(&new, &clock));
        moved.expect("the file can be replaced");
    };
    move_to(0);
    let address = ports::take_address();
    let root = dir.path().join("tls.pem");
    let cluster = Cluster::prepare(&voters(1).with_config(&format!(
        "\n[tls.acme]\ndirectory = \"https://{address}/directory\"\nroot_file = {root:?}\n"
    )));
    let node = cluster.node(1);
    let _authority = Acme2certifier::start(dir.path(), address.port(), &node, &clock);
    node.set_environment(clock_from(&clock));
    until("the authority to start", START_WITHIN, async || {
        let connected = tokio::net::TcpStream::connect(address).await;
        connected.map(drop).map_err(|error| error.to_string())
    })
    .await;
    node.start();
    node.wait_ready().await;
    let mut serial = next_certificate(&node, None).await;
    for count in 1..=RENEWAL_COUNT {
        // The authority suggests the last 15 % of the lifetime; without that, it would be two thirds.
        let before = until(
            "the suggestion of the authority",
            START_WITHIN,
            async || {
                let status = status(&node).await?;
                let (from, to) = lifetime(&status);
                let renewal = status["renew_at_ms"].as_u64().ok_or("it is not planned")?;
                let part = (renewal - from) as f64 / (to - from) as f64;
                let is_suggested = (0.84..=1.0).contains(&part);
                is_suggested
                    .then_some(status)
                    .ok_or_else(|| part.to_string())
            },
        )
        .await;
        let lifetime = lifetime(&before);
        move_to(count * LIFETIME_DAYS);
        serial = next_certificate(&node, Some(&serial)).await;
        let after = status(&node).await.expect("it answers");
        assert!(self::lifetime(&after).0 >= lifetime.0 + (LIFETIME_DAYS - 1) * DAY_MS);
    }
    ports::give_back(address);
}

/// From when until when the certificate is valid.
fn lifetime(status: &Value) -> (u64, u64) {
    let time = |name: &str| status["certificate"][name].as_u64().expect("a time");
    (time("not_before_ms"), time("not_after_ms"))
}
