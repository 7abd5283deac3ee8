//! Checks of settings beyond the type and bounds of each.

use std::net::SocketAddr;

use quorate_raft::is_dialable;
use quorate_setting::{Findings, KeyPath, SettingValue};
use quorate_state::NAME_SIZE_MAX;
use quorate_zone::Origin;

use super::ConfigV1;
use crate::logging;

/// The longest name of a node, in characters: that of a DNS label.
const NAME_LEN_MAX: usize = NAME_SIZE_MAX;

/// The shortest time after which a silent voter may be removed, in seconds: a restart is shorter.
const CLEANUP_AFTER_SECS_MIN: u64 = 10;

/// Checks relations between settings, and address clashes.
pub(super) fn check(config: &ConfigV1) -> Findings {
    let mut findings = Findings::default();
    config.check(&KeyPath::default(), &mut findings);
    check_general(config, &mut findings);
    check_listeners(config, &mut findings);
    check_networks(config, &mut findings);
    check_node(config, &mut findings);
    let origins = config.dns.origins(&"dns".into(), &mut findings);
    check_acme(config, &origins.unwrap_or_default(), &mut findings);
    check_elections(config, &mut findings);
    config.backup.check_target(&mut findings);
    config.dht.check_bridge(&"dht".into(), &mut findings);
    findings
}

fn check_general(config: &ConfigV1, findings: &mut Findings) {
    if config.data_dir.as_os_str().is_empty() {
        findings.error(
            "data_dir",
            "it is empty: set a directory that survives restarts",
        );
    }
}

/// A listener in the check for clashes.
struct ListenerCheck {
    key: String,
    address: SocketAddr,
    /// Whether it uses a TCP port, and a UDP port.
    takes: [bool; 2],
}

/// Checks each listener, and pairs of them on one port.
fn check_listeners(config: &ConfigV1, findings: &mut Findings) {
    config.admin.check_access(&"admin".into(), findings);
    config
        .admin
        .check_socket(&config.data_dir, &"admin".into(), findings);
    check_certificate(config, findings);
    config.dns.check_listeners(&"dns".into(), findings);
    config.http.check_listeners(&"http".into(), findings);
    check_proxies(config, findings);
    config
        .peer
        .listen
        .check_not_empty("peer.listen".into(), findings);
    let listeners = listeners(config);
    for (at, one) in listeners.iter().enumerate() {
        let clash = listeners[..at].iter().find(|other| clashes(one, other));
        if let Some(other) = clash {
            let reason = format!(
                "{} clashes with {}, which listens on {}",
                one.address, other.key, other.address
            );
            findings.error_between([&one.key, &other.key], reason);
        }
    }
}

/// Checks that listeners for proxies have proxies that may connect.
fn check_proxies(config: &ConfigV1, findings: &mut Findings) {
    for (key, listen) in [
        ("http.proxy_listen", &config.http.proxy_listen),
        ("http.proxy_tls_listen", &config.http.proxy_tls_listen),
        ("dns.proxy_listen", &config.dns.proxy_listen),
        ("dns.proxy_tls_listen", &config.dns.proxy_tls_listen),
    ] {
        if !listen.is_empty() && config.http.trusted_proxies.is_empty() {
            let reason = "no proxy may connect to it: list the proxies that do";
            findings.error_between([key, "http.trusted_proxies"], reason);
        }
    }
}

fn listeners(config: &ConfigV1) -> Vec<ListenerCheck> {
    let (dns, http) = (&config.dns, &config.http);
    let (tcp, udp, both) = ([true, false], [false, true], [true, true]);
    let groups: [(&str, &[SocketAddr], [bool; 2]); 11] = [
        ("http.listen", &http.listen, tcp),
        ("peer.listen", &config.peer.listen, tcp),
        ("admin.listen", &config.admin.listen, tcp),
        ("dns.listen", &dns.listen, both),
        ("dns.tls_listen", &dns.tls_listen, tcp),
        ("dns.quic_listen", &dns.quic_listen, udp),
        ("dns.proxy_listen", &dns.proxy_listen, both),
        ("dns.proxy_tls_listen", &dns.proxy_tls_listen, tcp),
        ("http.tls_listen", &http.tls_listen, tcp),
        ("http.proxy_listen", &http.proxy_listen, tcp),
        ("http.proxy_tls_listen", &http.proxy_tls_listen, tcp),
    ];
    let listeners = groups.iter().flat_map(|(key, addresses, takes)| {
        let listen = |(at, address): (usize, &SocketAddr)| ListenerCheck {
            key: match addresses.len() {
                1 => (*key).to_owned(),
                _ => format!("{key}[{at}]"),
            },
            address: *address,
            takes: *takes,
        };
        addresses.iter().enumerate().map(listen).collect::<Vec<_>>()
    });
    listeners.collect()
}

