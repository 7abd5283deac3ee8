//! Compares the relay with iroh-dns-server, in turns within one run: GETs, and PUTs of the same bytes.

use std::path::PathBuf;

use clap::Args;
use quorate_ctl::RelayUrl;
use quorate_tests::Cluster;

use crate::{
    cluster::{ClusterArgs, FILL_CONNECTIONS, relays, servers},
    limits,
    load::{Bounds, Expect, connections::drive, requests::Requests},
    machine,
    measure::Servers,
    packets::{Keys, shuffled},
    peers::{iroh_relay, processes},
    peers_table::{self, Cost},
    servers_of_others::OtherServers,
};

/// How long filling may take, in seconds.
const FILL_SECS: u64 = 120;

/// Arguments of `quorate-bench relay-peers`.
#[derive(Debug, Args)]
pub(crate) struct RelayPeersArgs {
    /// iroh-dns-server 1.4.1.
    #[arg(long, value_name = "FILE", default_value = "iroh-dns-server")]
    iroh: PathBuf,
    /// How many clients there are at the same time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
    /// How many turns each system has with each workload.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    turns: u16,
    /// How long a turn is, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=40))]
    secs: u64,
    /// How many keys.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    keys: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A relay, and its processes.
struct Relay {
    name: &'static str,
    url: RelayUrl,
    servers: Servers,
}

/// Starts both, measures them in turns, and ends them.
pub(crate) async fn run(args: RelayPeersArgs) -> anyhow::Result<()> {
    println!("program    {}", args.cluster.program()?.display());
    machine::print_facts(&args.cluster.dir()?)?;
    println!(
        "systems    1 node of quorate with limits, iroh-dns-server without; {} keys, {} clients, \
         {} turns of {} s\n",
        args.keys, args.clients, args.turns, args.secs
    );
    let ours = node(&args.cluster).await?;
    let iroh = OtherServers::iroh(&args.iroh, &args.cluster.dir()?, &[]).await?;
    let both = [
        Relay {
            name: "quorate",
            url: relays(&ours.nodes()).remove(0),
            servers: Servers {
                admins: Vec::new(),
                ..servers(&ours).await
            },
        },
        Relay {
            name: "iroh-dns-server",
            url: iroh_relay(iroh.addresses[0])?,
            servers: processes(&iroh),
        },
    ];
    let keys = Keys::new(0, usize::try_from(args.keys)?);
    let packets = keys.sign(keys.names().len());
    let bounds = Bounds {
        secs: FILL_SECS,
        count: None,
    };
    for relay in &both {
        let puts = Requests::puts(packets.clone());
        drive(puts, vec![relay.url.clone()], FILL_CONNECTIONS, bounds).await?;
    }
    let names = shuffled(keys.names().to_vec());
    let gets = || Requests::gets(names.clone(), Expect::Found);
    let same = || Requests::refreshes(packets.clone());
    peers_table::print_header();
    args.compare("GET", &both, gets).await?;
    args.compare("PUT of the same bytes", &both, same).await
}

impl RelayPeersArgs {
    async fn compare(
        &self,
        work: &str,
        relays: &[Relay],
        requests: impl Fn() -> Requests,
    ) -> anyhow::Result<()> {
        let mut costs: Vec<_> = relays.iter().map(|relay| Cost::new(relay.name)).collect();
        let bounds = Bounds {
            secs: self.secs,
            count: None,
        };
        for _ in 0..self.turns {
            for (relay, cost) in relays.iter().zip(&mut costs) {
                let clients = usize::from(self.clients);
                let run = drive(requests(), vec![relay.url.clone()], clients, bounds);
                cost.add(relay.servers.measure(relay.name, run).await?)?;
            }
        }
        peers_table::print(work, &costs);
        Ok(())
    }
}

/// A single-node cluster with its limits on.
async fn node(args: &ClusterArgs) -> anyhow::Result<Cluster> {
    let cluster = Cluster::prepare(&args.plan_of(1)?);
    cluster.node(1).set_environment(limits::out_of_reach());
    cluster.nodes().start();
    cluster.nodes().wait_ready().await;
    Ok(cluster)
}
