//! How much a client may do.

use quorate_setting::settings;

use crate::Networks;

settings! {
    /// Limits of each client: PUTs, GETs, bytes, and DNS queries. A client is an IPv4 address or an
    /// IPv6 /64. The networks around it have limits too, multiples of a client's: an IPv4 /24 and
    /// an IPv6 /48 that of 16 clients, an IPv6 /32 of 64; for new keys 4 and 8.
    ///
    /// The defaults are enough for 2,000 iroh endpoints behind one address. Each publishes every
    /// 300 s: 2,000 / 300 s = 6.7 requests per second. When all of them restart at the same time,
    /// each publishes up to three times in its first seconds, as it finds its relay and its
    /// addresses: 3 × 2,000 = 6,000 requests. After that the bucket is full again in
    /// 6,000 / (20 − 6.7) = 450 s.
    pub struct LimitConfig {
        /// Whether there are any limits per client.
        enabled: bool = true;
        /// How many PUTs a client that was idle may send in a burst. The default is enough for
        /// 2,000 endpoints behind one address that all restart at the same time.
        put_burst: u32 = 6_000, in 1..=BURST_MAX, RATE;
        /// How many PUTs per second a client may send continuously.
        put_per_sec: u32 = 20, in 1..=1_000_000, RATE;
        /// How many keys that are not stored yet a client that was idle may publish in a burst.
        /// Each of 2,000 new endpoints may send its first packet three times before one is stored.
        new_key_burst: u32 = 6_000, in 1..=1_000_000, RATE;
        /// How many keys per hour that are not stored yet a client may publish continuously:
        /// 100,800 in the 7 days for which packets are kept, a tenth of the default capacity.
        new_key_per_hour: u32 = 600, in 1..=1_000_000, RATE;
        /// How many newer packets of one key all clients together may send in a burst.
        key_put_burst: u32 = 60, in 1..=BURST_MAX, RATE;
        /// How many newer packets of one key per minute all clients together may send continuously.
        /// An endpoint publishes every 5 min and whenever its addresses change.
        key_put_per_min: u32 = 30, in 1..=1_000_000, RATE;
        /// How many PUTs this node passes to the cluster in a burst from all clients. At most half of
        /// them are of new keys and of keys that published within the last 250 s: the default is
        /// enough for 33,000 endpoints that restart, three times each. At most a tenth change
        /// nothing.
        total_put_burst: u32 = 200_000, in 1..=BURST_MAX, RATE;
        /// How many PUTs this node passes to the cluster per second continuously, with the same
        /// shares. The rest, four tenths, is always left for keys that published nothing for 250 s:
        /// a million keys send at most 4,000 such PUTs per second, so the default admits all of
        /// them, whatever others send.
        total_put_per_sec: u32 = 10_000, in 1..=1_000_000, RATE;
        /// How many keys that are not stored yet this node accepts in a burst from all clients.
        total_new_key_burst: u32 = 50_000, in 1..=BURST_MAX, RATE;
        /// How many keys per second that are not stored yet this node accepts continuously: enough
        /// for a million new endpoints in 17 min.
        total_new_key_per_sec: u32 = 1_000, in 1..=1_000_000, RATE;
        /// How many GETs a client that was idle may send in a burst. By default each of 2,000
        /// endpoints behind one address can look up ten others when all restart at the same time.
        get_burst: u32 = 20_000, in 1..=BURST_MAX, RATE;
        /// How many GETs per second a client may send continuously: a hundredth of what a node
        /// answers.
        get_per_sec: u32 = 1_000, in 1..=1_000_000, RATE;
        /// How many GETs this node answers in a burst.
        total_get_burst: u32 = 200_000, in 1..=BURST_MAX, RATE;
        /// How many GETs per second this node answers continuously: with more, a node with few
        /// cores would have no time left for replication.
        total_get_per_sec: u32 = 100_000, in 1..=1_000_000, RATE;
        /// How many linearizable reads may wait for the leader at the same time. The leader answers
        /// all waiting reads together, so a cluster that has a leader never reaches this limit.
        linearizable_read_count_max: usize = 4_096, in 1..=1_000_000,
            "with 0, no such read is answered, and each waiting read takes memory";
        /// How many bytes a client that was idle may transfer in a burst over all its connections:
        /// HTTP, and DNS over HTTPS, TCP, TLS and QUIC.
        byte_burst: u32 = 64 * MEBIBYTE, in 65_536..=1_024 * MEBIBYTE,
            "less is not enough for one answer with its header, and more limits nothing";
        /// How many bytes per second a client may transfer over them continuously: four times what
        /// its GETs take.
        byte_per_sec: u32 = 8 * MEBIBYTE, in 1_024..=256 * MEBIBYTE,
            "less is not enough for one answer per second, and more limits nothing";
        /// How many clients, networks or keys each table of a limit can hold. Idle ones need no
        /// entry. A full table evicts the entry that has used the least. The 20 tables take 17
        /// bytes for each: 17.0 MB by default.
        client_count_max: usize = 50_000, in 1_000..=10_000_000,
            "there are 20 tables with 17 bytes per client, and a small one forgets clients that used little";
        /// How many DNS queries a client that was idle may send in a burst over HTTPS, TCP, TLS and
        /// QUIC together. More wait over TCP, TLS and QUIC; over HTTPS they are answered with 429.
        query_burst: u32 = 20_000, in 1..=BURST_MAX, RATE;
        /// How many of these queries per second a client may send continuously: the resolver of a
        /// provider sends a thousand.
        query_per_sec: u32 = 2_000, in 1..=1_000_000, RATE;
        /// How many lookups in the DHT a client that was idle may cause in a burst. Only for nodes
        /// with the bridge (dht.mode).
        lookup_burst: u32 = 50, in 1..=BURST_MAX, RATE;
        /// How many lookups in the DHT per second a client may cause continuously. Each sends some
        /// 100 datagrams to strangers.
        lookup_per_sec: u32 = 2, in 1..=1_000_000, RATE;
        /// How many lookups in the DHT this node makes in a burst for all clients.
        total_lookup_burst: u32 = 1_000, in 1..=BURST_MAX, RATE;
        /// How many lookups in the DHT per second this node makes continuously: some 5,000 datagrams
        /// per second.
        total_lookup_per_sec: u32 = 50, in 1..=1_000_000, RATE;
        /// How many answers over UDP an address that was idle may get in a burst. Answers beyond it
        /// are empty and truncated, so that the client retries over TCP. Networks have limits too,
        /// multiples of this: an IPv4 /24 that of 32 addresses, a /20 of 256, a /18 of 768; an IPv6
        /// /64 of 2, a /56 of 3, a /48 of 4, a /32 of 64.
        dns_answer_burst: u32 = 1_000, in 1..=1_000_000, ANSWER_RATE;
        /// How many answers over UDP per second an address may get continuously.
        dns_answer_per_sec: u32 = 200, in 1..=1_000_000, ANSWER_RATE;
        /// The longest answer over UDP, in bytes, to an address that sent no valid cookie (RFC
        /// 7873) and so may be forged. Longer answers are truncated, so that the client retries
        /// over TCP.
        dns_answer_size_max: usize = 512, in 512..=4_096,
            "every client accepts 512 bytes over UDP (RFC 1035, section 4.2.1), and none more than 4096";
        /// Clients whose DNS queries have no limits, in addition to this machine: addresses, or prefixes such as "10.0.0.0/8".
        dns_exempt_networks: Networks = Networks::default();
    }
}

const RATE: &str = "0 would reject everything, and more limits nothing: to have no limits, set limit.enabled = false";

const BURST_MAX: u32 = 10_000_000;

const MEBIBYTE: u32 = 1_024 * 1_024;

const ANSWER_RATE: &str = "0 would allow no answer, and more limits nothing: to have no limits, set limit.enabled = false";
