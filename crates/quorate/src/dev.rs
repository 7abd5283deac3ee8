//! A complete cluster in one process, on loopback.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use futures_util::future::{select_all, try_join_all};
use quorate_ctl::{DEV_ORIGIN as ORIGIN, open_key_file, out, outln};
use quorate_disk::{Disk, LinuxDisk};
use quorate_dns::OriginSettings;
use quorate_http::CertificateFiles;
use quorate_peer::{Identity, NodeId};

use crate::{
    config::ConfigV1,
    logging::{DEV_LOGS, LogFormat, Logging},
    node::{RunningNode, StartOptions},
    servers::{Addresses, Listeners},
    start::{self, BootState, ClusterFile, KEY_FILE, TokenSource},
    stop::StopSignals,
};

/// Arguments of `quorate dev`.
#[derive(Debug, Args)]
#[command(after_help = "\
Node i listens on 127.0.0.1: HTTP 8080+i, HTTPS 8440+i, DNS 5300+i, DNS over TLS 8530+i,
peers 7700+i, admin and metrics 9100+i. Commands for operators use its socket:
--admin unix:DIR/node-i/admin.sock. The origin is quorate.test. If a port is taken, --port-offset moves
all of them.")]
pub(crate) struct DevArgs {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = parse_nodes, value_name = "1|3|5")]
    pub(crate) nodes: usize,
    /// The directory for the data of all nodes
    #[arg(long, default_value = "./quorate-data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Use a temporary directory for the data, removed at the end
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) ephemeral: bool,
    /// The number to add to every port
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=PORT_OFFSET_MAX))]
    pub(crate) port_offset: u16,
}

/// The largest offset that leaves every port of five nodes below 65,536.
const PORT_OFFSET_MAX: i64 = u16::MAX as i64 - 9105;

/// The base port of DNS over TLS, derived from that of RFC 7858.
const DNS_TLS_PORT: u16 = 8530;

/// The base port of HTTPS.
const HTTP_TLS_PORT: u16 = 8440;

/// The file with the token with which all nodes but the first join.
const TOKEN_FILE: &str = "join.token";

/// The most nodes.
const NODES_COUNT_MAX: usize = 5;

fn parse_nodes(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("a cluster to try things out has 1, 3 or 5 nodes".to_owned()),
    }
}

/// Runs the cluster until it is stopped.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    let logging = Logging::start(DEV_LOGS, LogFormat::Text);
    let mut stop = StopSignals::listen()?;
    let temporary = args.ephemeral.then(tempfile::tempdir).transpose();
    let temporary = temporary.context("no temporary directory can be created")?;
    let root = temporary
        .as_ref()
        .map_or(args.data_dir.as_path(), |dir| dir.path());
    let keys = keys(root)?;
    check_count(args.nodes, root, &keys)?;
    let configs = configs(&args, root)?;
    let nodes = tokio::select! {
        nodes = start(&configs, &keys, root.join(TOKEN_FILE), &logging) => nodes?,
        () = stop.requested() => return Ok(()),
    };
    let demo = root.join("demo.key");
    let (keypair, _) = open_key_file(&demo)?;
    let commands = demo_commands(&nodes, &demo, &keypair.to_z32());
    out!(
        "{}\nTry, in another terminal:\n\n{commands}\n",
        banner(&nodes, root)
    )?;
    let mut said_ready = false;
    loop {
        let ready = async {
            for node in &nodes {
                node.node.ready().await;
            }
        };
        let failed = select_all(nodes.iter().map(|node| Box::pin(node.node.failed())));
        tokio::select! {
            () = ready, if !said_ready => {
                said_ready = true;
                outln!("{}", ready_line(args.ephemeral))?;
            }
            (error, ..) = failed => stop.exit_fatal(&error),
            () = stop.requested() => break,
        }
    }
    // Ignore a closed pipe: the nodes must still stop cleanly.
    let _ = outln!("Stopping.");
    // One after the other, so that each can hand over leadership.
    let shutdown = async {
        let mut stopped = Ok(());
        for node in nodes {
            stopped = stopped.and(node.shutdown().await);
        }
        stopped
    };
    tokio::select! {
        stopped = shutdown => {
            stopped?;
            let _ = outln!("Stopped.");
        }
        () = stop.requested() => {
            drop(temporary);
            stop.exit_unclean()
        }
    }
    Ok(())
}

