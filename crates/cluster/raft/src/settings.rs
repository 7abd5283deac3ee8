//! What an operator may set of replication and storage.

use quorate_setting::{plain, settings};
use serde::{Deserialize, Serialize};

const MEBIBYTE: u64 = 1024 * 1024;
const GIBIBYTE: u64 = 1024 * MEBIBYTE;
const DAY_SECS: u64 = 24 * 3600;

/// The sections that make a [`RaftConfig`](crate::RaftConfig).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// How long packets live, and how many may.
    pub packets: PacketSettings,
    /// How PUTs are answered.
    pub put: PutSettings,
    /// When clocks agree.
    pub clock: ClockSettings,
    /// The timing of elections.
    pub raft: RaftSettings,
    /// The packets on disk.
    pub store: StoreSettings,
    /// What stays in the Raft log.
    pub log: LogSettings,
}

settings! {
    /// How long packets live, and how many may.
    pub struct PacketSettings {
        /// How long after the cluster last received it a packet is kept: 7 days. The same on all
        /// nodes.
        retention_secs: u64 = 7 * DAY_SECS, in 1..=366 * DAY_SECS,
            "endpoints publish every 5 minutes, and a packet of last year helps nobody";
        /// The most packets that the cluster stores. When they are reached, a PUT of an unknown key
        /// gets 503, unless the packet received longest ago is older than two days: that one goes.
        /// Only a cluster that is being founded reads it; later the cluster knows.
        count_max: u64 = 1_000_000, in 1..=1_000_000_000,
            "below, nothing can be stored; above, the number is a mistake";
        /// The size of all packets at which the same happens, in bytes: 1 GiB. What a node needs in
        /// memory and on disk is more. Only a cluster that is being founded reads it.
        size_max: u64 = GIBIBYTE, in 1..=1024 * GIBIBYTE,
            "below, nothing can be stored; above, the number is a mistake";
    }
}

settings! {
    /// How PUTs are answered.
    pub struct PutSettings {
        /// How long a PUT that has arrived may wait for its outcome. Half a second later at most it
        /// has its answer, whatever happens.
        deadline_ms: u64 = 10_000, in 100..=60_000,
            "below, an election fails PUTs that could wait; above, publishers hang";
    }
}

settings! {
    /// When clocks agree.
    pub struct ClockSettings {
        /// By how much the clocks of two nodes may differ that agree. A node whose clock does not
        /// agree with those of a majority does not lead. The same on all nodes.
        tolerance_secs: u64 = 10, in 1..=300,
            "below, clocks that NTP keeps disagree while it sets them right; above, packets of the \
             future are taken";
    }
}

settings! {
    /// The timing of elections (Raft paper, section 5.2).
    pub struct RaftSettings {
        /// How far apart the nodes are: "lan" when a message takes a few milliseconds, "wan" when it
        /// takes up to 200, between continents. It decides those of the next three that are not set.
        profile: Profile = Profile::Lan;
        /// How often a leader says that it lives: 50 in a lan, 400 in a wan. More than a message and
        /// its answer take: an answer that comes later does not count.
        heartbeat_ms: u64 = Timing::LAN.heartbeat_ms, in 5..=10_000,
            "below, heartbeats are most of the traffic; above, a lost leader goes unseen";
        /// The shortest time without a leader before a node stands for election: 200 in a lan, 1200
        /// in a wan. At least twice heartbeat_ms.
        election_timeout_min_ms: u64 = Timing::LAN.election_timeout_min_ms;
        /// The longest time without a leader before a node stands for election: 350 in a lan, 2000
        /// in a wan. Above election_timeout_min_ms.
        election_timeout_max_ms: u64 = Timing::LAN.election_timeout_max_ms, in 1..=120_000,
            "above, a lost leader goes unseen";
        /// How long the log may take to reach the disk. A leader for which it takes longer again and
        /// again hands over to a node with a faster disk.
        slow_sync_ms: u64 = 500, in 10..=60_000,
            "below, a disk that is only busy counts as slow; above, PUTs time out first";
    }
}

