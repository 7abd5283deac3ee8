//! Measures how soon writes continue after a leader is lost, and how often one is replaced without a reason.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use quorate_tests::{Cluster, Condition, Load, Node, Nodes, Publisher, PutAnswer, Signal};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    cluster::{ClusterArgs, servers},
    cpu::Usage,
};

/// How often a new PUT is sent to each survivor during a gap in writes: the resolution of a gap.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// The longest gap before the run fails.
const GAP_MAX: Duration = Duration::from_secs(60);

/// Acknowledgements before a fault, so that the load has reached its rate.
const ACKS_BEFORE: u64 = 1_000;

const LEGEND: &str = "\
gap            ms from the fault to the first acknowledgement, by a survivor, of a PUT sent after it
elections      terms that began although nothing had failed";

/// Arguments of `quorate-bench failover`.
#[derive(Debug, Args)]
pub(crate) struct FailoverArgs {
    /// How often the leader is killed.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(..=10_000))]
    kills: u16,
    /// How often the leader's process is suspended (SIGSTOP).
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(..=10_000))]
    freezes: u16,
    /// How often the leader is cut off: nothing arrives at it or from it, and no connection is closed.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(..=10_000))]
    cuts: u16,
    /// How often the leader is cut off in one direction: nothing that it sends arrives.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(..=10_000))]
    silences: u16,
    /// How often the leader is cut off in the other direction: nothing arrives at it.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(..=10_000))]
    deafenings: u16,
    /// How many minutes without a fault to count elections in.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(..=600))]
    quiet_minutes: u16,
    /// How many clients PUT all the time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: u16,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts a cluster, and another one whose links can be cut, measures, and ends them.
pub(crate) async fn run(args: FailoverArgs) -> anyhow::Result<()> {
    let clients = usize::from(args.clients);
    let cluster = args.cluster.start().await?;
    println!("cluster    3 nodes, {clients} clients\n\n{LEGEND}\n");
    count_elections(&cluster, clients, args.quiet_minutes).await?;
    println!("{}", header());
    measure_gaps(&cluster, Fault::Kill, args.kills, clients).await?;
    measure_gaps(&cluster, Fault::Freeze, args.freezes, clients).await?;
    drop(cluster);
    let cuts = [
        (Fault::Cut, args.cuts),
        (Fault::Silence, args.silences),
        (Fault::Deafen, args.deafenings),
    ];
    if cuts.iter().any(|(_, count)| *count > 0) {
        let cluster = Cluster::start(args.cluster.plan()?.with_links()).await;
        for (fault, count) in cuts {
            measure_gaps(&cluster, fault, count, clients).await?;
        }
    }
    Ok(())
}

/// Counts the terms that start without a fault.
async fn count_elections(cluster: &Cluster, clients: usize, minutes: u16) -> anyhow::Result<()> {
    if minutes == 0 {
        return Ok(());
    }
    let load = Load::start(&cluster.nodes(), clients);
    load.wait_for_acks(ACKS_BEFORE).await;
    let ids = servers(cluster).await.ids;
    let (used, acked, started) = (Usage::now(&ids)?, load.acked_count(), Instant::now());
    let term = term(&cluster.nodes()).await?;
    sleep(Duration::from_secs(60) * u32::from(minutes)).await;
    let elections = self::term(&cluster.nodes()).await? - term;
    let used = Usage::now(&ids)?.since(&used);
    let secs = started.elapsed().as_secs_f64();
    let own: Duration = used.servers.iter().sum::<Duration>() + used.own;
    println!(
        "{elections} elections in {minutes} min of {:.0} PUT/s, with {:.2} cores busy\n",
        (load.acked_count() - acked) as f64 / secs,
        own.as_secs_f64() / secs + used.others_cores,
    );
    load.stop().await.expect_held_by(&cluster.nodes()).await;
    Ok(())
}

/// The highest term that any node knows.
async fn term(nodes: &Nodes) -> anyhow::Result<u64> {
    let statuses = nodes.statuses().await.map_err(anyhow::Error::msg)?;
    let terms = statuses.iter().map(|status| status.term);
    terms.max().context("there are no nodes")
}

