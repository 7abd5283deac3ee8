//! The results of endpoints' requests, by kind.

use std::time::Duration;

use strum::{EnumCount, IntoEnumIterator};

use crate::{endpoint::Transport, load::Tally};

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumCount, strum::EnumIter)]
pub(crate) enum Kind {
    Put,
    Get,
    Dns,
    DnsOverTcp,
    DnsLater,
}

impl From<Transport> for Kind {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => Self::Dns,
            Transport::Tcp => Self::DnsOverTcp,
            Transport::Later => Self::DnsLater,
        }
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::Dns => "DNS over UDP",
            Self::DnsOverTcp => "DNS, TC and TCP",
            Self::DnsLater => "DNS, retried",
        }
    }
}

/// The results of requests of each kind.
#[derive(Debug, Clone)]
pub(crate) struct Tallies(Vec<Tally>);

impl Tallies {
    /// No results yet.
    pub(crate) fn new() -> Self {
        Self(vec![Tally::new(); Kind::COUNT])
    }

    pub(crate) fn of(&self, kind: Kind) -> &Tally {
        &self.0[kind as usize]
    }

    pub(crate) fn add(&mut self, kind: Kind, latency: Duration, result: anyhow::Result<()>) {
        let tally = &mut self.0[kind as usize];
        match result {
            Ok(()) => tally.on_ok(latency),
            Err(error) => tally.on_error(|| format!("{error:#}")),
        }
    }

    /// Adds the results of another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (tally, other) in self.0.iter_mut().zip(&other.0) {
            tally.add(other.clone());
        }
    }

    pub(crate) fn error_count(&self) -> u64 {
        self.0.iter().map(|tally| tally.error_count).sum()
    }

    pub(crate) fn ok_count(&self) -> u64 {
        self.0.iter().map(Tally::ok_count).sum()
    }

    /// Prints a line for each kind that occurred, and its first error.
    pub(crate) fn print(&self) {
        println!(
            "{:<18} {:>10} {:>7} {:>9} {:>9} {:>9} {:>9}",
            "kind", "answered", "errors", "p50 ms", "p95 ms", "p99 ms", "max ms"
        );
        for kind in Kind::iter() {
            let tally = self.of(kind);
            if tally.ok_count() + tally.error_count == 0 {
                continue;
            }
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|quantile| millis(tally, quantile));
            println!(
                "{:<18} {:>10} {:>7} {p50:>9.2} {p95:>9.2} {p99:>9.2} {:>9.2}",
                kind.name(),
                tally.ok_count(),
                tally.error_count,
                millis(tally, 1.0),
            );
            if let Some(error) = &tally.first_error {
                println!("    first error: {error}");
            }
        }
    }
}

/// The latency that this share of requests did not exceed, in milliseconds.
pub(crate) fn millis(tally: &Tally, quantile: f64) -> f64 {
    tally.latency.value_at_quantile(quantile) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_add_up() {
        let (mut one, mut other) = (Tallies::new(), Tallies::new());
        one.add(Kind::Put, Duration::from_millis(2), Ok(()));
        other.add(Kind::Put, Duration::from_millis(4), Ok(()));
        other.add(Kind::Get, Duration::ZERO, Err(anyhow::anyhow!("lost")));
        one.merge(&other);
        assert_eq!(one.of(Kind::Put).ok_count(), 2);
        assert!((millis(one.of(Kind::Put), 1.0) - 4.0).abs() < 0.1);
        assert_eq!((one.ok_count(), one.error_count()), (2, 1));
        assert_eq!(one.of(Kind::Get).first_error.as_deref(), Some("lost"));
        assert_eq!(one.of(Kind::Dns).ok_count(), 0);
    }
}
