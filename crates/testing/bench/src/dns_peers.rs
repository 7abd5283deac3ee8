//! Compares DNS with other name servers, in turns within one run.

use std::{net::IpAddr, path::PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use quorate_ctl::RelayUrl;
use quorate_tests::{Cluster, ORIGIN, Packet};

use crate::{
    cluster::{ClusterArgs, FILL_CONNECTIONS, relays},
    contender::Contender,
    hostile, limits,
    load::{
        Bounds, Expect,
        connections::drive,
        queries::{self, Queries},
        requests::Requests,
    },
    machine,
    name_servers::{Checks, ZoneFile},
    packets::{Keys, absent_names, shuffled},
    peers::iroh_relay,
    peers_table::{self, Cost},
    servers_of_others::OtherServers,
    source,
};

/// How many packets are signed and published at a time.
const FILL_COUNT: usize = 100_000;

/// How long publishing them may take, in seconds.
const FILL_SECS: u64 = 600;

/// Arguments of `quorate-bench dns-peers`.
#[derive(Debug, Args)]
pub(crate) struct DnsPeersArgs {
    /// Knot DNS.
    #[arg(long, value_name = "FILE", default_value = "knotd")]
    knot: PathBuf,
    /// NSD.
    #[arg(long, value_name = "FILE", default_value = "nsd")]
    nsd: PathBuf,
    /// iroh-dns-server 1.4.1.
    #[arg(long, value_name = "FILE", default_value = "iroh-dns-server")]
    iroh: PathBuf,
    /// How many turns each system has with each workload.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    turns: u16,
    /// How long a turn is, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=40))]
    secs: u64,
    /// How many keys all systems serve.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    keys: u64,
    /// The smaller number of keys that Quorate serves, compared with `--keys-many`.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    keys_few: u64,
    /// The larger number of keys that Quorate serves, compared with `--keys-few`; 0 skips this.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    keys_many: u64,
    /// The local address that queries come from when rate limits are measured, because loopback has
    /// none; by default that of the route to the Internet.
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts all systems, measures them in turns, and ends them.
pub(crate) async fn run(args: DnsPeersArgs) -> anyhow::Result<()> {
    println!("program    {}", args.cluster.program()?.display());
    machine::print_facts(&args.cluster.dir()?)?;
    println!(
        "systems    1 node of quorate, knot, nsd and iroh-dns-server; {} keys, {} turns of {} s\n",
        args.keys, args.turns, args.secs
    );
    let source = args.source.or_else(source::own_address);
    let source =
        source.context("this machine has no address but loopback: give it one, --source")?;
    let count = usize::try_from(args.keys.max(args.keys_few).max(args.keys_many))?;
    let bench = DnsPeers {
        keys: Keys::new(0, count),
        args,
    };
    peers_table::print_header();
    bench.beside_others(source).await?;
    bench.with_checks(source).await?;
    bench.by_number_of_keys().await
}

struct DnsPeers {
    args: DnsPeersArgs,
    keys: Keys,
}

impl DnsPeers {
    /// All systems without rate limits and cookies; then packets that are made to be expensive for Quorate.
    async fn beside_others(&self, source: IpAddr) -> anyhow::Result<()> {
        let dir = self.args.cluster.dir()?;
        let names = self.names(self.args.keys)?;
        let zone = ZoneFile::write(names, &dir)?;
        let ours = self.node(Checks::Off).await?;
        self.fill(&relays(&ours.nodes()), self.args.keys).await?;
        let iroh = OtherServers::iroh(&self.args.iroh, &dir, &[]).await?;
        self.fill(&[iroh_relay(iroh.addresses[0])?], self.args.keys)
            .await?;
        let others = [
            OtherServers::knot(&self.args.knot, &zone, Checks::Off, &dir).await?,
            OtherServers::nsd(&self.args.nsd, &zone, &dir).await?,
            iroh,
        ];
        let kernel = OtherServers::echo(&dir).await?;

        let found = Queries::txt(&shuffled(names.to_vec()), ORIGIN)?;
        let absent = Queries::txt(&absent_names(names.len()), ORIGIN)?;
        for (work, queries, expect) in [
            ("TXT", &found, Expect::Found),
            ("NXDOMAIN", &absent, Expect::Absent),
        ] {
            let mut contenders = vec![Contender::own("quorate", &ours, queries, expect).await];
            for server in &others {
                contenders.push(Contender::other(server, queries, Some(expect))?);
            }
            contenders.push(Contender::other(&kernel, queries, None)?);
            self.compare(work, &contenders).await?;
        }
        drop((others, kernel));
        self.hostile(&ours, &found).await?;
        self.amplification("without checks", &ours, source).await
    }

    /// The cost of queries about expensive packets, compared with ordinary ones.
    async fn hostile(&self, ours: &Cluster, plain: &Queries) -> anyhow::Result<()> {
        let plain = plain.clone().with_edns(&[]);
        let plain = Contender::own("plain TXT", ours, &plain, Expect::Found).await;
        for hostile in hostile::packets() {
            let queries = hostile.queries()?;
            publish(vec![hostile.packet], &relays(&ours.nodes())).await?;
            let contender = Contender::own("hostile", ours, &queries, None).await;
            self.compare(hostile.name, &[contender, plain.clone()])
                .await?;
        }
        Ok(())
    }

    /// How many times longer an answer is than its query: the gain of an attacker who forges an address.
    async fn amplification(
        &self,
        checks: &str,
        ours: &Cluster,
        source: IpAddr,
    ) -> anyhow::Result<()> {
        let plain = Queries::txt(&self.keys.names()[..1], ORIGIN)?;
        let mut query_sets = vec![("plain TXT", plain.with_edns(&[]))];
        for hostile in hostile::packets() {
            query_sets.push((hostile.name, hostile.queries()?));
            publish(vec![hostile.packet], &relays(&ours.nodes())).await?;
        }
        println!();
        for (name, queries) in query_sets {
            let contender = Contender::own(name, ours, &queries, None).await;
            let answer = contender.asked_from(source).ask()?.len();
            let query = queries.first().len();
            let factor = answer as f64 / query as f64;
            println!("{name:<26} {checks:<16} {answer:>5} bytes for {query}: {factor:.1} ×");
        }
        Ok(())
    }

    /// Quorate and Knot, each with rate limits and cookies, for a client without a cookie and for one with it.
    async fn with_checks(&self, source: IpAddr) -> anyhow::Result<()> {
        let dir = self.args.cluster.dir()?;
        let names = self.names(self.args.keys)?;
        let zone = ZoneFile::write(names, &dir)?;
        let ours = self.node(Checks::On).await?;
        self.fill(&relays(&ours.nodes()), self.args.keys).await?;
        let knot = OtherServers::knot(&self.args.knot, &zone, Checks::On, &dir).await?;
        let plain = Queries::txt(&shuffled(names.to_vec()), ORIGIN)?;
        let mut both = [
            Contender::own("quorate", &ours, &plain, Expect::Found).await,
            Contender::other(&knot, &plain, Expect::Found)?,
        ]
        .map(|contender| contender.asked_from(source));
        self.compare("TXT, checks on", &both).await?;
        for contender in &mut both {
            contender.queries = plain.clone().with_edns(&queries::client_cookie());
            let cookie = queries::whole_cookie(&contender.ask()?);
            contender.queries = plain.clone().with_edns(&cookie);
        }
        self.compare("TXT, checks on, cookie", &both).await?;
        self.amplification("with checks", &ours, source).await
    }

    /// Quorate with many keys and with few.
    async fn by_number_of_keys(&self) -> anyhow::Result<()> {
        if self.args.keys_many == 0 {
            return Ok(());
        }
        let mut filled = Vec::new();
        for count in [self.args.keys_many, self.args.keys_few] {
            let cluster = self.node(Checks::Off).await?;
            self.fill(&relays(&cluster.nodes()), count).await?;
            filled.push((count, cluster));
        }
        for (work, expect) in [("TXT", Expect::Found), ("NXDOMAIN", Expect::Absent)] {
            let mut contenders = Vec::new();
            for (count, cluster) in &filled {
                let names = match expect {
                    Expect::Found => shuffled(self.names(*count)?.to_vec()),
                    Expect::Absent => absent_names(usize::try_from(*count)?),
                };
                let queries = Queries::txt(&names, ORIGIN)?;
                let name = format!("{count} keys");
                contenders.push(Contender::own(&name, cluster, &queries, expect).await);
            }
            self.compare(work, &contenders).await?;
        }
        Ok(())
    }

    /// Measures these in turns, and prints a line for each.
    async fn compare(&self, work: &str, contenders: &[Contender]) -> anyhow::Result<()> {
        let mut costs: Vec<_> = contenders.iter().map(|one| Cost::new(&*one.name)).collect();
        for _ in 0..self.args.turns {
            for (contender, cost) in contenders.iter().zip(&mut costs) {
                cost.add(contender.measure(self.args.secs).await?)?;
            }
        }
        peers_table::print(work, &costs);
        Ok(())
    }

    fn names(&self, count: u64) -> anyhow::Result<&[String]> {
        Ok(&self.keys.names()[..usize::try_from(count)?])
    }

    /// A single-node cluster.
    async fn node(&self, checks: Checks) -> anyhow::Result<Cluster> {
        let cluster = Cluster::prepare(&self.args.cluster.plan_of(1)?);
        if checks == Checks::On {
            cluster.node(1).set_environment(limits::out_of_reach());
        }
        cluster.nodes().start();
        cluster.nodes().wait_ready().await;
        Ok(cluster)
    }

    /// Publishes the first keys, each once.
    async fn fill(&self, relays: &[RelayUrl], count: u64) -> anyhow::Result<()> {
        let count = usize::try_from(count)?;
        for first in (0..count).step_by(FILL_COUNT) {
            let keys = first..count.min(first + FILL_COUNT);
            publish(self.keys.sign_range(keys), relays).await?;
        }
        Ok(())
    }
}

async fn publish(packets: Vec<Packet>, relays: &[RelayUrl]) -> anyhow::Result<()> {
    let count = packets.len();
    let bounds = Bounds {
        secs: FILL_SECS,
        count: None,
    };
    let connections = FILL_CONNECTIONS.min(count);
    let puts = drive(
        Requests::puts(packets),
        relays.to_vec(),
        connections,
        bounds,
    );
    let tally = puts.await?.tally;
    ensure!(
        tally.ok_count() == u64::try_from(count)?,
        "not all packets could be published: {:?}",
        tally.first_error
    );
    Ok(())
}