/// The fault of a leader.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Freeze,
    Cut,
    Silence,
    Deafen,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 of the leader",
            Self::Freeze => "SIGSTOP of the leader",
            Self::Cut => "cut of the leader, without FIN",
            Self::Silence => "cut of what the leader sends",
            Self::Deafen => "cut of what is sent to it",
        }
    }

    fn strike(self, cluster: &Cluster, leader: &Node) {
        match self {
            Self::Kill => leader.signal(Signal::KILL),
            Self::Freeze => leader.signal(Signal::STOP),
            Self::Cut => cluster.links().isolate(leader, Condition::Lost),
            Self::Silence => cluster.links().silence(leader),
            Self::Deafen => cluster.links().deafen(leader),
        }
    }

    async fn mend(self, cluster: &Cluster, leader: &Node) {
        match self {
            Self::Kill => {
                leader.wait_for_end().await;
                leader.restart();
            }
            Self::Freeze => leader.signal(Signal::CONT),
            Self::Cut | Self::Silence | Self::Deafen => cluster.links().heal(),
        }
        cluster.nodes().wait_ready().await;
    }
}

/// Fails one leader after the other under load, and prints how long nothing could be written. At
/// the end, everything that was acknowledged must be stored.
async fn measure_gaps(
    cluster: &Cluster,
    fault: Fault,
    count: u16,
    clients: usize,
) -> anyhow::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let load = Load::start(&cluster.nodes(), clients);
    let mut gaps = Vec::new();
    for _ in 0..count {
        load.wait_for_acks(ACKS_BEFORE).await;
        let leader = cluster.leader().await;
        let struck = Instant::now();
        fault.strike(cluster, &leader);
        gaps.push(gap(&cluster.nodes().without(&leader), struck).await?);
        fault.mend(cluster, &leader).await;
    }
    println!("{}", line(fault.name(), &mut gaps));
    let oracle = load.stop().await;
    cluster.nodes().expect_converged().await;
    oracle.expect_held_by(&cluster.nodes()).await;
    Ok(())
}

/// Sends new PUTs to each survivor without waiting for answers, until one is acknowledged: a client
/// from before the fault may wait for more than a leader.
async fn gap(survivors: &Nodes, struck: Instant) -> anyhow::Result<Duration> {
    let probing = async {
        let mut probes = JoinSet::new();
        let mut ticks = interval(PROBE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => for node in survivors.iter() {
                    probes.spawn(probe(node.clone(), struck));
                },
                Some(probed) = probes.join_next() => if let Ok((PutAnswer::Acked, gap)) = probed {
                    return gap;
                },
            }
        }
    };
    let gap = timeout(GAP_MAX, probing).await;
    gap.with_context(|| format!("no survivor acknowledged a PUT within {GAP_MAX:?}"))
}

/// The answer to a PUT of a new key, and when it was received.
async fn probe(node: Arc<Node>, struck: Instant) -> (PutAnswer, Duration) {
    let answer = Publisher::new("probe").put(&node, "probe").await;
    (answer, struck.elapsed())
}

fn header() -> String {
    format!(
        "{:<32} {:>6} {:>8} {:>8} {:>8}  gaps",
        "fault", "times", "p50", "p90", "max"
    )
}

fn line(fault: &str, gaps: &mut [Duration]) -> String {
    gaps.sort_unstable();
    let millis = |gap: &Duration| format!("{:.0}", gap.as_secs_f64() * 1e3);
    // The smallest gap that this share of gaps does not exceed.
    let quantile = |share: f64| millis(&gaps[(gaps.len() as f64 * share).ceil() as usize - 1]);
    let all: Vec<_> = gaps.iter().map(millis).collect();
    format!(
        "{fault:<32} {:>6} {:>8} {:>8} {:>8}  {}",
        gaps.len(),
        quantile(0.5),
        quantile(0.9),
        quantile(1.0),
        all.join(" "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_gaps_that_were_seen() {
        let mut gaps: Vec<_> = (1..=10).rev().map(Duration::from_millis).collect();
        let line = line("kill", &mut gaps);
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[..5], ["kill", "10", "5", "9", "10"]);
        assert_eq!(
            words[5..],
            ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]
        );
        assert_eq!(header().split_whitespace().count(), 6);
    }

    #[test]
    fn one_gap_is_all_quantiles() {
        let line = line("cut", &mut [Duration::from_millis(7)]);
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words, ["cut", "1", "7", "7", "7", "7"]);
    }
}
