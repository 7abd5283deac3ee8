use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use quorate_admin::LogControl;
use quorate_limit::PutEffect;
use tracing_subscriber::{Registry, filter::Targets, reload::Layer};

use super::*;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The settings of a node and their file.
struct Fixture {
    dir: tempfile::TempDir,
    settings: LiveSettings,
    _logged: Layer<Targets, Registry>,
}

/// A limit of one PUT: only the second PUT shows whether it is in force.
const TIGHT: &str = "[limit]\nput_burst = 1\nput_per_sec = 1\n";

impl Fixture {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (logging, logged) = Logging::detached("info");
        write(&dir, text);
        fs::write(tokens(&dir), "").unwrap();
        let sources = Sources {
            file: Some(file(&dir)),
            ..Sources::default()
        };
        let config = config::load(sources.clone()).unwrap().config;
        let settings = LiveSettings::new(&config, Some(sources), logging, metrics()).unwrap();
        let fixture = Self {
            dir,
            settings,
            _logged: logged,
        };
        // Applies the configured log filter.
        fixture.reload();
        fixture
    }

    fn reload(&self) -> (String, String) {
        let report = self.settings.reload().unwrap();
        (report.changed.join(" "), report.needs_restart.join(" "))
    }

    /// Writes the file, reloads it, and returns the changed settings.
    fn reload_with(&self, text: &str) -> (String, String) {
        write(&self.dir, text);
        self.reload()
    }

    /// Returns whether a client may send another PUT.
    fn accepts_put(&self) -> bool {
        let limits = &self.settings.rules.limits;
        limits.check_put(CLIENT, PutEffect::Unchanged).is_ok()
    }
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("quorate.toml")
}

fn metrics() -> quorate_limit::LimitMetrics {
    quorate_limit::LimitMetrics::register(&prometheus::Registry::new()).unwrap()
}

fn tokens(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("tokens")
}

fn write(dir: &tempfile::TempDir, text: &str) {
    let tokens = tokens(dir);
    let text = format!("version = 1\n{text}[admin]\ntokens_file = {tokens:?}\n");
    fs::write(file(dir), text).unwrap();
}

fn outcome(changed: &str, needs_restart: &str) -> (String, String) {
    (changed.to_owned(), needs_restart.to_owned())
}

#[test]
fn a_file_with_the_same_settings_changes_nothing() {
    let node = Fixture::new(TIGHT);
    assert!(node.accepts_put());
    assert_eq!(node.reload(), outcome("", ""));
    assert!(!node.accepts_put(), "the limit keeps its counters");
}

#[test]
fn limits_and_proxies_apply_immediately() {
    let node = Fixture::new(TIGHT);
    assert!(node.accepts_put() && !node.accepts_put());
    let changed = node.reload_with("[limit]\nput_burst = 3\nput_per_sec = 1\n");
    assert_eq!(changed, outcome("limit.put_burst", ""));
    assert!(node.accepts_put() && node.accepts_put());
    let changed = node.reload_with(
        "[limit]\nput_burst = 3\nput_per_sec = 1\n[http]\ntrusted_proxies = [\"10.0.0.0/8\"]\n",
    );
    assert_eq!(changed, outcome("http.trusted_proxies", ""));
    assert!(
        node.accepts_put() && !node.accepts_put(),
        "the limit keeps its counters"
    );
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let proxies = node.settings.rules.trusted_proxies.load();
    let client = proxies.client_address(proxy, ["192.0.2.1"].into_iter(), [].into_iter());
    assert_eq!(client, CLIENT);
}

#[test]
fn networks_become_exempt_from_dns_limits_immediately() {
    let node = Fixture::new("");
    let limits = node.settings.answer_limits.clone();
    assert!(!limits.is_exempt(CLIENT));
    let changed = node.reload_with("[limit]\ndns_exempt_networks = [\"192.0.2.0/24\"]\n");
    assert_eq!(changed, outcome("limit.dns_exempt_networks", ""));
    assert!(limits.is_exempt(CLIENT));
    node.reload_with("");
    assert!(!limits.is_exempt(CLIENT));
    node.reload_with("[limit]\nenabled = false\n");
    assert!(limits.is_exempt(CLIENT), "nothing is limited");
}

