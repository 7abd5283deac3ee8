//! Compares lookups in the DHT with those of pkarr-relay and iroh-dns-server, and measures what lookups
//! and publications cost.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use hickory_proto::{op::ResponseCode, rr::RecordType};
use hyper::{Method, body::Bytes};
use pkarr::Keypair;
use quorate_tests::{
    Cluster, Node, ORIGIN, Publisher,
    dns::{ask_tcp, question, texts},
    wait::until,
};
use tokio::time::sleep;

use crate::{
    cluster::ClusterArgs,
    cpu::Usage,
    dht_network::{DhtNetwork, PublishedKey},
    http::{self, Connection},
    machine,
    servers_of_others::OtherServers,
};

/// How long after the first question the second one is asked: nobody keeps a packet so shortly.
const SECOND_QUESTION_AFTER: Duration = Duration::from_secs(3);

/// How many questions are asked when the DHT is away.
const AWAY_COUNT: usize = 20;

/// How long all publications may take.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(300);

/// Arguments of `quorate-bench dht`.
#[derive(Debug, Args)]
pub(crate) struct DhtArgs {
    /// How many nodes the DHT has.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(30..=2_000))]
    nodes: u16,
    /// How many keys each system is asked for.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    keys: u16,
    /// How many lookups run at the same time when their rate is measured.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
    /// How long it is measured, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    secs: u64,
    /// iroh-dns-server 1.4.1.
    #[arg(long, value_name = "FILE", default_value = "iroh-dns-server")]
    iroh: PathBuf,
    /// pkarr-relay 2.1.
    #[arg(long, value_name = "FILE", default_value = "pkarr-relay")]
    pkarr: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A system, and how it is asked.
struct System {
    name: &'static str,
    ask: Ask,
}

#[derive(Clone, Copy)]
enum Ask {
    Http(SocketAddr),
    Dns(SocketAddr),
}

/// What a system answered.
enum Reply {
    /// A packet with this timestamp.
    Packet(u64),
    /// There is none.
    Absent,
    /// It cannot tell, or does not answer.
    Failed,
}

impl System {
    async fn ask(&self, key: &str) -> Reply {
        match self.ask {
            Ask::Http(server) => over_http(server, key).await.unwrap_or(Reply::Failed),
            Ask::Dns(server) => over_dns(server, key).await.unwrap_or(Reply::Failed),
        }
    }
}

async fn over_http(server: SocketAddr, key: &str) -> anyhow::Result<Reply> {
    let request = http::request(
        Method::GET,
        &server.to_string(),
        &format!("/{key}"),
        Bytes::new(),
    );
    let answer = Connection::open(server).await?.exchange(request).await?;
    Ok(match answer.status().as_u16() {
        200 => {
            let micros = answer.body().get(64..72).context("a packet is longer")?;
            Reply::Packet(u64::from_be_bytes(micros.try_into()?))
        }
        404 if answer
            .headers()
            .get("cache-control")
            .is_none_or(|value| value != "no-store") =>
        {
            Reply::Absent
        }
        _ => Reply::Failed,
    })
}

async fn over_dns(server: SocketAddr, key: &str) -> anyhow::Result<Reply> {
    let name = format!("_iroh.{key}.{ORIGIN}");
    let answer = ask_tcp(server, &question(&name, RecordType::TXT)).await;
    let answer = answer.map_err(anyhow::Error::msg)?;
    Ok(
        match (answer.metadata.response_code, texts(&answer).first()) {
            (ResponseCode::NoError, Some(text)) => Reply::Packet(text.parse()?),
            (ResponseCode::NoError | ResponseCode::NXDomain, _) => Reply::Absent,
            _ => Reply::Failed,
        },
    )
}

/// Starts all, measures them one after the other, and ends them.
pub(crate) async fn run(args: DhtArgs) -> anyhow::Result<()> {
    println!("program    {}", args.cluster.program()?.display());
    machine::print_facts(&args.cluster.dir()?)?;
    let mut network = DhtNetwork::start(args.nodes.into()).await?;
    println!(
        "DHT        {} nodes in this process; 6 of the 20 that keep a key have its newest packet\n",
        args.nodes
    );
    let dir = args.cluster.dir()?;
    let cluster = args.start(&network).await?;
    let node = cluster.node(1);
    let iroh = OtherServers::iroh(&args.iroh, &dir, &network.bootstrap).await?;
    let pkarr = OtherServers::pkarr(&args.pkarr, &dir).await?;
    let addresses = node.addresses();
    let systems = [
        ("quorate, HTTP", Ask::Http(addresses.http)),
        ("pkarr-relay, HTTP", Ask::Http(pkarr.addresses[0])),
        ("quorate, DNS", Ask::Dns(addresses.dns)),
        (
            "iroh-dns-server, DNS",
            Ask::Dns(iroh.dns.context("it serves DNS")?),
        ),
    ]
    .map(|(name, ask)| System { name, ask });
    println!(
        "first question for a key, and a second one 3 s later; p50 and p99 of the first in ms"
    );
    println!(
        "{:<22} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "newest", "older", "absent", "failed", "p50", "p99", "newest 2"
    );
    for system in &systems {
        args.compare(&network, system).await?;
    }
    args.measure_lookups(&node).await?;
    args.measure_publications(&node).await?;
    network.stop();
    println!("\nthe DHT is away: {AWAY_COUNT} keys that nobody has; ms");
    println!(
        "{:<22} {:>8} {:>8} {:>8} {:>8}",
        "", "absent", "failed", "p50", "max"
    );
    for system in &systems {
        ask_away(system).await?;
    }
    Ok(())
}

impl DhtArgs {
    /// A node with the default deadlines, and without rates.
    async fn start(&self, network: &DhtNetwork) -> anyhow::Result<Cluster> {
        let bootstrap: Vec<_> = network
            .bootstrap
            .iter()
            .take(4)
            .map(ToString::to_string)
            .collect();
        let plan = self.cluster.plan_of(1)?.with_config(&format!(
            "[dht]\nmode = \"resolve-and-publish\"\nbootstrap = {bootstrap:?}\n\
             listen = \"127.0.0.1:0\"\nlookup_count_max = {clients}\n\
             lookup_count_per_client_max = {clients}\n",
            clients = self.clients
        ));
        let cluster = Cluster::start(plan).await;
        let node = cluster.node(1);
        until(
            "the DHT to be reached",
            PUBLISHED_WITHIN,
            async || match metric(&node, "quorate_dht_routing_nodes ").await {
                Ok(0) | Err(_) => Err("it is not".to_owned()),
                Ok(_) => Ok(()),
            },
        )
        .await;
        Ok(cluster)
    }

