//! How much a client may do.

use quorate_setting::settings;

use crate::Networks;

settings! {
    /// How much clients may do: PUTs, GETs and bytes over HTTP, and answers over UDP. A client is an
    /// IPv4 address or an IPv6 /64; the networks around it have limits too, multiples of a client's.
    ///
    /// By default there is room for 2,000 iroh endpoints behind one address. Each publishes every
    /// 300 s: 2,000 / 300 s = 6.7 requests per second. When all of them restart at once, each
    /// publishes up to three times in its first seconds, as it learns its relay and its addresses:
    /// 3 × 2,000 = 6,000 requests. After that the bucket is full again in
    /// 6,000 / (20 − 6.7) = 450 s.
    pub struct LimitConfig {
        /// Whether anything is limited per client.
        enabled: bool = true;
        /// How many PUTs a client that was idle may make at once. The default leaves room for 2,000
        /// endpoints behind one address, all of which restart at the same moment.
        put_burst: u32 = 6_000, in 1..=BURST_MAX, RATE;
        /// How many PUTs a second a client may make for ever.
        put_per_sec: u32 = 20, in 1..=1_000_000, RATE;
        /// How many keys that are not stored yet a client that was idle may bring at once. Each of
        /// 2,000 new endpoints may send its first packet three times before one is stored.
        new_key_burst: u32 = 6_000, in 1..=1_000_000, RATE;
        /// How many keys that are not stored yet a client may bring in an hour for ever: 100,800
        /// in the 7 days for which packets are kept, a tenth of the default capacity.
        new_key_per_hour: u32 = 600, in 1..=1_000_000, RATE;
        /// How many newer packets of one key may come at once, from whatever clients.
        key_put_burst: u32 = 60, in 1..=BURST_MAX, RATE;
        /// How many newer packets of one key may come in a minute for ever. An endpoint publishes
        /// every 5 min and whenever its addresses change.
        key_put_per_min: u32 = 30, in 1..=1_000_000, RATE;
        /// How many packets to store this node takes at once from everybody: 33,000 endpoints that
        /// restart, three times each.
        total_put_burst: u32 = 100_000, in 1..=BURST_MAX, RATE;
        /// How many packets to store this node takes a second for ever. A million endpoints publish
        /// 3,333 a second.
        total_put_per_sec: u32 = 5_000, in 1..=1_000_000, RATE;
        /// How many keys that are not stored yet this node takes at once from everybody.
        total_new_key_burst: u32 = 50_000, in 1..=BURST_MAX, RATE;
        /// How many keys that are not stored yet this node takes a second for ever: a million
        /// endpoints that are new find room in 17 min.
        total_new_key_per_sec: u32 = 1_000, in 1..=1_000_000, RATE;
        /// How many GETs a client that was idle may make at once. The default lets each of 2,000
        /// endpoints behind one address look up ten others when all restart at the same moment.
        get_burst: u32 = 20_000, in 1..=BURST_MAX, RATE;
        /// How many GETs a second a client may make for ever: a hundredth of what a node answers.
        get_per_sec: u32 = 1_000, in 1..=1_000_000, RATE;
        /// How many GETs this node answers at once.
        total_get_burst: u32 = 200_000, in 1..=BURST_MAX, RATE;
        /// How many GETs a second this node answers for ever: more would leave nothing of a few
        /// cores to replication.
        total_get_per_sec: u32 = 100_000, in 1..=1_000_000, RATE;
        /// How many linearizable reads may wait for the leader at once. It answers all that wait
        /// together, so a cluster that has a leader never has so many.
        linearizable_read_count_max: usize = 4_096, in 1..=1_000_000,
            "with none, no such read is answered, and each that waits takes memory";
        /// How many bytes a client that was idle may move at once over HTTP.
        byte_burst: u32 = 64 * MEBIBYTE, in 65_536..=1_024 * MEBIBYTE,
            "less is not one answer with its header, and so high a limit is none";
        /// How many bytes a second a client may move over HTTP for ever: four times what its GETs
        /// take.
        byte_per_sec: u32 = 8 * MEBIBYTE, in 1_024..=256 * MEBIBYTE,
            "less is not one answer a second, and so high a limit is none";
        /// For how many clients, networks and keys each a table of each limit has room. Who is idle
        /// needs none, and in a full table those who used the least make room. The 11 tables take
        /// 17 bytes for each: 9.4 MB by default.
        client_count_max: usize = 50_000, in 1_000..=10_000_000,
            "there are 11 tables of 17 bytes a client, and a small one forgets who used a little";
        /// How many answers over UDP an address that was idle may get at once. What is beyond is
        /// truncated to nothing, at which a client asks again over TCP. Networks have limits too,
        /// multiples of this: an IPv4 /24 that of 32 addresses, a /20 of 256, a /18 of 768; an IPv6
        /// /64 of 2, a /56 of 3, a /48 of 4, a /32 of 64.
        dns_answer_burst: u32 = 1_000, in 1..=1_000_000, ANSWER_RATE;
        /// How many answers over UDP a second an address may get for ever.
        dns_answer_per_sec: u32 = 200, in 1..=1_000_000, ANSWER_RATE;
        /// The longest answer over UDP, in bytes, to an address that may be forged because it has
        /// shown no cookie (RFC 7873). Longer ones are truncated, and asked for again over TCP.
        dns_answer_size_max: usize = 512, in 512..=4_096,
            "every client takes 512 bytes (RFC 1035, section 4.2.1), and none over 4096 over UDP";
        /// Whom DNS answers over UDP without these limits, beside this machine: addresses, or
        /// prefixes such as "10.0.0.0/8".
        dns_exempt_networks: Networks = Networks::default();
    }
}

const RATE: &str =
    "0 would refuse everything, and so high a limit is none: set limit.enabled = false";

const BURST_MAX: u32 = 10_000_000;

const MEBIBYTE: u32 = 1_024 * 1_024;

const ANSWER_RATE: &str =
    "0 would refuse every answer, and so high a limit is none: set limit.enabled = false";
