//! How much a client may do.

use std::num::NonZeroU32;

use crate::LimitSettings;

/// How much a client may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How many requests a client that was idle may make at once.
    pub burst: NonZeroU32,
    /// How many requests per second a client may make for ever.
    pub rate_per_sec: NonZeroU32,
    /// How many clients have a bucket of their own. All others share one.
    pub client_count_max: usize,
}

/// Room for 2,000 iroh endpoints behind one address.
///
/// Each publishes every 300 s: 2,000 / 300 s = 6.7 requests per second. When all of them restart at
/// once, each publishes up to three times in its first seconds, as it learns its relay and its
/// addresses: 3 × 2,000 = 6,000 requests. After that the bucket is full again in
/// 6,000 / (20 − 6.7) = 450 s.
impl Default for Config {
    fn default() -> Self {
        Self::from(&LimitSettings::default())
    }
}
