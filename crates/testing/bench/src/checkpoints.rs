//! Measures what a checkpoint costs publishers: PUTs that refresh the keys of a filled cluster,
//! until every node has written some checkpoints.

use anyhow::ensure;
use clap::Args;
use quorate_ctl::RelayUrl;
use quorate_tests::Packet;

use crate::{
    cluster::{ClusterArgs, FILL_CONNECTIONS, relays, servers},
    commands::{PACKETS_MAX, PUTS_PER_SEC_MAX},
    load::{Bounds, Outcome, connections::drive, requests::Requests},
    measure::{Row, Servers},
    packets::Keys,
    report::{self, or_dash},
    scrape::{Inside, Scrape},
};

/// Packets signed at a time while the cluster is filled: 40 MB.
const FILL_PACKETS: usize = 100_000;

/// How long writing them may take, in seconds: ten times as long as expected.
const FILL_SECS: u64 = 120;

/// How many checkpoints each node must write for a meaningful run.
const CHECKPOINTS_MIN: f64 = 2.0;

const LEGEND: &str = "\
latencies in ms, of clients that send the next PUT when they have the answer to the last
paced 99.9     p99.9 if clients had gone on sending, each at its mean rate, while they waited
tail           p99.9 / p50
checkpoints    of each node during the run, the first leader's first, and the mean time of one in ms
others         cores that everything else on the machine was using";

/// Arguments of `quorate-bench checkpoints`.
#[derive(Debug, Args)]
pub(crate) struct CheckpointsArgs {
    /// How many keys are published first, and then refreshed.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    keys: u64,
    /// How many connections, over all nodes. Several values, separated by commas, give a run each.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 256], value_parser = clap::value_parser!(u16).range(1..=1_000))]
    clients: Vec<u16>,
    /// How long each run is, in seconds. By default a node writes a checkpoint at least every 30 s.
    /// A run ends earlier after a million PUTs, because that many packets are signed in advance.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=600))]
    secs: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Starts the cluster, fills it, measures, and ends it.
pub(crate) async fn run(args: CheckpointsArgs) -> anyhow::Result<()> {
    let cluster = args.cluster.start().await?;
    let relays = relays(&cluster.nodes());
    let keys = Keys::new(0, usize::try_from(args.keys)?);
    fill(&keys, &relays).await?;
    println!("cluster    3 nodes, {} keys\n\n{LEGEND}\n", args.keys);
    println!("{}", header());
    let servers = servers(&cluster).await;
    for &clients in &args.clients {
        let packet_count = (args.secs * PUTS_PER_SEC_MAX).min(PACKETS_MAX);
        let puts = Requests::puts(keys.sign_scattered(usize::try_from(packet_count)?));
        let bounds = Bounds {
            secs: args.secs,
            count: None,
        };
        let before = scrape_each(&servers).await?;
        let puts = drive(puts, relays.clone(), clients.into(), bounds);
        let row = servers.measure(clients.to_string(), puts).await?;
        let after = scrape_each(&servers).await?;
        let each = after.iter().zip(&before);
        let each: Vec<Inside> = each.map(|(after, before)| after.since(before)).collect();
        println!("{}", line(&row, &each));
        report::print_errors(&row)?;
        if each
            .iter()
            .any(|node| node.checkpoint_count < CHECKPOINTS_MIN)
        {
            println!("    too few checkpoints for a result: raise --secs");
        }
    }
    Ok(())
}

/// Publishes every key once at these relays.
pub(crate) async fn fill(keys: &Keys, relays: &[RelayUrl]) -> anyhow::Result<()> {
    fill_by(keys, async |packets, bounds| {
        let puts = Requests::puts(packets);
        drive(puts, relays.to_vec(), FILL_CONNECTIONS, bounds).await
    })
    .await
}

/// Publishes every key once by `put`.
pub(crate) async fn fill_by(
    keys: &Keys,
    put: impl AsyncFn(Vec<Packet>, Bounds) -> anyhow::Result<Outcome>,
) -> anyhow::Result<()> {
    let key_count = keys.names().len();
    for start in (0..key_count).step_by(FILL_PACKETS) {
        let packets = keys.sign_range(start..key_count.min(start + FILL_PACKETS));
        let packet_count = u64::try_from(packets.len())?;
        let bounds = Bounds {
            secs: FILL_SECS,
            count: None,
        };
        let outcome = put(packets, bounds).await?;
        let ok_count = outcome.tally.ok_count();
        ensure!(
            ok_count == packet_count,
            "{ok_count} of {packet_count} keys were published in {FILL_SECS} s{}",
            match outcome.tally.first_error {
                Some(error) => format!("; first error: {error}"),
                None => String::new(),
            }
        );
    }
    Ok(())
}

/// What each server has done since it started.
pub(crate) async fn scrape_each(servers: &Servers) -> anyhow::Result<Vec<Scrape>> {
    let mut each = Vec::with_capacity(servers.admins.len());
    for admin in &servers.admins {
        each.push(Scrape::now(std::slice::from_ref(admin)).await?);
    }
    Ok(each)
}

fn header() -> String {
    format!(
        "{:>7} {:>6} {:>7} {:>8} {:>8} {:>8} {:>8} {:>6} {:>10} {:>6} {:>6}  checkpoints",
        "clients",
        "secs",
        "PUT/s",
        "p50",
        "p99",
        "p99.9",
        "max",
        "tail",
        "paced 99.9",
        "errors",
        "others",
    )
}

fn line(row: &Row, each: &[Inside]) -> String {
    let tally = &row.outcome.tally;
    let latency = &tally.latency;
    let millis = |micros: u64| micros as f64 / 1e3;
    let [p50, p99, p999] =
        [0.5, 0.99, 0.999].map(|quantile| millis(latency.value_at_quantile(quantile)));
    // A closed loop sends almost nothing while a checkpoint delays it, so it counts few of the latencies
    // that clients with a fixed rate would have had.
    let paced = latency.clone_correct(latency.mean() as u64);
    let secs = row.outcome.elapsed.as_secs_f64();
    format!(
        "{:>7} {secs:>6.1} {:>7.0} {p50:>8.3} {p99:>8.3} {p999:>8.3} {:>8.1} {:>6} {:>10.3} {:>6} \
         {:>6.2}  {} of {}",
        row.work,
        tally.ok_count() as f64 / secs,
        millis(latency.max()),
        or_dash(Some(p999 / p50), 1),
        millis(paced.value_at_quantile(0.999)),
        tally.error_count,
        row.used.others_cores,
        slashed(each, |node| Some(node.checkpoint_count)),
        slashed(each, |node| node.checkpoint_mean_ms),
    )
}

/// One metric of each server.
pub(crate) fn slashed(each: &[Inside], figure: impl Fn(&Inside) -> Option<f64>) -> String {
    let figures: Vec<_> = each.iter().map(|node| or_dash(figure(node), 0)).collect();
    figures.join("/")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        cpu::Used,
        load::{Outcome, Tally},
    };