/// Port 0 asks the system for a free port. A listener on an unspecified address takes all of its family.
fn clashes(one: &ListenerCheck, other: &ListenerCheck) -> bool {
    let takes_all_of = |one: &ListenerCheck, other: &ListenerCheck| {
        one.address.ip().is_unspecified() && one.address.is_ipv4() == other.address.is_ipv4()
    };
    let share_a_protocol = (0..2).any(|at| one.takes[at] && other.takes[at]);
    share_a_protocol
        && one.address.port() != 0
        && one.address.port() == other.address.port()
        && (one.address.ip() == other.address.ip()
            || takes_all_of(one, other)
            || takes_all_of(other, one))
}

/// Checks that certificates and keys are set together, and that encrypted listeners have a certificate.
/// The files are read at start.
fn check_certificate(config: &ConfigV1, findings: &mut Findings) {
    let tls = &config.tls;
    tls.check_pairs(&"tls".into(), findings);
    let (dns, http) = (&config.dns, &config.http);
    for (key, needs_it) in [
        ("dns.tls_listen", !dns.tls_listen.is_empty()),
        ("dns.quic_listen", !dns.quic_listen.is_empty()),
        ("dns.proxy_tls_listen", !dns.proxy_tls_listen.is_empty()),
        ("http.tls_listen", !http.tls_listen.is_empty()),
        ("http.proxy_tls_listen", !http.proxy_tls_listen.is_empty()),
        ("admin.tls", config.admin.tls),
    ] {
        if needs_it && !tls.is_set() {
            let reason = "it needs a certificate: set tls.certificate_file and tls.key_file, or tls.acme.directory";
            findings.error(key, reason);
        }
    }
}

/// Checks that the names of the certificate that is ordered are ours.
fn check_acme(config: &ConfigV1, origins: &[Origin], findings: &mut Findings) {
    let zones: Vec<_> = origins.iter().map(|origin| origin.name.clone()).collect();
    let at = KeyPath::from("tls.acme");
    config.tls.acme.check_acme(&zones, &at, findings);
}

/// Rejects lists of networks that cover every address.
fn check_networks(config: &ConfigV1, findings: &mut Findings) {
    for (key, networks, advice) in [
        (
            "http.trusted_proxies",
            &config.http.trusted_proxies,
            "any client could choose the address by which it is limited. List only the addresses of the proxies",
        ),
        (
            "limit.dns_exempt_networks",
            &config.limit.dns_exempt_networks,
            "to exempt everybody, set limit.enabled = false",
        ),
    ] {
        if let Some(family) = networks.covered_family() {
            findings.error(key, format!("this is all of {family}: {advice}"));
        }
    }
}

/// Checks what this node reports to the cluster, and what it does as the leader.
fn check_node(config: &ConfigV1, findings: &mut Findings) {
    let name = &config.cluster.node_name;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.len() > NAME_LEN_MAX || !name.chars().all(fits) {
        let reason = format!(
            "{name:?} is not a valid name: use at most {NAME_LEN_MAX} of a to z, 0 to 9, hyphens, underscores and dots"
        );
        findings.error("cluster.node_name", reason);
    }
    let address = &config.peer.advertise;
    if !address.is_empty() && !is_dialable(address) {
        let reason =
            format!("{address:?} is not a host:port at which other nodes can reach this one");
        findings.error("peer.advertise", reason);
    }
    let after = config.cluster.cleanup_after_secs;
    if (1..CLEANUP_AFTER_SECS_MIN).contains(&after) {
        let reason = format!(
            "{after} is less than {CLEANUP_AFTER_SECS_MIN}: every restart would cost the cluster a \
             voter"
        );
        findings.error("cluster.cleanup_after_secs", reason);
    }
    if let Err(error) = logging::parse_filter(&config.logging.filter) {
        findings.error("logging.filter", error.to_string());
    }
}

fn check_elections(config: &ConfigV1, findings: &mut Findings) {
    const HEARTBEAT: &str = "raft.heartbeat_ms";
    const MIN: &str = "raft.election_timeout_min_ms";
    const MAX: &str = "raft.election_timeout_max_ms";
    let (heartbeat, min) = (
        config.raft.heartbeat_ms,
        config.raft.election_timeout_min_ms,
    );
    let max = config.raft.election_timeout_max_ms;
    if min < heartbeat.saturating_mul(2) {
        let reason = format!(
            "{min} is less than twice {HEARTBEAT} ({heartbeat}): one late heartbeat would cause an election"
        );
        findings.error_between([MIN, HEARTBEAT], reason);
    }
    if max <= min {
        let reason = format!(
            "{max} must be greater than {MIN} ({min}): nodes with the same timeout split their votes"
        );
        findings.error_between([MAX, MIN], reason);
    }
}
