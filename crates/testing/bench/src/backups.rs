//! Measures what a backup costs publishers and the node that makes it, and how long verifying and restoring it
//! take: PUTs at a fixed rate, before, while and after backups are saved.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use quorate_tests::{Cluster, Node, wait};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    cluster::{ClusterArgs, relays},
    fill::fill,
    load::{Bounds, Tally, connections::drive, requests::Requests},
    packets::Keys,
};

/// Connections of the PUTs: at this rate most of them wait for their turn.
const CONNECTIONS: usize = 32;

/// How often the memory of the node is read.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// How long a restored node may take to start.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// Arguments of `quorate-bench backups`.
#[derive(Debug, Args)]
pub(crate) struct BackupsArgs {
    /// How many keys are published first.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    keys: u64,
    /// How many PUTs a second, over all nodes.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    puts_per_sec: u32,
    /// How long to measure before and after, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=60))]
    secs: u64,
    /// How many backups are saved at a follower, and then at the leader.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=10))]
    rounds: u8,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts three nodes, fills them, saves backups, verifies and restores one, and ends the nodes.
pub(crate) async fn run(args: BackupsArgs) -> anyhow::Result<()> {
    let cluster = args.cluster.start().await?;
    let relays = relays(&cluster.nodes());
    let keys = Keys::new(0, usize::try_from(args.keys)?);
    fill(&keys, &relays).await?;
    println!(
        "cluster    3 nodes, {} keys, {} PUTs a second",
        args.keys, args.puts_per_sec
    );
    let second = async || {
        let packets = keys.sign_scattered(usize::try_from(args.puts_per_sec)?);
        let puts = Requests::puts(packets).paced(args.puts_per_sec);
        let bounds = Bounds {
            secs: 1,
            count: None,
        };
        let outcome = drive(puts, relays.clone(), CONNECTIONS, bounds).await?;
        anyhow::Ok(outcome.tally)
    };
    let seconds = async |count| {
        let mut tally = Tally::new();
        for _ in 0..count {
            tally.add(second().await?);
        }
        anyhow::Ok(tally)
    };
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let file = cluster.dir().join("bench.backup");
    // The first checkpoint after the fill is not a matter of backups.
    seconds(args.secs).await?;
    for (place, node) in [("a follower", &follower), ("the leader", &leader)] {
        for _ in 0..args.rounds {
            seconds(args.secs).await?.print("before");
            let memory_before = node.resident_size();
            let mut memory_max = memory_before;
            let mut meanwhile = Tally::new();
            let mut samples = interval(SAMPLE_INTERVAL);
            samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let words = ["backup", "save", "--force", "-o", text(&file)];
            let mut saving = std::pin::pin!(timed(node, &words));
            let mut puts = Box::pin(second());
            let took = loop {
                tokio::select! {
                    took = &mut saving => break took?,
                    tally = &mut puts => {
                        meanwhile.add(tally?);
                        puts = Box::pin(second());
                    }
                    _ = samples.tick() => memory_max = memory_max.max(node.resident_size()),
                }
            };
            meanwhile.print("meanwhile");
            println!(
                "saved      at {place} in {took:.1?}, {} bytes; the node had {} MiB of memory before, {} at most",
                fs::metadata(&file)?.len(),
                memory_before >> 20,
                memory_max >> 20,
            );
        }
    }
    seconds(args.secs).await?.print("after");
    cluster.nodes().terminate().await;
    let took = timed(&leader, &["backup", "verify", text(&file)]).await?;
    let cores = thread::available_parallelism()?.get();
    let per_core = args.keys as f64 / took.as_secs_f64() / cores as f64;
    println!("verified   in {took:.1?}: {per_core:.0} packets a second and core");
    restore(&cluster, &file).await
}

async fn restore(cluster: &Cluster, file: &Path) -> anyhow::Result<()> {
    let node = cluster.machine();
    let config = node.config_file();
    let took = timed(&node, &["restore", text(file), "--config", text(&config)]).await?;
    let started = Instant::now();
    node.start();
    wait::until("the restored node to be ready", READY_WITHIN, async || {
        node.ready().await
    })
    .await;
    let ready = started.elapsed();
    println!("restored   in {took:.1?}, and ready {ready:.1?} after its start");
    Ok(())
}

/// How long a command takes that must succeed.
async fn timed(node: &Node, words: &[&str]) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let ran = node.run(words).await;
    ensure!(ran.code == 0, "quorate {}: {}", words.join(" "), ran.stderr);
    Ok(started.elapsed())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is a name of ours")
}
