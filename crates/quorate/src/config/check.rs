//! What must hold of the settings beyond the form of each.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive};

use hickory_proto::rr::Name;
use quorate_authority::{Authority, NEGATIVE_TTL_SECS_MAX};
use quorate_limit::TrustedProxies;

use super::{
    KeyPath,
    form::{ConfigV1, Origin, VERSION},
};

/// The most founding voters. Every PUT waits for a majority, so that more of them make a cluster
/// slower and hardly safer.
const NODES_COUNT_MAX: usize = 9;

/// The most origins: every query is compared with each.
const ORIGINS_COUNT_MAX: usize = 64;

/// The longest name of a cluster, in characters: that of a DNS label.
const CLUSTER_NAME_LEN_MAX: usize = 63;

const MEBIBYTE: u64 = 1024 * 1024;
const GIBIBYTE: u64 = 1024 * MEBIBYTE;
const DAY_SECS: u64 = 24 * 3600;

/// One thing that the checks found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) key: KeyPath,
    /// The other key, where two do not go together: whoever set that one alone has to look there.
    pub(super) related: Option<KeyPath>,
    pub(super) reason: String,
}

/// What the checks found, each at its key.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What keeps a node from starting.
    pub(super) errors: Vec<Finding>,
    /// What is allowed but doubtful.
    pub(super) warnings: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, key: impl Into<KeyPath>, reason: impl Into<String>) {
        self.errors.push(Finding {
            key: key.into(),
            related: None,
            reason: reason.into(),
        });
    }

    fn error_between(&mut self, [key, related]: [&str; 2], reason: impl Into<String>) {
        self.errors.push(Finding {
            key: key.into(),
            related: Some(related.into()),
            reason: reason.into(),
        });
    }

    fn warning(&mut self, key: impl Into<KeyPath>, reason: impl Into<String>) {
        self.warnings.push(Finding {
            key: key.into(),
            related: None,
            reason: reason.into(),
        });
    }

    fn bound(
        &mut self,
        key: impl Into<KeyPath>,
        value: u64,
        bounds: RangeInclusive<u64>,
        why: &str,
    ) {
        if !bounds.contains(&value) {
            let (min, max) = bounds.into_inner();
            self.error(key, format!("{value} is not from {min} to {max}: {why}"));
        }
    }
}

/// Checks bounds, relations and clashes.
pub(super) fn check(config: &ConfigV1) -> Findings {
    let mut findings = Findings::default();
    check_general(config, &mut findings);
    check_listeners(config, &mut findings);
    check_proxies(config, &mut findings);
    check_nodes(config, &mut findings);
    check_origins(config, &mut findings);
    check_bounds(config, &mut findings);
    check_raft(config, &mut findings);
    findings
}

fn check_general(config: &ConfigV1, findings: &mut Findings) {
    if config.version != VERSION {
        findings.error("version", format!("this program reads version {VERSION}"));
    }
    if config.data_dir.as_os_str().is_empty() {
        findings.error(
            "data_dir",
            "it is empty: name a directory that outlives restarts",
        );
    }
    let name = &config.cluster.name;
    let fits = (1..=CLUSTER_NAME_LEN_MAX).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !fits {
        let reason = format!(
            "{name:?} is not 1 to {CLUSTER_NAME_LEN_MAX} letters, digits, hyphens, underscores and \
             dots"
        );
        findings.error("cluster.name", reason);
    }
}

/// Two listeners on one port: every one of them listens on TCP, DNS on UDP too.
fn check_listeners(config: &ConfigV1, findings: &mut Findings) {
    let listeners = [
        ("http.listen", config.http.listen),
        ("peer.listen", config.peer.listen),
        ("admin.listen", config.admin.listen),
        ("dns.listen", config.dns.listen),
    ];
    if !config.admin.listen.ip().is_loopback() {
        findings.warning(
            "admin.listen",
            format!(
                "{} can be reached from elsewhere, and nobody is asked for a password there",
                config.admin.listen
            ),
        );
    }
    for (at, (key, listen)) in listeners.iter().enumerate() {
        let clash = listeners[..at]
            .iter()
            .find(|(_, other)| clashes(*listen, *other));
        if let Some((other_key, other)) = clash {
            let reason = format!("{listen} clashes with {other_key}, which listens on {other}");
            findings.error_between([*key, *other_key], reason);
        }
    }
}

/// Port 0 asks the system for a free one. A listener on the unspecified address of IPv6 may take
/// IPv4 too, as the system is set, so it counts as every address.
fn clashes(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = |a: SocketAddr, b: SocketAddr| {
        a.ip().is_unspecified() && (a.is_ipv6() || a.is_ipv4() == b.is_ipv4())
    };
    one.port() != 0
        && one.port() == other.port()
        && (one.ip() == other.ip() || everywhere(one, other) || everywhere(other, one))
}

fn check_proxies(config: &ConfigV1, findings: &mut Findings) {
    for (at, proxy) in config.http.trusted_proxies.iter().enumerate() {
        if let Err(error) = TrustedProxies::parse([proxy]) {
            findings.error(
                KeyPath::from("http.trusted_proxies").index(at),
                error.to_string(),
            );
        }
    }
}

