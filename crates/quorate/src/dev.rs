//! A whole cluster in one process, on loopback.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use futures_util::future::select_all;
use quorate_tls::Identity;

use crate::{
    config::{ConfigV1, Origin},
    data_dir::DataDir,
    init,
    node::{Addresses, RunningNode},
    publish::{DEV_ORIGIN as ORIGIN, key_file},
    stop::{DEV_LOGS, Stop, start_logs},
};

/// Arguments of `quorate dev`.
#[derive(Debug, Args)]
#[command(after_help = "\
Node i listens on 127.0.0.1: HTTP 8080+i, DNS 5300+i, peers 7700+i, admin and metrics 9100+i. The
origin is quorate.test. If a port is taken, --port-offset moves all of them.")]
pub(crate) struct DevArgs {
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = parse_nodes, value_name = "1|3|5")]
    pub(crate) nodes: usize,
    /// Where the nodes keep their data, each in a directory of its own.
    #[arg(long, default_value = "./quorate-data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Keep the data in a temporary directory that is removed at the end.
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) ephemeral: bool,
    /// What to add to every port.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=PORT_OFFSET_MAX))]
    pub(crate) port_offset: u16,
}

/// The largest offset that leaves every port of five nodes below 65,536.
const PORT_OFFSET_MAX: i64 = u16::MAX as i64 - 9105;

fn parse_nodes(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("a cluster to try things out has 1, 3 or 5 nodes".to_owned()),
    }
}

/// The ports of node 0, which there is none of.
const HTTP_PORT: u16 = 8080;
const DNS_PORT: u16 = 5300;
const PEER_PORT: u16 = 7700;
const ADMIN_PORT: u16 = 9100;

/// How many nodes share a machine's memory here: each may cache less than one that has its own.
const STORE_CACHE_SIZE: u64 = 64 * 1024 * 1024;

/// Runs the cluster until it is told to stop.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    start_logs(DEV_LOGS);
    let mut stop = Stop::listen()?;
    let temporary = args.ephemeral.then(tempfile::tempdir).transpose();
    let temporary = temporary.context("no temporary directory can be made")?;
    let root = temporary
        .as_ref()
        .map_or(args.data_dir.as_path(), |dir| dir.path());
    let configs = configs(&args, root)?;
    let nodes = tokio::select! {
        nodes = start(&configs) => nodes?,
        () = stop.requested() => return Ok(()),
    };
    out!("{}", banner(&nodes, root, &Demo::open(root)?));
    let mut said_ready = false;
    loop {
        let ready = async {
            for node in &nodes {
                node.ready().await;
            }
        };
        let failed = select_all(nodes.iter().map(|node| Box::pin(node.failed())));
        tokio::select! {
            () = ready, if !said_ready => {
                said_ready = true;
                outln!("Ready. Ctrl-C stops it; started again, it has its data.");
            }
            (error, ..) = failed => stop.at_once(&error),
            () = stop.requested() => break,
        }
    }
    outln!("Stopping.");
    // One after the other, so that there is a node to hand leadership to.
    let shutdown = async {
        for node in nodes {
            node.shutdown().await;
        }
    };
    tokio::select! {
        () = shutdown => outln!("Stopped."),
        () = stop.insisted() => outln!("Stopped before everything was put in order."),
    }
    Ok(())
}