impl RaftSettings {
    /// The settings that the profile decides unless they are set themselves: the key, the number,
    /// and what the profile says.
    pub fn of_profile(&mut self) -> [(&'static str, &mut u64, u64); 3] {
        let timing = match self.profile {
            Profile::Lan => Timing::LAN,
            Profile::Wan => Timing::WAN,
        };
        [
            ("heartbeat_ms", &mut self.heartbeat_ms, timing.heartbeat_ms),
            (
                "election_timeout_min_ms",
                &mut self.election_timeout_min_ms,
                timing.election_timeout_min_ms,
            ),
            (
                "election_timeout_max_ms",
                &mut self.election_timeout_max_ms,
                timing.election_timeout_max_ms,
            ),
        ]
    }
}

/// How far apart the nodes of a cluster are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// In one building, or in one region.
    Lan,
    /// On different continents.
    Wan,
}

plain!(Profile);

/// What a profile decides: numbers that must fit together.
struct Timing {
    heartbeat_ms: u64,
    election_timeout_min_ms: u64,
    /// The lease of a leader too.
    election_timeout_max_ms: u64,
}

impl Timing {
    /// Four heartbeats may be late on a busy machine before anybody stands, seven before anybody is
    /// elected. A node that was cut off costs about the longest timeout and the shortest.
    const LAN: Self = Self {
        heartbeat_ms: 50,
        election_timeout_min_ms: 200,
        election_timeout_max_ms: 350,
    };

    /// Between the farthest cities a message and its answer take 300 ms to 350 ms, and must do so
    /// within a heartbeat. Three heartbeats may get lost before anybody stands, five before anybody
    /// is elected, and a vote has time to be asked for and given.
    const WAN: Self = Self {
        heartbeat_ms: 400,
        election_timeout_min_ms: 1_200,
        election_timeout_max_ms: 2_000,
    };
}

settings! {
    /// The packets on disk.
    pub struct StoreSettings {
        /// Memory for the pages that a checkpoint works on, in bytes: 32 MiB. No read waits for them.
        cache_size: u64 = 32 * MEBIBYTE, in MEBIBYTE..=1024 * GIBIBYTE,
            "below, a checkpoint reads its pages again and again; above, the number is a mistake";
        /// The longest time between checkpoints.
        checkpoint_interval_secs: u64 = 30, in 1..=3600,
            "a restart replays the log since the last checkpoint";
        /// The size of the log since the last checkpoint that brings the next one, in bytes: 64 MiB.
        checkpoint_log_size: u64 = 64 * MEBIBYTE, in MEBIBYTE..=16 * GIBIBYTE,
            "below, the node does little but checkpoints; above, a restart takes minutes";
        /// The free space below which the node only reads, in bytes: 256 MiB, room for the log between
        /// two checkpoints and for a checkpoint. It writes again when a quarter more is free.
        free_size_min: u64 = 256 * MEBIBYTE, in 16 * MEBIBYTE..=1024 * GIBIBYTE,
            "below, the next segments of the log and a checkpoint do not fit; above, the number is a \
             mistake";
        /// How often log and store are read whole and verified: once a day.
        scrub_interval_secs: u64 = DAY_SECS, in 1..=366 * DAY_SECS,
            "what is damaged for longer than a year, nobody repairs";
        /// How fast they are read then, in bytes a second: 8 MiB.
        scrub_rate: u64 = 8 * MEBIBYTE, in 64 * 1024..=GIBIBYTE,
            "below, a scrub takes days; above, it is the load";
    }
}

settings! {
    /// What stays in the Raft log although a checkpoint holds it.
    pub struct LogSettings {
        /// The most entries.
        kept_count_max: u64 = 50_000, in 0..=100_000_000, "above, the number is a mistake";
        /// The size of the log beyond which fewer stay, in bytes: 512 MiB.
        kept_size_max: u64 = 512 * MEBIBYTE, in 128 * MEBIBYTE..=64 * GIBIBYTE,
            "below, the log is shorter than the two files it is written in; above, a restart reads \
             it for minutes";
    }
}