fn check_nodes(config: &ConfigV1, findings: &mut Findings) {
    let key = KeyPath::from("cluster.nodes");
    let nodes = &config.cluster.nodes;
    for (at, node) in nodes.iter().enumerate() {
        let before = &nodes[..at];
        if let Some(first) = before.iter().position(|other| other.key == node.key) {
            let reason = format!("{} is already {}", node.key, key.index(first));
            findings.error(key.index(at), reason);
        } else if let Some(first) = before
            .iter()
            .position(|other| other.address == node.address)
        {
            let reason = format!(
                "{} is already the address of {}",
                node.address,
                key.index(first)
            );
            findings.error(key.index(at), reason);
        }
    }
    match nodes.len() {
        count if count > NODES_COUNT_MAX => {
            let reason = format!(
                "{count} founding voters are more than {NODES_COUNT_MAX}: every PUT waits for a \
                 majority of them"
            );
            findings.error(key, reason);
        }
        count if count > 0 && count % 2 == 0 => {
            let reason = format!(
                "{count} nodes survive no more failures than {} do: an odd number is better",
                count - 1
            );
            findings.warning(key, reason);
        }
        _ => {}
    }
}

fn check_origins(config: &ConfigV1, findings: &mut Findings) {
    let key = KeyPath::from("dns.origins");
    let origins = &config.dns.origins;
    match origins.len() {
        0 => findings.warning(
            key.clone(),
            "there is none, so every DNS question is refused",
        ),
        count if count > ORIGINS_COUNT_MAX => {
            let reason = format!(
                "{count} origins are more than {ORIGINS_COUNT_MAX}: every query is compared with \
                 each"
            );
            findings.error(key.clone(), reason);
        }
        _ => {}
    }
    let mut seen: BTreeMap<Name, usize> = BTreeMap::new();
    for (at, origin) in origins.iter().enumerate() {
        let key = key.index(at);
        let Some(name) = check_name(&key.key("name"), &origin.name, findings) else {
            continue;
        };
        check_origin(&key, &name, origin, findings);
        if let Some(first) = seen.get(&name) {
            let reason = format!("{name} is already dns.origins[{first}]");
            findings.error(key.key("name"), reason);
        }
        seen.entry(name).or_insert(at);
    }
    // What the checks above cannot tell with a better key: how origins stand to each other.
    if !findings
        .errors
        .iter()
        .any(|found| found.key.is_inside(&key))
        && let Err(error) = Authority::new(config.origins())
    {
        findings.error(key, error.to_string());
    }
}

fn check_origin(key: &KeyPath, name: &Name, origin: &Origin, findings: &mut Findings) {
    let servers = origin.ns.iter().enumerate();
    let servers: Vec<Name> = servers
        .filter_map(|(at, ns)| check_name(&key.key("ns").index(at), ns, findings))
        .collect();
    let mut addressed = Vec::new();
    for (ns, addresses) in &origin.ns_addresses {
        let key = key.key("ns_addresses").key(ns);
        let Some(ns) = check_name(&key, ns, findings) else {
            continue;
        };
        if !name.zone_of(&ns) {
            let reason = format!("{ns} lies outside {name}, so its addresses are not ours to give");
            findings.error(key.clone(), reason);
        } else if !servers.contains(&ns) {
            findings.error(key.clone(), format!("{ns} is not in the list ns"));
        }
        if addresses.is_empty() {
            findings.error(key, "it lists no address");
        }
        addressed.push(ns);
    }
    let apex_has_address = !(origin.a.is_empty() && origin.aaaa.is_empty());
    for (at, ns) in servers.iter().enumerate() {
        let has_address = addressed.contains(ns) || (ns == name && apex_has_address);
        if name.zone_of(ns) && !has_address {
            let reason = format!(
                "{ns} lies inside the zone and has no address in ns_addresses: resolvers may not \
                 find it"
            );
            findings.warning(key.key("ns").index(at), reason);
        }
    }
    let soa = &key.key("soa");
    for (field, value) in [("mname", &origin.soa.mname), ("rname", &origin.soa.rname)] {
        // Empty stands for the default.
        if !value.is_empty() {
            check_name(&soa.key(field), value, findings);
        }
    }
    check_zone_times(key, origin, findings);
}

fn check_zone_times(key: &KeyPath, origin: &Origin, findings: &mut Findings) {
    let soa = &origin.soa;
    let week = 7 * DAY_SECS;
    let cached = "resolvers keep a mistake this long";
    findings.bound(
        key.key("ttl_secs"),
        origin.ttl_secs.into(),
        1..=week,
        cached,
    );
    let key = key.key("soa");
    let secondary = "secondaries of any other software expect a time in this range";
    findings.bound(
        key.key("refresh_secs"),
        soa.refresh_secs.into(),
        60..=week,
        secondary,
    );
    findings.bound(
        key.key("retry_secs"),
        soa.retry_secs.into(),
        60..=week,
        secondary,
    );
    findings.bound(
        key.key("expire_secs"),
        soa.expire_secs.into(),
        3600..=52 * week,
        secondary,
    );
    let invisible = "an endpoint that was asked for before it published stays invisible this long";
    findings.bound(
        key.key("minimum_secs"),
        soa.minimum_secs.into(),
        1..=NEGATIVE_TTL_SECS_MAX.into(),
        invisible,
    );
}

