//! Measures how long a PUT takes until every node shows the packet by DNS, while other endpoints publish at a
//! fixed rate.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use futures_util::future::{try_join, try_join_all};
use quorate_tests::Packet;
use tokio::{
    net::UdpSocket,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    cluster::{ClusterArgs, relays},
    endpoint::Route,
    load::{Bounds, Tally, connections::drive, queries::Queries, requests::Requests},
    packets::Keys,
};

/// Connections of the other endpoints: at this rate most of them wait for their turn.
const CONNECTIONS: usize = 32;

/// Keys of the other endpoints.
const KEY_COUNT: usize = 40_000;

/// How often a packet is watched: seldom enough for its queries to be no load.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// Between an answer without the packet and the next question: without it the questions alone fill a processor.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// The longest time until a packet is shown: more than a PUT may take.
const SHOWN_WITHIN: Duration = Duration::from_secs(12);

/// Arguments of `quorate-bench visible`.
#[derive(Debug, Args)]
pub(crate) struct VisibleArgs {
    /// How many PUTs a second, over all nodes.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    puts_per_sec: u32,
    /// How long, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=200))]
    secs: u32,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts three nodes, publishes and watches, and ends them.
pub(crate) async fn run(args: VisibleArgs) -> anyhow::Result<()> {
    let cluster = args.cluster.start().await?;
    let nodes = cluster.nodes();
    let relays = relays(&nodes);
    let routes = nodes.iter().map(|node| Route {
        source: Ipv4Addr::LOCALHOST.into(),
        http: node.addresses().http,
        dns: node.addresses().dns,
    });
    let routes: Vec<_> = routes.collect();
    let put_count = usize::try_from(args.puts_per_sec * args.secs)?;
    let others = Keys::new(0, KEY_COUNT).sign_scattered(put_count);
    let others = Requests::puts(others).paced(args.puts_per_sec);
    let bounds = Bounds {
        secs: args.secs.into(),
        count: None,
    };
    // A key is watched once, so that its first packet is the one that is expected.
    let watched = Duration::from_secs(args.secs.into()).div_duration_f64(WATCH_INTERVAL);
    let watched = Keys::new(1, watched as usize);
    println!(
        "cluster    3 nodes, {} PUTs a second; {} packets watched at all nodes",
        args.puts_per_sec,
        watched.names().len()
    );
    let others = drive(others, relays, CONNECTIONS, bounds);
    let (others, watched) = try_join(others, watch(&watched, &routes)).await?;
    others.tally.print("others");
    let [answered, shown] = watched;
    answered.print("answered");
    shown.print("shown");
    Ok(())
}

/// The times from a PUT to its answer, and to the answer with its packet at the last of the nodes.
async fn watch(keys: &Keys, routes: &[Route]) -> anyhow::Result<[Tally; 2]> {
    let queries = Queries::txt(keys.names(), "quorate.test.")?;
    let mut times = [Tally::new(), Tally::new()];
    let mut turns = interval(WATCH_INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connections: Vec<_> = routes.iter().map(Route::connection).collect();
    for (number, query) in queries.0.iter().enumerate() {
        turns.tick().await;
        let packet: Packet = keys.sign_one(number);
        let at = number % routes.len();
        let started = Instant::now();
        let put = async {
            routes[at].put(&mut connections[at], &packet).await?;
            anyhow::Ok(started.elapsed())
        };
        let shown = async {
            try_join_all(routes.iter().map(|route| shown(route.dns, query))).await?;
            anyhow::Ok(started.elapsed())
        };
        let (answered, shown) = try_join(put, shown).await?;
        times[0].on_ok(answered);
        times[1].on_ok(shown);
    }
    Ok(times)
}

/// Asks one question after the other until the answer has a record.
async fn shown(server: SocketAddr, query: &[u8]) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    let asked = Instant::now();
    let mut answer = [0; 512];
    loop {
        socket.send(query).await?;
        let received = timeout(SHOWN_WITHIN, socket.recv(&mut answer)).await;
        let size = received.with_context(|| format!("{server} left a query unanswered"))??;
        // ANCOUNT (RFC 1035, section 4.1.1).
        if answer[..size]
            .get(6..8)
            .is_some_and(|count| count != [0; 2])
        {
            return Ok(());
        }
        ensure!(
            asked.elapsed() < SHOWN_WITHIN,
            "{server} did not show a packet within {SHOWN_WITHIN:?}"
        );
        sleep(ASK_AGAIN_AFTER).await;
    }
}