fn ready_line(ephemeral: bool) -> &'static str {
    match ephemeral {
        true => "Ready. Ctrl-C stops it and removes its data.",
        false => "Ready. Ctrl-C stops it; after a restart the data is still there.",
    }
}

fn node_dir(root: &Path, number: usize) -> PathBuf {
    root.join(format!("node-{number}"))
}

/// The keys of the nodes in `root`, by number.
fn keys(root: &Path) -> anyhow::Result<BTreeMap<usize, NodeId>> {
    let key_files =
        (1..=NODES_COUNT_MAX).map(|number| (number, node_dir(root, number).join(KEY_FILE)));
    key_files
        .filter(|(_, file)| file.exists())
        .map(|(number, file)| {
            let identity = Identity::load(&LinuxDisk, &file)?;
            Ok((number, NodeId(identity.public_key())))
        })
        .collect()
}

/// Fails, before anything is created, if `root` has the data of another number of nodes or lacks that of
/// some.
fn check_count(count: usize, root: &Path, keys: &BTreeMap<usize, NodeId>) -> anyhow::Result<()> {
    let (first, root) = (node_dir(root, 1), root.display());
    let cluster = match BootState::of(&first)? {
        BootState::Empty | BootState::Preparing(_) if keys.len() <= 1 => return Ok(()),
        state => state.cluster(&first, true)?,
    };
    let are_there = |cluster: &ClusterFile| {
        let mut members = cluster.known.members.keys();
        members.all(|member| keys.values().any(|key| key == member))
    };
    let Some(cluster) = cluster.filter(are_there) else {
        bail!(
            "{root} lacks the data of some nodes: restore them with their keys, or use another --data-dir"
        );
    };
    let stored_count = cluster.voters as usize;
    ensure!(
        stored_count == count,
        "{root} holds the data of {}: use --nodes {stored_count} or another --data-dir",
        counted(stored_count)
    );
    Ok(())
}

fn counted(nodes: usize) -> String {
    match nodes {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    }
}

/// The settings of every node.
fn configs(args: &DevArgs, root: &Path) -> anyhow::Result<Vec<ConfigV1>> {
    let certificate = certificate(root)?;
    let default = ConfigV1::default();
    // Node numbers start at 1, base ports are those of node 0.
    let address = |usual_port: u16, number: usize| {
        let number = u16::try_from(number).expect("there are at most five nodes");
        SocketAddr::from((Ipv4Addr::LOCALHOST, usual_port + args.port_offset + number))
    };
    let config = |number| {
        let mut config = ConfigV1 {
            data_dir: node_dir(root, number),
            ..default.clone()
        };
        config.cluster.node_name = format!("node{number}");
        let listeners = [
            &mut config.http.listen,
            &mut config.peer.listen,
            &mut config.admin.listen,
            &mut config.dns.listen,
        ];
        listeners
            .into_iter()
            .for_each(|listen| *listen = vec![address(listen[0].port(), number)].into());
        config.http.tls_listen = vec![address(HTTP_TLS_PORT, number)].into();
        config.dns.tls_listen = vec![address(DNS_TLS_PORT, number)].into();
        config.tls = certificate.clone().into();
        config.dns.origins = vec![origin()];
        config.limit.enabled = false;
        config
    };
    Ok((1..=args.nodes).map(config).collect())
}

/// Creates a self-signed certificate, for clients with options such as kdig's `--tls-ca`.
fn certificate(root: &Path) -> anyhow::Result<CertificateFiles> {
    let files = CertificateFiles {
        certificate_file: root.join("tls.pem"),
        key_file: root.join("tls.key"),
    };
    if !files.key_file.exists() || !files.certificate_file.exists() {
        let created = LinuxDisk.create_dir(root);
        created.with_context(|| format!("the directory {} cannot be created", root.display()))?;
        files.make(&LinuxDisk, ["localhost", "127.0.0.1", "::1"])?;
    }
    Ok(files)
}

/// The origin, with apex records like those of a real zone.
fn origin() -> OriginSettings {
    let server = format!("ns1.{ORIGIN}.");
    OriginSettings {
        name: ORIGIN.to_owned(),
        ns: vec![server.clone()],
        a: vec![Ipv4Addr::LOCALHOST],
        ns_addresses: [(server, vec![Ipv4Addr::LOCALHOST.into()])].into(),
        ..OriginSettings::default()
    }
}