/// A domain name in presentation form, with or without its last dot, in lower case.
fn check_name(key: &KeyPath, text: &str, findings: &mut Findings) -> Option<Name> {
    match parse_name(text) {
        Ok(name) => Some(name),
        Err(reason) => {
            findings.error(key.clone(), reason);
            None
        }
    }
}

/// Parses a domain name, with or without its last dot, to lower case.
pub(super) fn parse_name(text: &str) -> Result<Name, String> {
    if text.is_empty() {
        return Err("it is missing; write a domain name such as \"dns.example.org.\"".to_owned());
    }
    let mut name = Name::from_ascii(text)
        .map_err(|error| format!("{text:?} is no domain name: {error}"))?
        .to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

fn check_bounds(config: &ConfigV1, findings: &mut Findings) {
    let memory = "each connection takes memory and a file descriptor";
    let connections = config.http.connections_max as u64;
    findings.bound("http.connections_max", connections, 1..=1_000_000, memory);
    let connections = config.dns.tcp_connections_max as u64;
    findings.bound(
        "dns.tcp_connections_max",
        connections,
        1..=1_000_000,
        memory,
    );

    let limit = &config.limit;
    let rate = "0 would refuse every PUT, and so high a limit is none: set limit.enabled = false";
    findings.bound(
        "limit.put_burst",
        limit.put_burst.into(),
        1..=10_000_000,
        rate,
    );
    findings.bound(
        "limit.put_per_sec",
        limit.put_per_sec.into(),
        1..=1_000_000,
        rate,
    );
    let table = "every client takes 80 bytes, and a small table makes strangers share one limit";
    findings.bound(
        "limit.clients_max",
        limit.clients_max as u64,
        1_000..=10_000_000,
        table,
    );

    let retention = "endpoints publish every 5 minutes, and a record of last year helps nobody";
    findings.bound(
        "records.retention_secs",
        config.records.retention_secs,
        1..=366 * DAY_SECS,
        retention,
    );
    let deadline = "below, an election fails PUTs that could wait; above, publishers hang";
    findings.bound(
        "put.deadline_ms",
        config.put.deadline_ms,
        100..=60_000,
        deadline,
    );

    let store = &config.store;
    let cache = "below, every read goes to disk; above, the number is a mistake";
    findings.bound(
        "store.cache_size",
        store.cache_size,
        MEBIBYTE..=1024 * GIBIBYTE,
        cache,
    );
    let interval = "a restart replays the log since the last checkpoint";
    findings.bound(
        "store.checkpoint_interval_secs",
        store.checkpoint_interval_secs,
        1..=3600,
        interval,
    );
    let size = "below, the node does little but checkpoints; above, a restart takes minutes";
    findings.bound(
        "store.checkpoint_log_size",
        store.checkpoint_log_size,
        MEBIBYTE..=16 * GIBIBYTE,
        size,
    );
    let kept = "above, the number is a mistake";
    findings.bound(
        "log.kept_count_max",
        config.log.kept_count_max,
        0..=100_000_000,
        kept,
    );
    let kept = "below, the log is shorter than the two files it is written in; above, a restart \
                reads it for minutes";
    findings.bound(
        "log.kept_size_max",
        config.log.kept_size_max,
        128 * MEBIBYTE..=64 * GIBIBYTE,
        kept,
    );
}

fn check_raft(config: &ConfigV1, findings: &mut Findings) {
    let raft = &config.raft;
    let (heartbeat, min, max) = (
        raft.heartbeat_ms,
        raft.election_timeout_min_ms,
        raft.election_timeout_max_ms,
    );
    let traffic = "below, heartbeats are most of the traffic; above, a lost leader goes unseen";
    findings.bound("raft.heartbeat_ms", heartbeat, 5..=10_000, traffic);
    let unseen = "above, a lost leader goes unseen";
    findings.bound("raft.election_timeout_max_ms", max, 1..=120_000, unseen);
    if min < heartbeat.saturating_mul(2) {
        let reason = format!(
            "{min} is less than twice raft.heartbeat_ms ({heartbeat}): one late heartbeat would \
             bring an election"
        );
        findings.error_between(
            ["raft.election_timeout_min_ms", "raft.heartbeat_ms"],
            reason,
        );
    }
    if max <= min {
        let reason = format!(
            "{max} is not above raft.election_timeout_min_ms ({min}): nodes that wait equally long \
             split their votes"
        );
        findings.error_between(
            [
                "raft.election_timeout_max_ms",
                "raft.election_timeout_min_ms",
            ],
            reason,
        );
    }
}