    async fn compare(&self, network: &DhtNetwork, system: &System) -> anyhow::Result<()> {
        let [
            mut newest,
            mut older,
            mut absent,
            mut failed,
            mut newest_later,
        ] = [0; 5];
        let mut latency = Histogram::<u64>::new(3)?;
        let published = network.publish(self.keys.into()).await?;
        for PublishedKey {
            key,
            newest: timestamp,
        } in &published
        {
            let started = Instant::now();
            let reply = system.ask(key).await;
            latency.record(started.elapsed().as_millis() as u64)?;
            match reply {
                Reply::Packet(found) if found == *timestamp => newest += 1,
                Reply::Packet(_) => older += 1,
                Reply::Absent => absent += 1,
                Reply::Failed => failed += 1,
            }
        }
        sleep(SECOND_QUESTION_AFTER).await;
        for PublishedKey {
            key,
            newest: timestamp,
        } in &published
        {
            let reply = system.ask(key).await;
            newest_later += u32::from(matches!(reply, Reply::Packet(found) if found == *timestamp));
        }
        let percent = |count: u32| f64::from(count) * 100.0 / f64::from(self.keys);
        println!(
            "{:<22} {:>6.0} % {:>6.0} % {:>6.0} % {:>6.0} % {:>8} {:>8} {:>6.0} %",
            system.name,
            percent(newest),
            percent(older),
            percent(absent),
            percent(failed),
            latency.value_at_quantile(0.5),
            latency.value_at_quantile(0.99),
            percent(newest_later)
        );
        Ok(())
    }