/// The settings of every node, and the identities behind them.
fn configs(args: &DevArgs, root: &Path) -> anyhow::Result<Vec<(ConfigV1, Identity)>> {
    let identities = (1..=args.nodes).map(|number| {
        let dir = root.join(format!("node-{number}"));
        drop(DataDir::open(&dir)?);
        let identity = init::open_or_make(&dir)?;
        Ok((number, dir, identity))
    });
    let identities = identities.collect::<anyhow::Result<Vec<_>>>()?;
    let address = |base: u16, number: usize| {
        let number = u16::try_from(number).expect("there are at most five nodes");
        SocketAddr::from((Ipv4Addr::LOCALHOST, base + args.port_offset + number))
    };
    let nodes = identities.iter().map(|(number, _, identity)| {
        let address = format!("{}@{}", identity.public_key(), address(PEER_PORT, *number));
        address.parse().expect("a key and an address make a node")
    });
    let nodes: Vec<_> = nodes.collect();
    let config = |(number, data_dir, identity)| {
        let mut config = ConfigV1 {
            data_dir,
            ..ConfigV1::default()
        };
        config.cluster.name = "dev".to_owned();
        config.cluster.nodes.clone_from(&nodes);
        config.http.listen = address(HTTP_PORT, number);
        config.dns.listen = address(DNS_PORT, number);
        config.peer.listen = address(PEER_PORT, number);
        config.admin.listen = address(ADMIN_PORT, number);
        config.dns.origins = vec![Origin {
            name: ORIGIN.to_owned(),
            ..Origin::default()
        }];
        config.limit.enabled = false;
        config.store.cache_size = STORE_CACHE_SIZE;
        (config, identity)
    };
    Ok(identities.into_iter().map(config).collect())
}

async fn start(configs: &[(ConfigV1, Identity)]) -> anyhow::Result<Vec<RunningNode>> {
    let mut nodes = Vec::new();
    for (config, identity) in configs {
        let node = RunningNode::start(config, identity.clone()).await;
        nodes.push(node.context(
            "the cluster cannot be started. If an address is taken, --port-offset N moves all ports",
        )?);
    }
    Ok(nodes)
}

fn banner(nodes: &[RunningNode], root: &Path, demo: &Demo) -> String {
    use std::fmt::Write;

    let mut text = format!(
        "Quorate: {} nodes, data in {}\n\n",
        nodes.len(),
        root.display()
    );
    let _ = writeln!(
        text,
        "  node  HTTP             DNS              peers            admin, metrics"
    );
    for (number, node) in (1..).zip(nodes) {
        let Addresses {
            http,
            dns,
            peer,
            admin,
        } = node.addresses();
        let _ = writeln!(
            text,
            "  {number}     {http:<16} {dns:<16} {peer:<16} {admin}"
        );
    }
    let first = nodes[0].addresses();
    let last = nodes[nodes.len() - 1].addresses();
    let _ = write!(
        text,
        "\nTry, in another terminal:\n\n{}\n",
        demo_commands(demo, first, last)
    );
    text
}

/// Three commands that work as printed: publish at one node, look up at another.
fn demo_commands(demo: &Demo, publish: Addresses, look_up: Addresses) -> String {
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "quorate".to_owned());
    let Demo { path, key } = demo;
    let path = path.display();
    let (relay, relay_dns) = (publish.http, publish.dns);
    let (http, server, port) = (look_up.http, look_up.dns.ip(), look_up.dns.port());
    format!(
        "  {program} publish --key {path} --relay http://{relay}/pkarr --dns {relay_dns} \
         _iroh TXT relay=https://relay.example.org\n  \
         curl --silent --dump-header - --output /dev/null http://{http}/pkarr/{key}\n  \
         dig @{server} -p {port} TXT _iroh.{key}.{ORIGIN}\n"
    )
}

/// A key to try things out with.
struct Demo {
    path: PathBuf,
    key: String,
}

impl Demo {
    fn open(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("demo.key");
        let (keypair, _) = key_file::open(&path)?;
        Ok(Self {
            path,
            key: keypair.to_z32(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let args = DevArgs {
            nodes: 3,
            data_dir: dir.path().to_owned(),
            ephemeral: false,
            port_offset: 20_000,
        };
        let mut configs = configs(&args, dir.path()).unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap();
        let holder = std::net::TcpListener::bind(taken);
        configs[0].0.admin.listen = holder.as_ref().map_or(taken, |it| it.local_addr().unwrap());
        let error = start(&configs).await.err().expect("the port is taken");
        let error = format!("{error:#}");
        assert!(error.contains(&taken.to_string()), "{error}");
        assert!(error.contains("--port-offset"), "{error}");
    }
}
