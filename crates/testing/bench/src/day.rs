//! Simulates a day of many endpoints: they start, publish repeatedly, look each other up, restart and leave.
//!
//! Two times are shorter than in reality: the day, and the interval between an endpoint's PUTs (300
//! s in reality). Requests are sent when they are due, even if earlier ones have no answer yet, and
//! a latency starts when its request was due: so a stall shows in all requests that it delayed.
//! Each request has its own connection, like publishers and readers that are idle for minutes. Two
//! endpoints share a loopback address, and no two addresses share a /24: the default limits are on,
//! and see many networks.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::ensure;
use clap::Args;
use fastrand::Rng;
use quorate_tests::{Cluster, ORIGIN};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use crate::{
    cluster::{ClusterArgs, servers},
    cpu::{self, Usage},
    endpoint::Route,
    kinds::{Kind, Tallies},
    limits,
    load::queries::Queries,
    machine,
    online_times::{HOURS, OnlineTimes},
    packets::Keys,
    plot,
};

/// Into how many parts the results of the day are divided.
const PART_COUNT: usize = 48;

/// The most requests in flight. Others wait to be sent, and that time counts.
const IN_FLIGHT_MAX: usize = 4_096;

/// How many of the last published keys are not looked up, because another node may not have them yet.
const TOO_NEW_COUNT: usize = 1_000;

/// Arguments of `quorate-bench day`.
#[derive(Debug, Args)]
pub(crate) struct DayArgs {
    /// How many endpoints there are.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10_000..=100_000))]
    endpoints: u64,
    /// How many minutes the day has.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    minutes: u64,
    /// After how many seconds an endpoint publishes again and looks up another one.
    #[arg(long, default_value_t = 75, value_parser = clap::value_parser!(u64).range(10..=300))]
    republish_secs: u64,
    /// The directory for day.svg.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts three nodes and simulates the day. Fails if a request fails.
pub(crate) async fn run(args: DayArgs) -> anyhow::Result<()> {
    println!("program    {}", args.cluster.program()?.display());
    machine::print_facts(&args.cluster.dir()?)?;
    machine::raise_file_limit()?;
    println!(
        "endpoints  {}, a day of {} minutes, each publishes and looks another up every {} s\n",
        args.endpoints, args.minutes, args.republish_secs
    );
    let cluster = Cluster::prepare(&args.cluster.plan()?);
    for node in cluster.nodes().iter() {
        node.set_environment(limits::defaults());
    }
    cluster.nodes().start();
    cluster.nodes().wait_ready().await;

    let ids = servers(&cluster).await.ids;
    let day = Day::new(&args, &cluster)?;
    let before = Usage::now(&ids)?;
    let started = Instant::now();
    let parts = day.live().await?;
    let took = started.elapsed();
    let used = Usage::now(&ids)?.since(&before);

    let mut all = Tallies::new();
    parts.iter().for_each(|part| all.merge(part));
    all.print();
    let secs = took.as_secs_f64();
    let cores = used.servers.iter().sum::<Duration>().as_secs_f64() / secs;
    let resident = ids.iter().filter_map(|&id| cpu::resident_size(id)).max();
    println!(
        "\n{:.0} requests/s over {secs:.0} s; cores: {cores:.2} of the nodes, {:.2} of this; a node \
         takes {} MiB at most",
        all.ok_count() as f64 / secs,
        used.own.as_secs_f64() / secs,
        resident.unwrap_or_default() >> 20,
    );
    if let Some(dir) = &args.plots {
        plot::day(&dir.join("day.svg"), &parts, day.part_length())?;
    }
    let errors = all.error_count();
    ensure!(errors == 0, "{errors} requests failed");
    Ok(())
}

/// What an endpoint does next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    /// Since the start of the day.
    at: Duration,
    endpoint: usize,
    task: Task,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Publish,
    LookUp,
}

struct Day {
    keys: Keys,
    online_times: Vec<OnlineTimes>,
    /// One for each node.
    http: Vec<SocketAddr>,
    dns: Vec<SocketAddr>,
    length: Duration,
    republish_interval: Duration,
    shared: Arc<Shared>,
}

/// What requests record when they are answered.
struct Shared {
    parts: Mutex<Vec<Tallies>>,
    /// Endpoints whose packets are stored, in the order of their first PUT.
    published: Mutex<Vec<usize>>,
}

impl Day {
    fn new(args: &DayArgs, cluster: &Cluster) -> anyhow::Result<Self> {
        let mut random = Rng::with_seed(0xbe5466cf34e90c6c);
        let count = usize::try_from(args.endpoints)?;
        let addresses: Vec<_> = cluster
            .nodes()
            .iter()
            .map(|node| node.addresses())
            .collect();
        Ok(Self {
            keys: Keys::new(0, count),
            online_times: (0..count).map(|_| OnlineTimes::draw(&mut random)).collect(),
            http: addresses.iter().map(|node| node.http).collect(),
            dns: addresses.iter().map(|node| node.dns).collect(),
            length: Duration::from_secs(args.minutes * 60),
            republish_interval: Duration::from_secs(args.republish_secs),
            shared: Arc::new(Shared {
                parts: Mutex::new(vec![Tallies::new(); PART_COUNT]),
                published: Mutex::default(),
            }),
        })
    }

    fn part_length(&self) -> Duration {
        self.length / u32::try_from(PART_COUNT).unwrap_or(u32::MAX)
    }

