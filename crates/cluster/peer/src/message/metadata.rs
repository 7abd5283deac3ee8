//! The metadata of every message.
//!
//! ```text
//! clock_ms u64, monotonic_ms u64, echo_ms u64, quorum_ack_age_ms u64, level u16, not_electable u8,
//! agreed_ms u64, checkpoint u64, committed u64, level_hold u8, publishes u8, publishers u64, zones_served u64
//! ```
//! in postcard, after the message, up to the end of the frame. The metadata grows only by fields at its end
//! whose zero means "unknown": older nodes skip fields that they do not know, and newer ones read missing
//! fields as zero.

use serde::{Deserialize, Serialize};

use crate::DecodeError;

/// The most bytes of metadata that a node reads. This version takes at most 96; the rest belongs to later
/// versions.
const READ_SIZE_MAX: usize = 128;

/// The state of the sender when the message is sent. Zero means "unknown".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameMetadata {
    /// The sender's wall clock: milliseconds since the Unix epoch.
    pub clock_ms: u64,
    /// The sender's monotonic clock, in milliseconds since an instant of its choice.
    pub monotonic_ms: u64,
    /// The last `monotonic_ms` that the sender received from the receiver, which tells the receiver the
    /// maximum age of this message.
    pub echo_ms: u64,
    /// From a leader: the time since a quorum last acknowledged it, plus one, in milliseconds.
    pub quorum_ack_age_ms: u64,
    /// The highest feature level that the sender supports.
    pub level: u16,
    /// Why the sender should not lead.
    pub not_electable: NotElectable,
    /// The agreed time that the sender itself has computed, in milliseconds since the Unix epoch.
    pub agreed_ms: u64,
    /// The last entry in the sender's checkpoint, which survives the loss of its log.
    pub checkpoint: u64,
    /// From a leader: the last entry that was committed when the quorum acknowledged it, or a later one.
    pub committed: u64,
    /// Whether the sender's operator holds back the feature level.
    pub level_hold: bool,
    /// Whether the sender publishes packets in the DHT.
    pub publishes: bool,
    /// From a leader: the live members that do, each a bit at its place among all members ordered by key.
    pub publishers: u64,
    /// The sender's DNS server serves the zones as of this entry.
    pub zones_served: u64,
}

/// The reasons why a node should not lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotElectable(u8);

impl NotElectable {
    /// Its clock differs from the majority.
    pub const CLOCK: Self = Self(1);
    /// Its disk is nearly full.
    pub const DISK_FULL: Self = Self(1 << 1);
    pub const DISK_SLOW: Self = Self(1 << 2);
    /// It does not have the cluster key.
    pub const NO_KEY: Self = Self(1 << 3);

    /// Each reason, its keyword and its text.
    const REASONS: [(Self, &str, &str); 4] = [
        (
            Self::CLOCK,
            "clock",
            "its clock differs from that of a majority of the voters",
        ),
        (Self::DISK_FULL, "disk_full", "its disk is nearly full"),
        (Self::DISK_SLOW, "disk_slow", "its disk is too slow"),
        (Self::NO_KEY, "no_key", "it does not have the cluster key"),
    ];

    /// The given reasons, each with its keyword and text.
    pub fn reasons(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let given = Self::REASONS.into_iter();
        let given = given.filter(move |(reason, ..)| self.contains(*reason));
        given.map(|(_, word, text)| (word, text))
    }

    /// Whether no reason is given.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `reasons` are given.
    pub fn contains(self, reasons: Self) -> bool {
        self.0 & reasons.0 == reasons.0
    }

    /// These reasons, with or without `reasons`.
    #[must_use]
    pub fn with(self, reasons: Self, given: bool) -> Self {
        match given {
            true => Self(self.0 | reasons.0),
            false => Self(self.0 & !reasons.0),
        }
    }
}

impl FrameMetadata {
    /// Decodes the bytes after a message, of any version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut padded = [0; 2 * READ_SIZE_MAX];
        let size = bytes.len().min(READ_SIZE_MAX);
        padded[..size].copy_from_slice(&bytes[..size]);
        let read = postcard::take_from_bytes(&padded).map(|(value, _)| value);
        read.map_err(|error| DecodeError(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> FrameMetadata {
        FrameMetadata {
            clock_ms: u64::MAX,
            monotonic_ms: 5,
            echo_ms: u64::MAX,
            quorum_ack_age_ms: 1,
            level: u16::MAX,
            not_electable: NotElectable::CLOCK.with(NotElectable::DISK_SLOW, true),
            agreed_ms: u64::MAX,
            checkpoint: u64::MAX,
            committed: u64::MAX,
            level_hold: true,
            publishes: true,
            publishers: u64::MAX,
            zones_served: u64::MAX,
        }
    }

    #[test]
    fn what_a_newer_node_adds_is_skipped() {
        let mut bytes = postcard::to_stdvec(&metadata()).unwrap();
        bytes.extend([7; 500]);
        assert_eq!(FrameMetadata::decode(&bytes), Ok(metadata()));
    }

    #[test]
    fn what_an_older_node_does_not_tell_is_zero() {
        assert_eq!(FrameMetadata::decode(&[]), Ok(FrameMetadata::default()));
        let clock_only = postcard::to_stdvec(&1_700_000_000_000_u64).unwrap();
        let expected = FrameMetadata {
            clock_ms: 1_700_000_000_000,
            ..FrameMetadata::default()
        };
        assert_eq!(FrameMetadata::decode(&clock_only), Ok(expected));
    }

    #[test]
    fn garbage_is_no_tail() {
        assert!(FrameMetadata::decode(&[0xff; 40]).is_err());
    }

    #[test]
    fn the_layout_of_a_tail_stays() {
        let metadata = FrameMetadata {
            clock_ms: 1,
            monotonic_ms: 2,
            echo_ms: 3,
            quorum_ack_age_ms: 4,
            level: 5,
            not_electable: NotElectable::DISK_FULL,
            agreed_ms: 7,
            checkpoint: 8,
            committed: 9,
            level_hold: true,
            publishes: true,
            publishers: 10,
            zones_served: 11,
        };
        assert_eq!(
            postcard::to_stdvec(&metadata).unwrap(),
            [1, 2, 3, 4, 5, 2, 7, 8, 9, 1, 1, 10, 11]
        );
    }

    #[test]
    fn a_reason_comes_and_goes_by_itself() {
        let both = NotElectable::CLOCK.with(NotElectable::DISK_FULL, true);
        assert!(both.contains(NotElectable::CLOCK) && both.contains(NotElectable::DISK_FULL));
        assert_eq!(
            both.with(NotElectable::CLOCK, false),
            NotElectable::DISK_FULL
        );
        assert!(
            NotElectable::DISK_FULL
                .with(NotElectable::DISK_FULL, false)
                .is_empty()
        );
    }
}
