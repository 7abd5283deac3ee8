//! When an endpoint is online during the day.

use std::ops::Range;

use fastrand::Rng;

/// The share of endpoints that stay: those of servers, which start in the first two hours.
const SERVER_SHARE: f64 = 0.4;

/// The share of endpoints that restart once in a day.
const RESTART_SHARE: f64 = 0.3;

/// How long a restart takes, in hours.
const RESTART_HOURS: f64 = 0.1;

pub(crate) const HOURS: f64 = 24.0;

/// When an endpoint is online, in hours of the day.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OnlineTimes(Vec<Range<f64>>);

impl OnlineTimes {
    /// Four of ten are servers and stay. The others start between six and twelve o'clock, and leave
    /// after four to twelve hours.
    pub(crate) fn draw(random: &mut Rng) -> Self {
        let online = match random.f64() < SERVER_SHARE {
            true => 2.0 * random.f64()..HOURS,
            false => {
                let start = 6.0 + 6.0 * random.f64();
                start..(start + 4.0 + 8.0 * random.f64()).min(HOURS)
            }
        };
        if random.f64() >= RESTART_SHARE {
            return Self(vec![online]);
        }
        let length = online.end - online.start - RESTART_HOURS;
        let stop = online.start + length * random.f64();
        Self(vec![online.start..stop, stop + RESTART_HOURS..online.end])
    }

    /// When it starts for the first time.
    pub(crate) fn start(&self) -> f64 {
        self.0[0].start
    }

    pub(crate) fn contains(&self, hour: f64) -> bool {
        self.0.iter().any(|online| online.contains(&hour))
    }

    /// `hour` if it is online then, else when it starts again, if it does.
    pub(crate) fn next(&self, hour: f64) -> Option<f64> {
        let online = self.0.iter().find(|online| hour < online.end)?;
        Some(hour.max(online.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_comes_back_after_a_restart_and_not_after_it_left() {
        let online_times = OnlineTimes(vec![6.0..8.0, 8.1..12.0]);
        assert_eq!(online_times.start(), 6.0);
        assert_eq!(online_times.next(7.0), Some(7.0));
        assert_eq!(online_times.next(8.05), Some(8.1));
        assert_eq!(online_times.next(12.0), None);
        assert!(!online_times.contains(8.05) && online_times.contains(9.0));
    }

    #[test]
    fn there_are_more_by_day_and_some_restart() {
        let mut random = Rng::with_seed(1);
        let all: Vec<_> = (0..10_000)
            .map(|_| OnlineTimes::draw(&mut random))
            .collect();
        let online = |hour| all.iter().filter(|one| one.contains(hour)).count();
        assert!((3_500..4_500).contains(&online(4.0)), "{}", online(4.0));
        assert!(online(12.0) > 9_000, "{}", online(12.0));
        let restarts = all.iter().filter(|one| one.0.len() == 2).count();
        assert!((2_700..3_300).contains(&restarts), "{restarts}");
        let in_order = |one: &OnlineTimes| one.0.iter().all(|online| online.start <= online.end);
        assert!(all.iter().all(in_order));
    }
}
