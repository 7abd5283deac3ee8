//! Settings on which the cluster has agreed.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Capacity, ClusterState, Rejection, codec::fields};

/// The possible values of [`SettingsChange::count_max`]: below, nothing can be stored; above, it is a mistake.
pub const COUNT_MAX_RANGE: RangeInclusive<u64> = 1..=1_000_000_000;

/// The possible values of [`SettingsChange::size_max`], for the same reasons.
pub const SIZE_MAX_RANGE: RangeInclusive<u64> = 1..=1 << 40;

/// The possible values of [`SettingsChange::retention_secs`]: endpoints publish every 5 minutes, and a packet of
/// last year helps nobody.
pub const RETENTION_SECS_RANGE: RangeInclusive<u64> = 1..=366 * 24 * 3600;

/// A change of settings on which the cluster has agreed. What is `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// [`Capacity::count_max`].
    pub count_max: Option<u64>,
    /// [`Capacity::size_max`].
    pub size_max: Option<u64>,
    /// How long a packet is kept after it was last received, in seconds.
    pub retention_secs: Option<u64>,
}

fields! {
    SettingsChange { count_max, size_max, retention_secs }
}

impl SettingsChange {
    /// The first setting that is out of its range, with its value and the range.
    pub fn out_of_range(&self) -> Option<(&'static str, u64, RangeInclusive<u64>)> {
        [
            ("packets.count_max", self.count_max, COUNT_MAX_RANGE),
            ("packets.size_max", self.size_max, SIZE_MAX_RANGE),
            (
                "packets.retention_secs",
                self.retention_secs,
                RETENTION_SECS_RANGE,
            ),
        ]
        .into_iter()
        .find_map(|(name, value, range)| {
            let value = value.filter(|value| !range.contains(value))?;
            Some((name, value, range))
        })
    }

    pub(crate) fn apply(self, cluster: &mut ClusterState) -> Result<(), Rejection> {
        if self.out_of_range().is_some() {
            return Err(Rejection::Settings);
        }
        let capacity = cluster.capacity.unwrap_or(Capacity {
            count_max: *COUNT_MAX_RANGE.end(),
            size_max: *SIZE_MAX_RANGE.end(),
        });
        if self.count_max.is_some() || self.size_max.is_some() {
            cluster.capacity = Some(Capacity {
                count_max: self.count_max.unwrap_or(capacity.count_max),
                size_max: self.size_max.unwrap_or(capacity.size_max),
            });
        }
        cluster.retention_secs = self.retention_secs.or(cluster.retention_secs);
        Ok(())
    }
}

impl ClusterState {
    /// How long a packet is kept after it was last received, if the cluster has agreed on it.
    pub fn retention(&self) -> Option<Duration> {
        self.retention_secs.map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let mut cluster = ClusterState::default();
        let change = |count_max, size_max, retention_secs| SettingsChange {
            count_max,
            size_max,
            retention_secs,
        };
        change(None, None, Some(60)).apply(&mut cluster).unwrap();
        assert_eq!(cluster.capacity, None);
        assert_eq!(cluster.retention(), Some(Duration::from_secs(60)));
        change(Some(5), Some(500), None)
            .apply(&mut cluster)
            .unwrap();
        change(None, Some(700), None).apply(&mut cluster).unwrap();
        let capacity = Capacity {
            count_max: 5,
            size_max: 700,
        };
        assert_eq!(cluster.capacity, Some(capacity));
        assert_eq!(cluster.retention_secs, Some(60));
    }

    #[test]
    fn a_value_out_of_its_range_changes_nothing() {
        for change in [
            SettingsChange {
                count_max: Some(0),
                size_max: Some(5),
                ..SettingsChange::default()
            },
            SettingsChange {
                size_max: Some(u64::MAX),
                ..SettingsChange::default()
            },
            SettingsChange {
                retention_secs: Some(0),
                ..SettingsChange::default()
            },
        ] {
            let mut cluster = ClusterState::default();
            assert_eq!(change.apply(&mut cluster), Err(Rejection::Settings));
            assert_eq!(cluster, ClusterState::default());
        }
    }
}
