//! Workloads, each limited in time and count.

pub(crate) mod connections;
pub(crate) mod datagrams;
pub(crate) mod dns;
pub(crate) mod etcd;
pub(crate) mod queries;
pub(crate) mod requests;

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

/// How long to wait for answers after the end: a relay answers every PUT within 10 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// The longest recorded latency, in microseconds. No operation waits longer.
const LATENCY_MICROS_MAX: u64 = 60_000_000;

/// Whether a name is expected to exist: over HTTP a key, over DNS `_iroh` below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// It exists.
    Found,
    /// It does not exist.
    Absent,
}

/// How long a workload runs.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Bounds {
    /// How long, in seconds.
    // No operation starts later than this after the first.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) secs: u64,
    /// How many operations at most.
    #[arg(long)]
    pub(crate) count: Option<u64>,
}

/// The result of a workload.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// From the start of the first operation to the end of the last.
    pub(crate) elapsed: Duration,
    pub(crate) tally: Tally,
}

/// Operations counted.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// The latencies of successful operations, in microseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) error_count: u64,
    /// The first error.
    pub(crate) first_error: Option<String>,
}

impl Tally {
    /// No results yet.
    pub(crate) fn new() -> Self {
        Self {
            latency: Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3)
                .expect("the bounds are in order"),
            error_count: 0,
            first_error: None,
        }
    }

    /// The number of successful operations.
    pub(crate) fn ok_count(&self) -> u64 {
        self.latency.len()
    }

    pub(crate) fn on_ok(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros.max(1));
    }

    pub(crate) fn on_error(&mut self, error: impl FnOnce() -> String) {
        self.error_count += 1;
        self.first_error.get_or_insert_with(error);
    }

    /// Prints the counts and the latencies of PUTs.
    pub(crate) fn print(&self, when: &str) {
        let millis = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        println!(
            "{when:10} {} PUTs, {} failed, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.1} ms",
            self.ok_count(),
            self.error_count,
            millis(0.5),
            millis(0.99),
            millis(0.999),
            self.latency.max() as f64 / 1e3,
        );
    }

    /// Adds the results of another one.
    pub(crate) fn add(&mut self, other: Self) {
        self.latency
            .add(&other.latency)
            .expect("both have the same bounds");
        self.error_count += other.error_count;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// When the workload started.
#[derive(Debug, Clone, Copy)]
struct Clock {
    started: Instant,
    end: Instant,
}

impl Clock {
    fn start(bounds: Bounds) -> Self {
        let started = Instant::now();
        Self {
            started,
            end: started + Duration::from_secs(bounds.secs),
        }
    }

    /// When operations without an answer time out.
    fn give_up(&self) -> Instant {
        self.end + ANSWER_WITHIN
    }

    /// The combined result of these tasks, after all have ended.
    async fn outcome(&self, mut tasks: JoinSet<Tally>) -> anyhow::Result<Outcome> {
        let mut tally = Tally::new();
        while let Some(ended) = tasks.join_next().await {
            tally.add(ended.context("a task of the load failed")?);
        }
        Ok(Outcome {
            elapsed: self.started.elapsed(),
            tally,
        })
    }
}