    fn row(latencies_ms: impl IntoIterator<Item = u64>) -> Row {
        let mut tally = Tally::new();
        for latency in latencies_ms {
            tally.on_ok(Duration::from_millis(latency));
        }
        Row {
            work: "32".into(),
            outcome: Outcome {
                elapsed: Duration::from_secs(10),
                tally,
            },
            used: Used {
                servers: Vec::new(),
                own: Duration::ZERO,
                others_cores: 0.25,
            },
            inside: None,
        }
    }

    fn node(checkpoint_count: f64, checkpoint_mean_ms: Option<f64>) -> Inside {
        Inside {
            flush_count: 0.0,
            flush_mean_micros: None,
            entry_mean: None,
            checkpoint_count,
            checkpoint_mean_ms,
        }
    }

    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn a_stall_shows_in_the_tail_and_more_so_at_a_steady_pace() {
        let latencies = std::iter::repeat_n(4, 9_980).chain(std::iter::repeat_n(400, 20));
        let each = [node(3.0, Some(250.0)), node(2.0, Some(300.0))];
        let line = line(&row(latencies), &each);
        let words = words(&line);
        let [clients, secs, rate, p50, p99, p999, max, tail, paced, ..] = words[..] else {
            panic!("{line}");
        };
        assert_eq!([clients, secs, rate], ["32", "10.0", "1000"]);
        let [p50, p99, p999, max, tail, paced] =
            [p50, p99, p999, max, tail, paced].map(|word| word.parse::<f64>().unwrap());
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.01;
        assert!(near(p50, 4.0) && near(p99, 4.0), "{line}");
        assert!(near(p999, 400.0) && near(max, 400.0), "{line}");
        assert!(near(tail, 100.0), "{line}");
        assert!(near(paced, 400.0), "{line}");
        assert!(line.ends_with("3/2 of 250/300"), "{line}");
    }

    #[test]
    fn a_stall_too_short_for_the_tail_is_seen_at_a_steady_pace() {
        let latencies = std::iter::repeat_n(4, 9_995).chain(std::iter::repeat_n(400, 5));
        let line = line(&row(latencies), &[node(0.0, None)]);
        let words = words(&line);
        assert!(
            words[7] == "1.0" && words[8].parse::<f64>().unwrap() > 300.0,
            "{line}"
        );
        assert!(line.ends_with("0 of -"), "{line}");
    }

    #[test]
    fn every_column_has_a_header() {
        let line = line(&row([4]), &[node(1.0, Some(1.0))]);
        // "paced 99.9" is two words; of "1 of 1", "checkpoints" stands for three.
        assert_eq!(words(&header()).len() - 1, words(&line).len() - 2);
    }

    #[test]
    fn without_an_answer_nothing_is_divided() {
        assert!(!line(&row([]), &[]).contains("NaN"));
    }
}
