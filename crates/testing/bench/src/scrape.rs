//! The servers' metrics: what no client can see.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use hyper::{Method, body::Bytes};

use crate::http::{self, Connection};

/// The samples that are read: flushes of the log and their seconds, entries and their packets,
/// checkpoints and their seconds.
const SAMPLES: [&str; 6] = [
    "quorate_log_flush_duration_seconds_count",
    "quorate_log_flush_duration_seconds_sum",
    "quorate_raft_entry_packets_count",
    "quorate_raft_entry_packets_sum",
    "quorate_store_checkpoint_duration_seconds_count",
    "quorate_store_checkpoint_duration_seconds_sum",
];

/// [`SAMPLES`], each the sum over all servers since they started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Scrape([f64; SAMPLES.len()]);

/// What the servers did between two points in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside {
    /// Flushes of the log, on all servers together.
    pub(crate) flush_count: f64,
    /// How long one took on average, in microseconds, including its wait for the disk.
    pub(crate) flush_mean_micros: Option<f64>,
    /// Packets in an entry, on average.
    pub(crate) entry_mean: Option<f64>,
    /// Checkpoints, on all servers together.
    pub(crate) checkpoint_count: f64,
    /// How long one took on average, in milliseconds.
    pub(crate) checkpoint_mean_ms: Option<f64>,
}

impl Scrape {
    /// Reads the metrics at each admin address.
    pub(crate) async fn now(admins: &[SocketAddr]) -> anyhow::Result<Self> {
        let mut sums = Self::default();
        for &admin in admins {
            let text = fetch(admin).await;
            sums.add(&text.with_context(|| format!("the metrics at {admin} cannot be read"))?);
        }
        Ok(sums)
    }

    fn add(&mut self, text: &str) {
        for (sum, name) in self.0.iter_mut().zip(SAMPLES) {
            *sum += sample(text, name).unwrap_or(0.0);
        }
    }

    /// What was done since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Inside {
        let [
            flush_count,
            flush_secs,
            entry_count,
            packet_count,
            checkpoint_count,
            checkpoint_secs,
        ] = std::array::from_fn(|at| self.0[at] - earlier.0[at]);
        let mean = |sum, count| (count > 0.0).then(|| sum / count);
        Inside {
            flush_count,
            flush_mean_micros: mean(flush_secs * 1e6, flush_count),
            entry_mean: mean(packet_count, entry_count),
            checkpoint_count,
            checkpoint_mean_ms: mean(checkpoint_secs * 1e3, checkpoint_count),
        }
    }
}

async fn fetch(admin: SocketAddr) -> anyhow::Result<String> {
    let request = http::request(Method::GET, &admin.to_string(), "/metrics", Bytes::new());
    let answer = Connection::open(admin).await?.exchange(request).await?;
    ensure!(answer.status() == 200, "the answer is {}", answer.status());
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}

/// The value of a sample without labels, in the text format of Prometheus.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(' ')?;
        value.split(' ').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP quorate_log_flush_duration_seconds Time
# TYPE quorate_log_flush_duration_seconds histogram
quorate_log_flush_duration_seconds_bucket{le=\"+Inf\"} 4
quorate_log_flush_duration_seconds_sum 0.002
quorate_log_flush_duration_seconds_count 4
quorate_raft_entry_packets_sum 30
quorate_raft_entry_packets_count 3
quorate_store_checkpoint_duration_seconds_sum 0.5
quorate_store_checkpoint_duration_seconds_count 2
";

    #[test]
    fn samples_are_found_by_their_whole_name() {
        assert_eq!(sample(TEXT, "quorate_raft_entry_packets_sum"), Some(30.0));
        assert_eq!(sample(TEXT, "quorate_raft_entry_packets"), None);
        assert_eq!(sample(TEXT, "quorate_raft_entry"), None);
    }

    #[test]
    fn what_was_done_is_the_difference() {
        let mut later = Scrape::default();
        later.add(TEXT);
        let inside = later.since(&Scrape::default());
        assert_eq!(inside.flush_count, 4.0);
        assert_eq!(inside.flush_mean_micros, Some(500.0));
        assert_eq!(inside.entry_mean, Some(10.0));
        assert_eq!(inside.checkpoint_count, 2.0);
        assert_eq!(inside.checkpoint_mean_ms, Some(250.0));
        let idle = later.since(&later);
        assert_eq!((idle.flush_count, idle.entry_mean), (0.0, None));
    }
}