/// Starts all nodes: the first founds the cluster if needed, and the others join it.
async fn start(
    configs: &[ConfigV1],
    keys: &BTreeMap<usize, NodeId>,
    token: PathBuf,
    logging: &Logging,
) -> anyhow::Result<Vec<RunningNode>> {
    let mut listeners = Vec::new();
    for config in configs {
        let bound = Listeners::bind(config).await;
        listeners
            .push(bound.context("the cluster cannot be started; --port-offset N moves all ports")?);
    }
    let voters = configs.len().try_into()?;
    start::found(&configs[0], Some(&token), voters).context("the cluster cannot be founded")?;
    // The ports may differ from those at the time of joining.
    let routes = keys.iter().filter_map(|(number, key)| {
        let config = configs.get(number - 1)?;
        Some((*key, config.peer.listen.to_string()))
    });
    let options = StartOptions {
        // Test data need not be protected from a wrong clock.
        trust_clock: true,
        join: Some(TokenSource::File(token)),
        routes: routes.collect(),
        ..StartOptions::default()
    };
    // Concurrently: a node with damaged packets waits for those of another one.
    let starts = configs
        .iter()
        .zip(listeners)
        .map(async |(config, listeners)| {
            let node = RunningNode::start(config, listeners, options.clone(), logging).await;
            node.context("the cluster cannot be started")
        });
    try_join_all(starts).await
}

fn banner(nodes: &[RunningNode], root: &Path) -> String {
    use std::fmt::Write;

    let mut text = format!(
        "Quorate: {}, data in {}\n\n  \
         node  HTTP             HTTPS            DNS              DNS over TLS     peers            admin, metrics\n",
        counted(nodes.len()),
        root.display()
    );
    for (number, node) in (1..).zip(nodes) {
        let Addresses {
            http,
            http_tls,
            dns,
            dns_tls,
            peer,
            admin,
        } = node.addresses();
        let text_of = |address: Option<SocketAddr>| {
            address.map_or_else(String::new, |address| address.to_string())
        };
        let [http_tls, dns_tls] = [http_tls, dns_tls].map(text_of);
        let _ = writeln!(
            text,
            "  {number}     {http:<16} {http_tls:<16} {dns:<16} {dns_tls:<16} {peer:<16} {admin}"
        );
    }
    text
}

