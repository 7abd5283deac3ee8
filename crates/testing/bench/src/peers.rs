//! Compares PUTs with other systems, in turns within one run.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use quorate_ctl::RelayUrl;
use quorate_tests::{Cluster, Packet};

use crate::{
    cluster::{ClusterArgs, FILL_CONNECTIONS, relays, servers},
    commands::PACKETS_MAX,
    fill::fill_by,
    load::{Bounds, Outcome, connections::drive, etcd, requests::Requests},
    measure::{Row, Servers},
    packets::Keys,
    peers_table::{self, Cost},
    report::or_dash,
    scrape::{Inside, Scrape},
    servers_of_others::OtherServers,
};

/// The most PUTs per second that packets are signed for.
const PUTS_PER_SEC_MAX: u64 = 25_000;

/// The same for one client.
const PUTS_PER_SEC_MAX_ALONE: u64 = 6_000;

/// Arguments of `quorate-bench peers`.
#[derive(Debug, Args)]
pub(crate) struct PeersArgs {
    /// iroh-dns-server 1.4.1.
    #[arg(long, value_name = "FILE", default_value = "iroh-dns-server")]
    iroh: PathBuf,
    /// etcd.
    #[arg(long, value_name = "FILE", default_value = "etcd")]
    etcd: PathBuf,
    /// How many clients PUT at the same time. Several values, separated by commas, give a comparison each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 256], value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: Vec<u16>,
    /// How many turns each system has, with each number of clients.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    turns: u16,
    /// How long a turn is, in seconds. It ends earlier after a million PUTs, because that many packets are signed in advance.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    secs: u64,
    /// How many keys.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    keys: u64,
    /// Publishes all keys at every system before anything is measured.
    #[arg(long)]
    fill: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts all systems, measures them in turns, and ends them.
pub(crate) async fn run(args: PeersArgs) -> anyhow::Result<()> {
    let dir = args.cluster.dir()?;
    let peers = Peers {
        quorate: args.cluster.start().await?,
        iroh: OtherServers::iroh(&args.iroh, &dir, &[]).await?,
        etcd: OtherServers::etcd(&args.etcd, &dir).await?,
        keys: Keys::new(0, usize::try_from(args.keys)?),
        secs: args.secs,
    };
    println!(
        "systems    3 nodes of quorate, 1 of iroh-dns-server, 3 of etcd; {} keys{}, {} turns of {} s\n",
        args.keys,
        if args.fill { " stored" } else { "" },
        args.turns,
        args.secs
    );
    if args.fill {
        for system in System::ALL {
            let put =
                async |packets, bounds| peers.put(system, packets, FILL_CONNECTIONS, bounds).await;
            fill_by(&peers.keys, put).await?;
        }
    }
    peers_table::print_header();
    let servers = servers(&peers.quorate).await;
    for &clients in &args.clients {
        let mut costs = System::ALL.map(|system| Cost::new(system.name()));
        let before = scrape_each(&servers).await?;
        for _ in 0..args.turns {
            for (system, cost) in System::ALL.into_iter().zip(&mut costs) {
                cost.add(peers.measure(system, clients.into()).await?)?;
            }
        }
        peers_table::print(&format!("PUT, {clients} clients"), &costs);
        let after = scrape_each(&servers).await?;
        let each = after.iter().zip(&before);
        let each: Vec<_> = each
            .map(|(after, before)| checkpoints(&after.since(before)))
            .collect();
        println!("    checkpoints of quorate's nodes: {}", each.join(", "));
    }
    Ok(())
}

/// What each server has done since it started.
async fn scrape_each(servers: &Servers) -> anyhow::Result<Vec<Scrape>> {
    let mut each = Vec::with_capacity(servers.admins.len());
    for admin in &servers.admins {
        each.push(Scrape::now(std::slice::from_ref(admin)).await?);
    }
    Ok(each)
}

/// How many a node has written, and how long one took on average.
fn checkpoints(node: &Inside) -> String {
    let mean_ms = or_dash(node.checkpoint_mean_ms, 0);
    format!("{} of {mean_ms} ms", node.checkpoint_count)
}

#[derive(Debug, Clone, Copy)]
enum System {
    Quorate,
    Iroh,
    Etcd,
}

impl System {
    /// Quorate first: the others are compared with it.
    const ALL: [Self; 3] = [Self::Quorate, Self::Iroh, Self::Etcd];

    fn name(self) -> &'static str {
        match self {
            Self::Quorate => "quorate",
            Self::Iroh => "iroh-dns-server",
            Self::Etcd => "etcd",
        }
    }
}

struct Peers {
    quorate: Cluster,
    iroh: OtherServers,
    etcd: OtherServers,
    keys: Keys,
    secs: u64,
}

impl Peers {
    /// One turn of a system.
    async fn measure(&self, system: System, clients: usize) -> anyhow::Result<Row> {
        let per_sec_max = match clients {
            1 => PUTS_PER_SEC_MAX_ALONE,
            _ => PUTS_PER_SEC_MAX,
        };
        let count = (self.secs * per_sec_max).min(PACKETS_MAX);
        let packets = self.keys.sign_scattered(usize::try_from(count)?);
        let bounds = Bounds {
            secs: self.secs,
            count: None,
        };
        let servers = match system {
            System::Quorate => servers(&self.quorate).await,
            System::Iroh => processes(&self.iroh),
            System::Etcd => processes(&self.etcd),
        };
        let puts = self.put(system, packets, clients, bounds);
        servers.measure(system.name(), puts).await
    }

    /// PUTs packets at a system. Many clients spread over its nodes; a single one uses its leader.
    async fn put(
        &self,
        system: System,
        packets: Vec<Packet>,
        clients: usize,
        bounds: Bounds,
    ) -> anyhow::Result<Outcome> {
        match system {
            System::Quorate => {
                let relays = match clients {
                    1 => relays(&[self.quorate.leader().await]),
                    _ => relays(&self.quorate.nodes()),
                };
                drive(Requests::puts(packets), relays, clients, bounds).await
            }
            System::Iroh => {
                let relay = iroh_relay(self.iroh.addresses[0])?;
                drive(Requests::puts(packets), vec![relay], clients, bounds).await
            }
            System::Etcd => {
                let addresses = match clients {
                    1 => vec![self.etcd.etcd_leader().await?],
                    _ => self.etcd.addresses.clone(),
                };
                etcd::run(&packets, &addresses, clients, bounds).await
            }
        }
    }
}

pub(crate) fn processes(servers: &OtherServers) -> Servers {
    Servers {
        ids: servers.process_ids(),
        admins: Vec::new(),
    }
}

pub(crate) fn iroh_relay(address: SocketAddr) -> anyhow::Result<RelayUrl> {
    format!("http://{address}/pkarr").parse()
}
