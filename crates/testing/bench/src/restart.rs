//! Endpoints behind one address that all start within one second, as after a loss of power.
//!
//! All limits are on, with their defaults, and none exempts the address. All use one node. Each
//! endpoint publishes three times, as it learns its own addresses, and looks others up, over HTTP and
//! by DNS at the same time.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use fastrand::Rng;
use quorate_tests::{Cluster, ORIGIN, Packet};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    cluster::{ClusterArgs, FILL_CONNECTIONS, relays},
    endpoint::Route,
    kinds::{Kind, Tallies},
    limits,
    load::{Bounds, connections::drive, queries::Queries, requests::Requests},
    machine,
    packets::Keys,
    plot, source,
};

/// The time within which all start.
const START_WITHIN: Duration = Duration::from_secs(1);

/// When an endpoint publishes after its start: first what it knows, then with its relay, then with
/// the addresses that others see.
const PUBLISHES_AT: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(1_000),
    Duration::from_millis(3_000),
];

/// How often a PUT is sent again, a second later each time than the time before.
const RETRIES_MAX: u64 = 5;

/// How many others an endpoint looks up when it starts.
const LOOKUP_COUNT: usize = 3;

/// Arguments of `quorate-bench restart`.
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// How many endpoints there are.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    endpoints: u64,
    /// The address of this machine that all come from; by default that of the route to the Internet.
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// Where restart.svg is written.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts three nodes and then all endpoints, and fails if one of their requests failed.
pub(crate) async fn run(args: RestartArgs) -> anyhow::Result<()> {
    println!("program    {}", args.cluster.program()?.display());
    machine::print_facts(&args.cluster.dir()?)?;
    machine::raise_file_limit()?;
    let source = args.source.or_else(source::own_address);
    let source =
        source.context("this machine has no address but loopback: give it one, --source")?;
    let count = usize::try_from(args.endpoints)?;
    println!(
        "endpoints  {count} behind {source}, which start within {START_WITHIN:?} and talk to one of \
         3 nodes; each publishes {} times and looks {LOOKUP_COUNT} up, over HTTP and by DNS\n",
        PUBLISHES_AT.len()
    );
    let cluster = start(&args.cluster).await?;
    let addresses = cluster.node(1).addresses();
    let route = Route {
        source,
        http: addresses.http,
        dns: addresses.dns,
    };
    let keys = Keys::new(0, count);
    fill(&cluster, &keys).await?;
    let tallies = all_at_once(route, &keys).await?;
    tallies.print();
    if let Some(dir) = &args.plots {
        plot::shares(&dir.join("restart.svg"), &tallies)?;
    }
    let errors = tallies.error_count();
    ensure!(
        errors == 0,
        "{errors} requests were not answered as expected"
    );
    Ok(())
}

async fn start(args: &ClusterArgs) -> anyhow::Result<Cluster> {
    let cluster = Cluster::prepare(&args.plan()?);
    for node in cluster.nodes().iter() {
        node.set_environment(limits::defaults());
    }
    cluster.nodes().start();
    cluster.nodes().wait_ready().await;
    Ok(cluster)
}

/// Publishes from another address what the endpoints had published before the power loss.
async fn fill(cluster: &Cluster, keys: &Keys) -> anyhow::Result<()> {
    let bounds = Bounds {
        secs: 60,
        count: None,
    };
    let packets = Requests::puts(keys.sign(keys.names().len()));
    let filled = drive(packets, relays(&cluster.nodes()), FILL_CONNECTIONS, bounds).await?;
    let tally = filled.tally;
    ensure!(
        tally.error_count == 0,
        "not all could be published before: {:?}",
        tally.first_error
    );
    Ok(())
}

async fn all_at_once(route: Route, keys: &Keys) -> anyhow::Result<Tallies> {
    let mut random = Rng::with_seed(0x452821e638d01377);
    let tallies = Arc::new(Mutex::new(Tallies::new()));
    let count = keys.names().len();
    // Signed in advance, so that signing takes none of the second.
    let packets: Vec<_> = PUBLISHES_AT.iter().map(|_| keys.sign(count)).collect();
    let begin = Instant::now() + START_WITHIN;
    let mut endpoints = JoinSet::new();
    for number in 0..count {
        let endpoint = Endpoint {
            route,
            start: begin + START_WITHIN.mul_f64(random.f64()),
            packets: packets.iter().map(|each| each[number].clone()).collect(),
            others: (0..LOOKUP_COUNT)
                .map(|_| keys.names()[random.usize(..count)].clone())
                .collect(),
            tallies: tallies.clone(),
        };
        endpoints.spawn(endpoint.run());
    }
    while let Some(ended) = endpoints.join_next().await {
        ended.context("an endpoint failed")??;
    }
    let tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(tallies.clone())
}

/// An endpoint that starts.
struct Endpoint {
    route: Route,
    start: Instant,
    packets: Vec<Packet>,
    /// The keys that it looks up.
    others: Vec<String>,
    tallies: Arc<Mutex<Tallies>>,
}

impl Endpoint {
    async fn run(self) -> anyhow::Result<()> {
        let queries = Queries::txt(&self.others, ORIGIN)?;
        sleep_until(self.start).await;
        tokio::join!(self.publish(), self.read(), self.resolve(&queries.0));
        Ok(())
    }

    async fn publish(&self) {
        let mut connection = self.route.connection();
        for (packet, at) in self.packets.iter().zip(PUBLISHES_AT) {
            sleep_until(self.start + at).await;
            for retry in 1..=RETRIES_MAX {
                let started = Instant::now();
                let put = self.route.put(&mut connection, packet).await;
                let is_stored = put.is_ok();
                self.add(Kind::Put, started, put);
                if is_stored {
                    break;
                }
                sleep(Duration::from_secs(retry)).await;
            }
        }
    }

    async fn read(&self) {
        let mut connection = self.route.connection();
        for key in &self.others {
            let started = Instant::now();
            let read = self.route.get(&mut connection, key).await;
            self.add(Kind::Get, started, read);
        }
    }

    async fn resolve(&self, queries: &[Vec<u8>]) {
        for query in queries {
            let started = Instant::now();
            match self.route.resolve(query).await {
                Ok(transport) => self.add(transport.into(), started, Ok(())),
                Err(error) => self.add(Kind::Dns, started, Err(error)),
            }
        }
    }

    fn add(&self, kind: Kind, started: Instant, result: anyhow::Result<()>) {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.add(kind, started.elapsed(), result);
    }
}