/// Four commands that can be copied: the status of the first node, publish there, look up at the last.
fn demo_commands(nodes: &[RunningNode], key_file: &Path, key: &str) -> String {
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "quorate".to_owned());
    let key_file = key_file.display();
    let (publish, look_up) = (nodes[0].addresses(), nodes[nodes.len() - 1].addresses());
    let (relay, relay_dns) = (publish.http, publish.dns);
    let (http, server, port) = (look_up.http, look_up.dns.ip(), look_up.dns.port());
    let status = match nodes[0].admin_socket() {
        Some(socket) => format!("  {program} status --admin unix:{}\n", socket.display()),
        None => String::new(),
    };
    format!(
        "{status}  {program} publish --key {key_file} --relay http://{relay}/pkarr --dns {relay_dns} \
         _iroh TXT relay=https://relay.example.org\n  \
         curl --silent --dump-header - --output /dev/null http://{http}/pkarr/{key}\n  \
         dig @{server} -p {port} TXT _iroh.{key}.{ORIGIN}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use quorate_setting::SettingValue;

    use super::*;
    use crate::{
        config::{self, Sources},
        start::DataDir,
    };

    const PORT_OFFSET: u16 = 20_000;

    fn args(nodes: usize, dir: &Path) -> DevArgs {
        DevArgs {
            nodes,
            data_dir: dir.to_owned(),
            ephemeral: false,
            port_offset: PORT_OFFSET,
        }
    }

    async fn failed_start(configs: &[ConfigV1], root: &Path) -> String {
        let token = root.join(TOKEN_FILE);
        let logging = Logging::start("error", LogFormat::Text);
        let started = start(configs, &BTreeMap::new(), token, &logging).await;
        format!("{:#}", started.err().expect("the start must fail"))
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_and_nothing_is_founded() {
        let dir = tempfile::tempdir().unwrap();
        let mut configs = configs(&args(3, dir.path()), dir.path()).unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap();
        configs[2].admin.listen = vec![taken].into();
        let error = failed_start(&configs, dir.path()).await;
        assert!(error.contains(&taken.to_string()), "{error}");
        assert!(error.contains("--port-offset"), "{error}");
        assert!(!node_dir(dir.path(), 1).exists());
    }

    #[tokio::test]
    async fn other_start_errors_do_not_suggest_other_ports() {
        let dir = tempfile::tempdir().unwrap();
        let mut configs = configs(&args(1, dir.path()), dir.path()).unwrap();
        let config = &mut configs[0];
        let _locked = DataDir::open(&config.data_dir).unwrap();
        let listeners = [
            &mut config.http.listen,
            &mut config.peer.listen,
            &mut config.admin.listen,
            &mut config.dns.listen,
            &mut config.http.tls_listen,
            &mut config.dns.tls_listen,
        ];
        let free = vec![([127, 0, 0, 1], 0).into()];
        listeners
            .into_iter()
            .for_each(|listen| *listen = free.clone().into());
        let error = failed_start(&configs, dir.path()).await;
        assert!(error.contains("in use"), "{error}");
        assert!(!error.contains("--port-offset"), "{error}");
    }

    fn check(count: usize, root: &Path) -> anyhow::Result<()> {
        check_count(count, root, &keys(root)?)
    }

    /// Creates the data of a founder and joined nodes.
    fn create_data(count: usize, root: &Path) {
        let configs = configs(&args(count, root), root).unwrap();
        for config in &configs[1..] {
            DataDir::open(&config.data_dir).unwrap().identity().unwrap();
        }
        start::found(&configs[0], None, count.try_into().unwrap()).unwrap();
        let BootState::Founding(mut cluster) = BootState::of(&configs[0].data_dir).unwrap() else {
            panic!("it must be prepared to found");
        };
        let members = keys(root).unwrap().into_values();
        cluster.known.members = members.map(|key| (key, "a:1".to_owned())).collect();
        cluster.stage = "member".parse().unwrap();
        fs::create_dir(configs[0].data_dir.join(quorate_raft::LOG_DIR)).unwrap();
        let data_dir = DataDir::open(&configs[0].data_dir).unwrap();
        data_dir.set_cluster(&cluster).unwrap();
    }

    #[test]
    fn data_of_another_number_of_nodes_is_left_unchanged() {
        for (stored, count) in [(3, 1), (3, 5), (1, 3), (5, 3)] {
            let dir = tempfile::tempdir().unwrap();
            let root = &dir.path().join("data");
            check(stored, root).unwrap();
            create_data(stored, root);
            check(stored, root).unwrap();
            let error = check(count, root).unwrap_err().to_string();
            let nodes = if stored == 1 { "node" } else { "nodes" };
            let expected = format!(
                "{} holds the data of {stored} {nodes}: use --nodes {stored} or another --data-dir",
                root.display()
            );
            assert_eq!(error, expected);
            let files = ["tls.pem", "tls.key"];
            assert_eq!(fs::read_dir(root).unwrap().count(), stored + files.len());
        }
    }

    #[test]
    fn a_lost_node_is_not_created_again() {
        for lost in [1, 3] {
            let dir = tempfile::tempdir().unwrap();
            create_data(3, dir.path());
            fs::remove_dir_all(node_dir(dir.path(), lost)).unwrap();
            let error = check(3, dir.path()).unwrap_err().to_string();
            assert!(error.contains("lacks the data of some nodes"), "{error}");
            assert!(!error.contains("--nodes"), "{error}");
        }
    }

    /// The configuration of a `dev` node is valid for `serve`.
    #[test]
    fn the_settings_pass_the_checks_without_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        for config in configs(&args(5, dir.path()), dir.path()).unwrap() {
            let file = dir.path().join("config.toml");
            fs::write(&file, toml::to_string(&config.value()).unwrap()).unwrap();
            let loaded = config::load(Sources {
                file: Some(file),
                ..Sources::default()
            });
            let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(loaded.warnings, []);
            assert_eq!(loaded.config, config);
        }
    }

    #[test]
    fn temporary_data_is_not_announced_as_kept() {
        assert!(ready_line(false).contains("the data is still there"));
        assert!(!ready_line(true).contains("the data is still there"));
    }
}
