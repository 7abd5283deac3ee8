//! Intervals, and the part that most of them share.

/// An interval in milliseconds, including both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Interval {
    pub(crate) fn point(at: i64) -> Self {
        Self { low: at, high: at }
    }

    pub(crate) fn widened(self, by: i64) -> Self {
        Self {
            low: self.low.saturating_sub(by),
            high: self.high.saturating_add(by),
        }
    }

    pub(crate) fn width(self) -> i64 {
        self.high.saturating_sub(self.low)
    }

    pub(crate) fn middle(self) -> i64 {
        self.low + self.width() / 2
    }

    pub(crate) fn contains(self, at: i64) -> bool {
        (self.low..=self.high).contains(&at)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    fn intersected(self, other: Self) -> Self {
        Self {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        }
    }
}

/// The part that most of `intervals` share, and their number (Marzullo). Of equally shared parts, one that
/// overlaps `favoured` is preferred, then the narrowest.
pub(crate) fn shared_by_most(
    intervals: &[Interval],
    favoured: Interval,
) -> Option<(Interval, usize)> {
    // A shared part starts where one of the intervals starts.
    let shared_at = |begin: &Interval| {
        let holding = intervals.iter().filter(|other| other.contains(begin.low));
        let shared = holding.clone().copied().reduce(Interval::intersected)?;
        Some((shared, holding.count()))
    };
    let rank =
        |(shared, count): &(Interval, usize)| (*count, shared.overlaps(favoured), -shared.width());
    intervals.iter().filter_map(shared_at).max_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: Interval = Interval {
        low: i64::MAX,
        high: i64::MAX,
    };

    fn most(intervals: &[(i64, i64)], favoured: Interval) -> Option<((i64, i64), usize)> {
        let intervals = intervals.iter().map(|(low, high)| Interval {
            low: *low,
            high: *high,
        });
        let intervals: Vec<_> = intervals.collect();
        let (shared, count) = shared_by_most(&intervals, favoured)?;
        Some(((shared.low, shared.high), count))
    }

    #[test]
    fn what_most_share_is_found() {
        assert_eq!(most(&[], NOWHERE), None);
        assert_eq!(most(&[(3, 5)], NOWHERE), Some(((3, 5), 1)));
        // The example of the algorithm's inventor: 8-12, 11-13, 10-12 give 11-12.
        let three = [(8, 12), (11, 13), (10, 12)];
        assert_eq!(most(&three, NOWHERE), Some(((11, 12), 3)));
        let one_apart = [(8, 12), (11, 13), (14, 15)];
        assert_eq!(most(&one_apart, NOWHERE), Some(((11, 12), 2)));
        assert_eq!(most(&[(1, 2), (2, 3)], NOWHERE), Some(((2, 2), 2)));
    }

    #[test]
    fn of_two_equal_shares_the_favoured_goes_first() {
        let chain = [(0, 10), (8, 18), (17, 27)];
        assert_eq!(most(&chain, NOWHERE), Some(((17, 18), 2)), "the narrowest");
        assert_eq!(most(&chain, Interval::point(9)), Some(((8, 10), 2)));
        let more = [(0, 10), (8, 18), (17, 27), (16, 18)];
        assert_eq!(most(&more, Interval::point(9)), Some(((17, 18), 3)));
    }
}
