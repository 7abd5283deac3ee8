//! The table of several systems, with the ratio of the first to each other one.

use std::time::Duration;

use anyhow::ensure;

use crate::measure::Row;

const LEGEND: &str = "\
each figure    the median of the turns
p50 …          ms, of clients that send the next one when they have the answer to the last
CPU µs/op      user and system of all servers of the system, for each answer; load: of this generator
rate ×         the first system's rate over this one's; the same of p50, p99.9 and CPU";

/// The results of one system's turns.
#[derive(Debug)]
pub(crate) struct Cost {
    system: String,
    turns: Vec<Figures>,
    error_count: u64,
    first_error: Option<String>,
}

/// The figures of one turn, or their medians.
#[derive(Debug, Clone, Copy)]
struct Figures {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    cpu_micros: f64,
    load_micros: f64,
}

impl Cost {
    /// No turn yet.
    pub(crate) fn new(system: impl Into<String>) -> Self {
        Self {
            system: system.into(),
            turns: Vec::new(),
            error_count: 0,
            first_error: None,
        }
    }

    /// Adds the result of a turn. Fails if nothing in it succeeded.
    pub(crate) fn add(&mut self, turn: Row) -> anyhow::Result<()> {
        let tally = turn.outcome.tally;
        self.error_count += tally.error_count;
        let first_error = tally.first_error.clone();
        self.first_error = self.first_error.take().or(first_error);
        let ok_count = tally.ok_count() as f64;
        ensure!(
            ok_count > 0.0,
            "{}: no operation succeeded; first error: {:?}",
            self.system,
            self.first_error
        );
        let millis = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1e3;
        let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / ok_count;
        self.turns.push(Figures {
            rate: ok_count / turn.outcome.elapsed.as_secs_f64(),
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
            p999_ms: millis(0.999),
            cpu_micros: micros(turn.used.servers.iter().sum()),
            load_micros: micros(turn.used.own),
        });
        Ok(())
    }

    fn medians(&self) -> Figures {
        let median = |figure: fn(&Figures) -> f64| {
            let mut of_turns: Vec<_> = self.turns.iter().map(figure).collect();
            of_turns.sort_by(f64::total_cmp);
            of_turns[of_turns.len() / 2]
        };
        Figures {
            rate: median(|turn| turn.rate),
            p50_ms: median(|turn| turn.p50_ms),
            p99_ms: median(|turn| turn.p99_ms),
            p999_ms: median(|turn| turn.p999_ms),
            cpu_micros: median(|turn| turn.cpu_micros),
            load_micros: median(|turn| turn.load_micros),
        }
    }
}

/// Prints the header of the table.
pub(crate) fn print_header() {
    println!("{LEGEND}\n\n{}", header());
}

fn header() -> String {
    format!(
        "{:<26} {:<16} {:>8} {:>8} {:>8} {:>8} {:>9} {:>6} {:>6} {:>7} {:>7} {:>7} {:>7}",
        "work",
        "system",
        "ops/s",
        "p50",
        "p99",
        "p99.9",
        "CPU µs/op",
        "load",
        "errors",
        "rate ×",
        "p50 ×",
        "p99.9 ×",
        "CPU ×"
    )
}

/// Prints a line for each system, and below it its first error.
pub(crate) fn print(work: &str, costs: &[Cost]) {
    let first = costs[0].medians();
    for cost in costs {
        println!("{}", line(work, cost, first));
        if let Some(error) = &cost.first_error {
            println!("    first error: {error}");
        }
    }
}

fn line(work: &str, cost: &Cost, first: Figures) -> String {
    let own = cost.medians();
    format!(
        "{work:<26} {:<16} {:>8.0} {:>8.3} {:>8.3} {:>8.3} {:>9.2} {:>6.2} {:>6} {:>7.2} {:>7.2} {:>7.2} {:>7.2}",
        cost.system,
        own.rate,
        own.p50_ms,
        own.p99_ms,
        own.p999_ms,
        own.cpu_micros,
        own.load_micros,
        cost.error_count,
        first.rate / own.rate,
        first.p50_ms / own.p50_ms,
        first.p999_ms / own.p999_ms,
        first.cpu_micros / own.cpu_micros,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cpu::Used,
        load::{Outcome, Tally},
    };

    /// So many PUTs in 2 s, all of this latency.
    fn turn(puts: u32, latency_ms: u64) -> Row {
        let mut tally = Tally::new();
        (0..puts).for_each(|_| tally.on_ok(Duration::from_millis(latency_ms)));
        Row {
            work: "PUT".to_owned(),
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
        }
    }

    fn cost(system: &str, turns: &[(u32, u64)]) -> Cost {
        let mut cost = Cost::new(system);
        for &(puts, latency_ms) in turns {
            cost.add(turn(puts, latency_ms)).unwrap();
        }
        cost
    }

    #[test]
    fn figures_are_medians_and_ratios_are_those_of_the_first_system() {
        let first = cost("quorate", &[(100, 4), (1, 900), (100, 4)]).medians();
        let line = line("PUT", &cost("etcd", &[(90, 1), (50, 8), (10, 70)]), first);
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[..3], ["PUT", "etcd", "25"]);
        assert_eq!(
            words[6..],
            ["200.00", "100.00", "0", "2.00", "0.50", "0.50", "0.50"]
        );
        // "CPU µs/op", "rate ×", "p50 ×", "p99.9 ×" and "CPU ×" are two words each.
        assert_eq!(header().split_whitespace().count(), words.len() + 5);
    }

    #[test]
    fn a_turn_without_an_answer_is_an_error() {
        assert!(Cost::new("etcd").add(turn(0, 1)).is_err());
    }
}
