//! Detects that the leader is silent.
//!
//! What counts is not when a message of the leader arrived, but when a quorum last acknowledged the
//! leader, which every message of it tells. So one rule covers a leader whose process stands still,
//! one whose messages are lost, and one that receives nothing: its followers still hear it, and hear
//! that nobody has acknowledged it.
//!
//! Silence counts only while this node was listening. A node that stood still, or whose threads are
//! busy, has missed messages that were sent.

use tokio::time::{Duration, Instant};

use crate::RaftConfig;

/// How often a node checks in each heartbeat interval.
const LOOKS_PER_HEARTBEAT: u32 = 2;

/// A leader that lacks the acknowledgements of fewer heartbeats is not silent, whatever the timeouts
/// are: between continents one is always on its way, and one may be late.
const SILENT_HEARTBEATS: u32 = 4;

/// Decides from regular looks whether a leader has been silent for too long.
pub(crate) struct SilenceDetector {
    /// The time between two looks.
    pub(crate) look_interval: Duration,
    /// A leader that is silent for this long may be gone: the shortest election timeout at least.
    silence_max: Duration,
    /// It must be so at each look for this long: a leader that stood still itself and continues
    /// reports an old acknowledgement at first, and is acknowledged again within a heartbeat.
    confirmation: Duration,
    last_look: Instant,
    /// Since when no look was late.
    listening_since: Instant,
    silent_since: Option<Instant>,
}

impl SilenceDetector {
    pub(crate) fn new(config: &RaftConfig, now: Instant) -> Self {
        Self {
            look_interval: config.heartbeat() / LOOKS_PER_HEARTBEAT,
            silence_max: (config.heartbeat() * SILENT_HEARTBEATS)
                .max(config.election_timeout_min()),
            confirmation: config.heartbeat(),
            last_look: now,
            listening_since: now,
            silent_since: None,
        }
    }

    /// Whether the leader, which was last `heard` then, has been silent for too long. To be called
    /// every `look_interval`.
    pub(crate) fn look(&mut self, heard: Instant, now: Instant) -> bool {
        if now - self.last_look > self.silence_max / 2 {
            self.listening_since = now;
        }
        self.last_look = now;
        let silence = now.saturating_duration_since(heard.max(self.listening_since));
        self.silent_since = match silence < self.silence_max {
            true => None,
            false => self.silent_since.or(Some(now)),
        };
        self.silent_since
            .is_some_and(|since| now - since >= self.confirmation)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Looks at every interval, at each of which the leader was last heard as long ago as `silence`
    /// returns for that time. Returns when the leader counted as silent.
    fn silent_at(
        duration: Duration,
        is_asleep: impl Fn(Duration) -> bool,
        heard: impl Fn(Duration) -> Duration,
    ) -> Option<Duration> {
        let config = RaftConfig::numbered(1, [].into(), PathBuf::new());
        let start = Instant::now() + Duration::from_secs(1);
        let mut detector = SilenceDetector::new(&config, start);
        let mut at = Duration::ZERO;
        while at < duration {
            at += detector.look_interval;
            if !is_asleep(at) && detector.look(start + heard(at), start + at) {
                return Some(at);
            }
        }
        None
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_leader_is_silent_after_the_shortest_election_timeout_and_a_heartbeat() {
        assert_eq!(silent_at(ms(900), |_| false, |_| ms(0)), Some(ms(250)));
        let last = |at: Duration| at.min(ms(300));
        assert_eq!(silent_at(ms(900), |_| false, last), Some(ms(550)));
    }

    #[test]
    fn late_heartbeats_are_no_silence() {
        let heartbeats = |at: Duration| ms(at.as_millis() as u64 / 190 * 190);
        assert_eq!(silent_at(ms(9_000), |_| false, heartbeats), None);
    }

    /// It reports when it was acknowledged before that, until it is acknowledged again.
    #[test]
    fn a_leader_that_stood_still_and_continues_is_not_silent() {
        let heard = |at: Duration| match at {
            at if at < ms(230) => ms(0),
            at => at,
        };
        assert_eq!(silent_at(ms(900), |_| false, heard), None);
    }

    #[test]
    fn a_node_that_stood_still_listens_first() {
        let is_asleep = |at| (ms(100)..ms(5_000)).contains(&at);
        // What was sent to it arrives a little later.
        let heard = |at: Duration| match at {
            at if at < ms(5_200) => ms(100),
            at => at,
        };
        assert_eq!(silent_at(ms(9_000), is_asleep, heard), None);
        assert_eq!(
            silent_at(ms(9_000), is_asleep, |_| ms(100)),
            Some(ms(5_250))
        );
    }
}