#[test]
fn settings_that_need_a_restart_are_listed_each_time() {
    let node = Fixture::new("");
    let listen = "[http]\nlisten = \"127.0.0.1:1\"\n";
    assert_eq!(node.reload_with(listen), outcome("", "http.listen"));
    assert_eq!(node.reload(), outcome("", "http.listen"));
    assert_eq!(node.reload_with(""), outcome("", ""));
}

#[test]
fn a_filter_by_an_operator_holds_until_the_next_reload() {
    let node = Fixture::new("");
    let configured = node.settings.logging.filter();
    node.settings.logging.set_filter("debug").unwrap();
    assert_eq!(node.reload(), outcome("logging.filter", ""));
    assert_eq!(node.settings.logging.filter(), configured);
    let changed = node.reload_with("[logging]\nfilter = \"warn\"\n");
    assert_eq!(changed, outcome("logging.filter", ""));
    assert_eq!(node.settings.logging.filter(), "warn");
}

#[test]
fn a_reload_reads_the_tokens() {
    let node = Fixture::new("");
    let hash = "0".repeat(64);
    fs::write(tokens(&node.dir), format!("ci read sha256:{hash}\n")).unwrap();
    assert_eq!(node.reload(), outcome("admin.tokens_file", ""));
    assert_eq!(node.reload(), outcome("", ""));
}

#[test]
fn a_reload_replaces_the_certificate_unless_it_is_invalid() {
    let dir = tempfile::tempdir().unwrap();
    let files = quorate_http::CertificateFiles {
        certificate_file: dir.path().join("certificate.pem"),
        key_file: dir.path().join("key.pem"),
    };
    files.make(&LinuxDisk, ["localhost"]).unwrap();
    let (certificate, key) = (&files.certificate_file, &files.key_file);
    let text = format!("[tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n");
    let node = Fixture::new(&text);
    assert_eq!(node.reload(), outcome("", ""));
    files.make(&LinuxDisk, ["localhost"]).unwrap();
    assert_eq!(node.reload(), outcome("tls.certificate_file", ""));
    fs::write(key, "").unwrap();
    let error = node.settings.reload().unwrap_err();
    assert!(error.contains("no private key"), "{error}");
    assert_eq!(node.settings.in_force().tls, files);
}

#[test]
fn a_file_with_an_error_changes_nothing_and_its_line_is_reported() {
    let node = Fixture::new(TIGHT);
    let filter = node.settings.logging.filter();
    write(
        &node.dir,
        "[limit]\nenabled = false\n[logging]\nfilter = \"warn\"\n[put]\ndeadline_ms = 1\n",
    );
    let error = node.settings.reload().unwrap_err();
    assert!(error.contains("quorate.toml:7: put.deadline_ms"), "{error}");
    write(
        &node.dir,
        "[limit]\nenabled = false\n[logging]\nfilter = \"warn\"\n",
    );
    fs::write(tokens(&node.dir), "ci everything sha256:0\n").unwrap();
    let error = node.settings.reload().unwrap_err();
    assert!(error.contains("line 1"), "{error}");
    assert_eq!(node.settings.logging.filter(), filter);
    assert!(node.accepts_put() && !node.accepts_put());
    assert!(node.settings.in_force().limit.enabled);
}

#[test]
fn a_node_without_a_file_reports_it() {
    let (logging, _logged) = Logging::detached("info");
    let settings = LiveSettings::new(&ConfigV1::default(), None, logging, metrics()).unwrap();
    let error = settings.reload().unwrap_err();
    assert!(error.contains("cannot be reloaded"), "{error}");
}

/// Every key in the list of live settings must exist.
#[test]
fn every_live_setting_exists() {
    let all = keys_of_all_settings();
    for live in LIVE {
        assert!(all.iter().any(|key| key == live), "{live}");
    }
}

fn keys_of_all_settings() -> Vec<String> {
    let mut keys = Vec::new();
    for section in ConfigV1::declared() {
        let inner = section.inner.iter();
        keys.extend(inner.map(|setting| format!("{}.{}", section.key, setting.key)));
        keys.push(section.key.to_owned());
    }
    keys
}
