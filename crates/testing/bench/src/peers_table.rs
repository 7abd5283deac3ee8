//! The table that compares the first of several systems with each other one.

use std::time::Duration;

use anyhow::ensure;

use crate::{load::Tally, measure::Row};

const LEGEND: &str = "\
p50, p99       ms, of clients that send the next one when they have the answer to the last
CPU µs/op      user and system of all servers of the system, for each answer; load: of this generator
rate ×         the first system's rate over this one's; the same of p50 and CPU";

/// The sums over one system's turns.
#[derive(Debug)]
pub(crate) struct Cost {
    system: String,
    elapsed: Duration,
    cpu: Duration,
    load_cpu: Duration,
    tally: Tally,
}

#[derive(Debug, Clone, Copy)]
struct CostSummary {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_micros: f64,
    load_micros: f64,
}

impl Cost {
    /// No turn yet.
    pub(crate) fn new(system: impl Into<String>) -> Self {
        Self {
            system: system.into(),
            elapsed: Duration::ZERO,
            cpu: Duration::ZERO,
            load_cpu: Duration::ZERO,
            tally: Tally::new(),
        }
    }

    /// Adds the result of a turn.
    pub(crate) fn add(&mut self, turn: Row) {
        self.elapsed += turn.outcome.elapsed;
        self.cpu += turn.used.servers.iter().sum::<Duration>();
        self.load_cpu += turn.used.own;
        self.tally.add(turn.outcome.tally);
    }

    fn summary(&self) -> CostSummary {
        let ok_count = self.tally.ok_count() as f64;
        let millis = |quantile| self.tally.latency.value_at_quantile(quantile) as f64 / 1e3;
        CostSummary {
            rate: ok_count / self.elapsed.as_secs_f64(),
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
            cpu_micros: self.cpu.as_secs_f64() * 1e6 / ok_count,
            load_micros: self.load_cpu.as_secs_f64() * 1e6 / ok_count,
        }
    }
}

/// Prints the header of the table.
pub(crate) fn print_header() {
    println!("{LEGEND}\n\n{}", header());
}

fn header() -> String {
    format!(
        "{:<26} {:<16} {:>8} {:>8} {:>8} {:>9} {:>6} {:>6} {:>7} {:>7} {:>7}",
        "work",
        "system",
        "ops/s",
        "p50",
        "p99",
        "CPU µs/op",
        "load",
        "errors",
        "rate ×",
        "p50 ×",
        "CPU ×"
    )
}

/// Prints a line of each system, and below it the first error if there was one.
pub(crate) fn print(work: &str, costs: &[Cost]) -> anyhow::Result<()> {
    let first = costs[0].summary();
    for cost in costs {
        println!("{}", line(work, cost, first));
        if let Some(error) = &cost.tally.first_error {
            println!("    first error: {error}");
        }
        ensure!(cost.tally.ok_count() > 0, "{}: nothing worked", cost.system);
    }
    Ok(())
}

fn line(work: &str, cost: &Cost, first: CostSummary) -> String {
    let own = cost.summary();
    format!(
        "{work:<26} {:<16} {:>8.0} {:>8.3} {:>8.3} {:>9.2} {:>6.2} {:>6} {:>7.2} {:>7.2} {:>7.2}",
        cost.system,
        own.rate,
        own.p50_ms,
        own.p99_ms,
        own.cpu_micros,
        own.load_micros,
        cost.tally.error_count,
        first.rate / own.rate,
        first.p50_ms / own.p50_ms,
        first.cpu_micros / own.cpu_micros,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cpu::Used, load::Outcome};

    fn cost(system: &str, turns: u32, puts: u32, latency_ms: u64) -> Cost {
        let mut cost = Cost::new(system);
        for _ in 0..turns {
            let mut tally = Tally::new();
            (0..puts).for_each(|_| tally.on_ok(Duration::from_millis(latency_ms)));
            cost.add(Row {
                work: system.to_owned(),
                outcome: Outcome {
                    elapsed: Duration::from_secs(2),
                    tally,
                },
                used: Used {
                    servers: vec![Duration::from_millis(4), Duration::from_millis(6)],
                    own: Duration::from_millis(5),
                    others_cores: 0.0,
                },
                inside: None,
            });
        }
        cost
    }

    #[test]
    fn turns_add_up_and_ratios_are_those_of_the_first_system() {
        let first = cost("quorate", 2, 100, 4).summary();
        let line = line("PUT", &cost("etcd", 3, 50, 8), first);
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[..3], ["PUT", "etcd", "25"]);
        assert_eq!(
            words[5..],
            ["200.00", "100.00", "0", "2.00", "0.50", "0.50"]
        );
        // "CPU µs/op", "rate ×", "p50 ×" and "CPU ×" are two words each.
        assert_eq!(header().split_whitespace().count(), words.len() + 4);
    }
}
