//! Measures what a snapshot costs publishers, and how long it takes: PUTs that refresh the keys of
//! a filled cluster before, while and after an empty node catches up.

use std::time::{Duration, Instant};

use clap::Args;
use quorate_tests::{Node, wait};

use crate::{
    cluster::{ClusterArgs, relays},
    fill::fill,
    load::{Bounds, Tally, connections::drive, requests::Requests},
    packets::Keys,
};

/// Packets signed for each second.
const PUTS_PER_SEC_MAX: usize = 5_000;

/// How long a node may take to catch up.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(300);

/// Arguments of `quorate-bench catch-up`.
#[derive(Debug, Args)]
pub(crate) struct CatchUpArgs {
    /// How many keys are published first.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    keys: u64,
    /// How many connections, over the two nodes that are up to date.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    clients: u16,
    /// How long to measure before and after, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    secs: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts two nodes of three, fills them, starts the third, and ends them.
pub(crate) async fn run(args: CatchUpArgs) -> anyhow::Result<()> {
    let plan = args.cluster.plan()?.log_kept_count(0);
    let cluster = quorate_tests::Cluster::start(plan).await;
    let late = cluster.follower().await;
    late.kill();
    let others = cluster.live();
    let relays = relays(&others);
    let keys = Keys::new(0, usize::try_from(args.keys)?);
    fill(&keys, &relays).await?;
    println!(
        "cluster    3 nodes, {} keys, {} connections",
        args.keys, args.clients
    );
    // A checkpoint was written, and the log was purged.
    tokio::time::sleep(Duration::from_secs(70)).await;
    let second = async || {
        let packets = keys.sign_scattered(PUTS_PER_SEC_MAX);
        let bounds = Bounds {
            secs: 1,
            count: None,
        };
        let puts = Requests::puts(packets);
        let outcome = drive(puts, relays.clone(), args.clients.into(), bounds).await?;
        anyhow::Ok(outcome.tally)
    };
    let mut before = Tally::new();
    for _ in 0..args.secs {
        before.add(second().await?);
    }
    before.print("before");
    let started = Instant::now();
    late.start();
    let leader = cluster.live().without(&late).wait_for_leader().await;
    let target = leader
        .status()
        .await
        .map_err(anyhow::Error::msg)?
        .applied_index;
    let catches_up = catch_up(&late, target);
    let mut catches_up = std::pin::pin!(catches_up);
    let mut meanwhile = Tally::new();
    let took = loop {
        let mut measured = std::pin::pin!(second());
        tokio::select! {
            () = &mut catches_up => break started.elapsed(),
            tally = &mut measured => meanwhile.add(tally?),
        }
    };
    meanwhile.print("meanwhile");
    println!("caught up  in {took:.1?}");
    let mut after = Tally::new();
    for _ in 0..args.secs {
        after.add(second().await?);
    }
    after.print("after");
    Ok(())
}

async fn catch_up(node: &Node, index: u64) {
    let what = format!("{} to have applied entry {index}", node.name());
    wait::until(&what, CATCH_UP_WITHIN, async || match node.status().await {
        Ok(status) if status.applied_index >= index => Ok(()),
        Ok(status) => Err(format!("it has applied {}", status.applied_index)),
        Err(reason) => Err(reason),
    })
    .await;
}