    /// Returns the results of all requests, by the part of the day in which they were due.
    async fn live(&self) -> anyhow::Result<Vec<Tallies>> {
        let mut random = Rng::with_seed(0xc0ac29b7c97c50dd);
        let starts = self.online_times.iter().enumerate();
        let mut agenda: BinaryHeap<_> = starts
            .map(|(endpoint, online_times)| {
                Reverse(Due {
                    at: self.time_of_hour(online_times.start()),
                    endpoint,
                    task: Task::Publish,
                })
            })
            .collect();
        let permits = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let started = Instant::now();
        while let Some(Reverse(due)) = agenda.pop() {
            sleep_until(started + due.at).await;
            let permit = permits.clone().acquire_owned().await?;
            if let Some(request) = self.request(due, started + due.at, &mut random)? {
                tokio::spawn(async move {
                    request.send().await;
                    drop(permit);
                });
            }
            agenda.extend(self.next_tasks(due, &mut random).map(Reverse));
        }
        // All requests have their answers.
        let all = u32::try_from(IN_FLIGHT_MAX)?;
        drop(permits.acquire_many(all).await?);
        Ok(lock(&self.shared.parts).clone())
    }

    /// The next action of an endpoint that has published.
    fn next_tasks(&self, due: Due, random: &mut Rng) -> impl Iterator<Item = Due> + use<> {
        let online_times = &self.online_times[due.endpoint];
        let interval = self.republish_interval;
        let again = due.at + interval.mul_f64(0.9 + 0.2 * random.f64());
        let again = online_times.next(self.hour(again)).map(|hour| Due {
            at: self.time_of_hour(hour).max(again),
            ..due
        });
        let look_up = due.at + interval.mul_f64(random.f64());
        let look_up = online_times.contains(self.hour(look_up)).then_some(Due {
            at: look_up,
            task: Task::LookUp,
            ..due
        });
        let is_over = due.task == Task::LookUp;
        [again, look_up]
            .into_iter()
            .flatten()
            .filter(move |_| !is_over)
    }

    /// `None` if no published endpoint can be looked up yet.
    fn request(
        &self,
        due: Due,
        at: Instant,
        random: &mut Rng,
    ) -> anyhow::Result<Option<EndpointRequest>> {
        let what = match due.task {
            Task::Publish => Action::Publish(self.keys.sign_one(due.endpoint), due.endpoint),
            Task::LookUp => {
                let published = lock(&self.shared.published);
                let known = published.len().saturating_sub(TOO_NEW_COUNT);
                if known == 0 {
                    return Ok(None);
                }
                let key = self.keys.names()[published[random.usize(..known)]].clone();
                match random.bool() {
                    true => Action::Read(key),
                    false => Action::Resolve(Queries::txt(&[key], ORIGIN)?),
                }
            }
        };
        let node = random.usize(..self.http.len());
        let part = due.at.as_secs_f64() / self.length.as_secs_f64() * PART_COUNT as f64;
        Ok(Some(EndpointRequest {
            route: Route {
                source: address(due.endpoint),
                http: self.http[node],
                dns: self.dns[node],
            },
            what,
            due: at,
            part: (part as usize).min(PART_COUNT - 1),
            shared: self.shared.clone(),
        }))
    }

    fn time_of_hour(&self, hour: f64) -> Duration {
        self.length.mul_f64(hour / HOURS)
    }

    fn hour(&self, at: Duration) -> f64 {
        at.as_secs_f64() / self.length.as_secs_f64() * HOURS
    }
}

/// Two endpoints share an address: 127.a.b.1, starting with 127.1.0.1.
fn address(endpoint: usize) -> IpAddr {
    let [_, high, middle, low] = u32::try_from(endpoint / 2)
        .unwrap_or_default()
        .to_be_bytes();
    debug_assert_eq!(high, 0, "there are at most 100,000 endpoints");
    Ipv4Addr::new(127, 1 + middle, low, 1).into()
}

enum Action {
    Publish(quorate_tests::Packet, usize),
    Read(String),
    Resolve(Queries),
}

/// A request that is due.
struct EndpointRequest {
    route: Route,
    what: Action,
    due: Instant,
    part: usize,
    shared: Arc<Shared>,
}

impl EndpointRequest {
    async fn send(self) {
        let mut connection = self.route.connection();
        let (kind, result) = match &self.what {
            Action::Publish(packet, endpoint) => {
                let put = self.route.put(&mut connection, packet).await;
                if put.is_ok() {
                    lock(&self.shared.published).push(*endpoint);
                }
                (Kind::Put, put)
            }
            Action::Read(key) => (Kind::Get, self.route.get(&mut connection, key).await),
            Action::Resolve(queries) => match self.route.resolve(queries.first()).await {
                Ok(transport) => (transport.into(), Ok(())),
                Err(error) => (Kind::Dns, Err(error)),
            },
        };
        let latency = self.due.elapsed();
        lock(&self.shared.parts)[self.part].add(kind, latency, result);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_addresses_share_a_network_of_256() {
        let networks: BTreeSet<_> = (0..100_000)
            .map(|endpoint| match address(endpoint) {
                IpAddr::V4(address) => address.octets()[..3].to_vec(),
                IpAddr::V6(_) => unreachable!("all are of IPv4"),
            })
            .collect();
        assert_eq!(networks.len(), 50_000);
    }
}
