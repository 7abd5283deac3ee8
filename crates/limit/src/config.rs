//! How much a client may do.

use quorate_setting::settings;

settings! {
    /// The rate of PUTs from one client address.
    ///
    /// By default there is room for 2,000 iroh endpoints behind one address. Each publishes every
    /// 300 s: 2,000 / 300 s = 6.7 requests per second. When all of them restart at once, each
    /// publishes up to three times in its first seconds, as it learns its relay and its addresses:
    /// 3 × 2,000 = 6,000 requests. After that the bucket is full again in
    /// 6,000 / (20 − 6.7) = 450 s.
    pub struct Config {
        /// Whether PUTs are limited per client.
        enabled: bool = true;
        /// How many PUTs a client that was idle may make at once. The default leaves room for 2,000
        /// endpoints behind one address, all of which restart at the same moment.
        put_burst: u32 = 6_000, in 1..=10_000_000, RATE;
        /// How many PUTs a second a client may make for ever.
        put_per_sec: u32 = 20, in 1..=1_000_000, RATE;
        /// How many clients have a limit of their own; all others share one.
        client_count_max was clients_max: usize = 50_000, in 1_000..=10_000_000,
            "every client takes 80 bytes, and a small table makes strangers share one limit";
    }
}

const RATE: &str =
    "0 would refuse every PUT, and so high a limit is none: set limit.enabled = false";
