//! What an operator may set of the limit.

use std::num::NonZeroU32;

use quorate_setting::settings;

use crate::Config;

settings! {
    /// The rate of PUTs from one client address.
    pub struct LimitSettings {
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

/// The limit, whether or not it is enabled.
impl From<&LimitSettings> for Config {
    fn from(settings: &LimitSettings) -> Self {
        let positive = |number| NonZeroU32::new(number).expect("the bounds begin at 1");
        Self {
            burst: positive(settings.put_burst),
            rate_per_sec: positive(settings.put_per_sec),
            client_count_max: settings.client_count_max,
        }
    }
}