    /// Lookups of keys that nobody has, by so many clients at a time.
    async fn measure_lookups(&self, node: &Node) -> anyhow::Result<()> {
        let cost = Cost::start(node).await?;
        let until = Instant::now() + Duration::from_secs(self.secs);
        let server = node.addresses().http;
        let clients = (0..self.clients).map(|_| {
            tokio::spawn(async move {
                while Instant::now() < until {
                    let _ = over_http(server, &Keypair::random().to_z32()).await;
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await?;
        }
        println!();
        cost.print(node, "lookups", "quorate_dht_lookups_total{")
            .await
    }

    /// Publications of packets that are PUT at the same time.
    async fn measure_publications(&self, node: &Node) -> anyhow::Result<()> {
        let cost = Cost::start(node).await?;
        let ended = "quorate_dht_publications_total{";
        let before = metric(node, ended).await?;
        let count = u64::from(self.keys) * 5;
        for number in 0..count {
            let publisher = Publisher::new(number.to_string());
            publisher.put(node, "published").await.expect_acked();
        }
        until("all to be published", PUBLISHED_WITHIN, async || {
            let published = metric(node, ended)
                .await
                .map_err(|error| error.to_string())?
                - before;
            match published >= count {
                true => Ok(()),
                false => Err(format!("{published} of {count} are")),
            }
        })
        .await;
        cost.print(node, "publications", ended).await?;
        let copies = metric(node, "quorate_dht_publication_copies_sum").await?;
        let times = metric(node, "quorate_dht_publication_copies_count").await?;
        println!(
            "copies       {:.1} of each of {times}; no node took the others",
            copies as f64 / times as f64
        );
        Ok(())
    }
}

/// What is counted at the start of a measurement.
struct Cost {
    started: Instant,
    usage: Usage,
    process: u32,
    bytes: u64,
    asked: u64,
    lookups: u64,
    published: u64,
}

impl Cost {
    async fn start(node: &Node) -> anyhow::Result<Self> {
        let process = node.process_id().context("the node runs")?;
        Ok(Self {
            started: Instant::now(),
            usage: Usage::now(&[process])?,
            process,
            bytes: loopback_bytes()?,
            asked: metric(node, "quorate_dht_nodes_asked_total").await?,
            lookups: metric(node, "quorate_dht_lookups_total{").await?,
            published: metric(node, "quorate_dht_publications_total{").await?,
        })
    }

    /// Prints the cost of an operation that a metric counts.
    async fn print(self, node: &Node, what: &str, counter: &str) -> anyhow::Result<()> {
        let secs = self.started.elapsed().as_secs_f64();
        let before = match what {
            "lookups" => self.lookups,
            _ => self.published,
        };
        let count = metric(node, counter).await? - before;
        ensure!(count > 0, "there were no {what}");
        let used = Usage::now(&[self.process])?.since(&self.usage);
        let each = |total: u64| total as f64 / count as f64;
        let asked = metric(node, "quorate_dht_nodes_asked_total").await? - self.asked;
        let bytes = loopback_bytes()? - self.bytes;
        println!(
            "{what:<12} {:.1} a second; each {:.0} µs of CPU of the node, {:.0} nodes asked, \
             {:.1} KB on loopback, of which the clients' part is small",
            count as f64 / secs,
            used.servers[0].as_secs_f64() * 1e6 / count as f64,
            each(asked),
            each(bytes) / 1e3
        );
        Ok(())
    }
}

async fn ask_away(system: &System) -> anyhow::Result<()> {
    let [mut absent, mut failed] = [0; 2];
    let mut latency = Histogram::<u64>::new(3)?;
    for _ in 0..AWAY_COUNT {
        let started = Instant::now();
        match system.ask(&Keypair::random().to_z32()).await {
            Reply::Absent => absent += 1,
            Reply::Packet(_) | Reply::Failed => failed += 1,
        }
        latency.record(started.elapsed().as_millis() as u64)?;
    }
    println!(
        "{:<22} {absent:>8} {failed:>8} {:>8} {:>8}",
        system.name,
        latency.value_at_quantile(0.5),
        latency.max()
    );
    Ok(())
}

/// The sum of the samples of a metric whose lines start so.
async fn metric(node: &Node, line_start: &str) -> anyhow::Result<u64> {
    let answer = node.admin("/metrics").await.map_err(anyhow::Error::msg)?;
    let text = answer.text();
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(line_start)?;
        rest.rsplit(' ').next()?.trim().parse::<u64>().ok()
    });
    Ok(values.sum())
}

/// All bytes that loopback has carried.
fn loopback_bytes() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/sys/class/net/lo/statistics/rx_bytes")?;
    Ok(text.trim().parse()?)
}
