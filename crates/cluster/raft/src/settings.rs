//! The settings of replication and storage.

use quorate_setting::{impl_setting_value, settings};
use quorate_state::{COUNT_MAX_RANGE, RETENTION_SECS_RANGE, SIZE_MAX_RANGE};
use serde::{Deserialize, Serialize};

const MEBIBYTE: u64 = 1024 * 1024;
const GIBIBYTE: u64 = 1024 * MEBIBYTE;
const DAY_SECS: u64 = 24 * 3600;

/// The sections that make a [`RaftConfig`](crate::RaftConfig).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// How long packets are kept, and how many.
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
    /// How long packets are kept, and how many.
    pub struct PacketSettings {
        /// How long a packet is kept after the cluster last received it: 7 days. Only used when the
        /// cluster is founded; later `quorate cluster set` changes it on all nodes.
        retention_secs: u64 = 7 * DAY_SECS, in RETENTION_SECS_RANGE,
            "endpoints publish every 5 minutes, and a packet of last year helps nobody";
        /// The most packets that the cluster stores. When they are reached, a PUT of an unknown key
        /// gets 503, unless the packet received longest ago is older than two days: then that one
        /// is removed. Only used when the cluster is founded; later `quorate cluster set` changes
        /// it.
        count_max: u64 = 1_000_000, in COUNT_MAX_RANGE,
            "below, nothing can be stored; above, the number is a mistake";
        /// The size of all packets at which the same happens, in bytes: 1 GiB. A node needs more
        /// than that in memory and on disk. Only used when the cluster is founded; later `quorate
        /// cluster set` changes it.
        size_max: u64 = GIBIBYTE, in SIZE_MAX_RANGE,
            "below, nothing can be stored; above, the number is a mistake";
    }
}

settings! {
    /// How PUTs are answered.
    pub struct PutSettings {
        /// How long a PUT may wait for its outcome. It is answered half a second later at the
        /// latest, whatever happens.
        deadline_ms: u64 = 10_000, in 100..=60_000,
            "below, an election fails PUTs that could wait; above, publishers hang";
        /// A PUT that takes longer is logged with the time of each stage, at most one each second. 0: none.
        slow_ms: u64 = 1_000, in 0..=60_000, "0 turns it off; longer than any deadline, it logs nothing";
    }
}

settings! {
    /// When clocks agree.
    pub struct ClockSettings {
        /// The largest difference of two clocks that agree. A node whose clock does not agree with
        /// those of a majority does not lead. Must be the same on all nodes.
        tolerance_secs: u64 = 10, in 1..=300,
            "below, clocks disagree while NTP corrects them; above, packets of the future are \
             accepted";
    }
}

settings! {
    /// The timing of elections (Raft paper, section 5.2).
    pub struct RaftSettings {
        /// How far apart the nodes are: "lan" when a message takes a few milliseconds, "wan" when
        /// it takes up to 200, between continents. It sets those of the next three settings that
        /// are not set.
        profile: Profile = Profile::Lan;
        /// How often a leader sends a heartbeat: every 50 ms for "lan", every 400 ms for "wan".
        /// Must be longer than a message and its answer take, because a later answer does not
        /// count.
        heartbeat_ms: u64 = Timing::LAN.heartbeat_ms, in 5..=10_000,
            "below, heartbeats are most of the traffic; above, a lost leader is noticed late";
        /// The shortest time without a leader before a node starts an election: 200 ms for "lan",
        /// 1200 ms for "wan". At least twice heartbeat_ms.
        election_timeout_min_ms: u64 = Timing::LAN.election_timeout_min_ms;
        /// The longest time without a leader before a node starts an election: 350 ms for "lan",
        /// 2000 ms for "wan". Above election_timeout_min_ms.
        election_timeout_max_ms: u64 = Timing::LAN.election_timeout_max_ms, in 1..=120_000,
            "above, a lost leader is noticed late";
        /// How long a write of the log to disk may take. A leader whose writes repeatedly take
        /// longer hands over to a node with a faster disk.
        slow_sync_ms: u64 = 500, in 10..=60_000,
            "below, a disk that is only busy counts as slow; above, PUTs time out first";
    }
}

impl RaftSettings {
    /// The settings that the profile decides unless they are set: the key, the value, and the value
    /// of the profile.
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

impl_setting_value!(Profile => "\"lan\" or \"wan\"");

/// The values of a profile, which must fit together.
struct Timing {
    heartbeat_ms: u64,
    election_timeout_min_ms: u64,
    /// Also the lease of a leader.
    election_timeout_max_ms: u64,
}

impl Timing {
    /// Four heartbeats may be late on a busy machine before a node takes the leader for silent. If
    /// the leader is cut off, the interruption is about six heartbeats. Where the others do not
    /// agree that it is silent, it is about the longest timeout plus the shortest.
    const LAN: Self = Self {
        heartbeat_ms: 50,
        election_timeout_min_ms: 200,
        election_timeout_max_ms: 350,
    };

    /// Between the farthest cities a message and its answer take 300 ms to 350 ms, and that must
    /// fit into a heartbeat. Two heartbeats in a row may get lost before a node takes the leader for
    /// silent, and there is time to request and grant a vote.
    const WAN: Self = Self {
        heartbeat_ms: 400,
        election_timeout_min_ms: 1_200,
        election_timeout_max_ms: 2_000,
    };
}

settings! {
    /// The packets on disk.
    pub struct StoreSettings {
        /// Memory for the pages that a checkpoint uses, in bytes: 32 MiB. Reads do not wait for
        /// them.
        cache_size: u64 = 32 * MEBIBYTE, in MEBIBYTE..=1024 * GIBIBYTE,
            "below, a checkpoint reads its pages repeatedly; above, the number is a mistake";
        /// The longest time between checkpoints.
        checkpoint_interval_secs: u64 = 30, in 1..=3600,
            "a restart replays the log since the last checkpoint";
        /// The size of the log since the last checkpoint that triggers the next one, in bytes: 64
        /// MiB.
        checkpoint_log_size: u64 = 64 * MEBIBYTE, in MEBIBYTE..=16 * GIBIBYTE,
            "below, the node does little else than checkpoints; above, a restart takes minutes";
        /// The free space below which the node only reads, in bytes: 256 MiB, enough for the log
        /// between two checkpoints and for a checkpoint. The node writes again when a quarter more
        /// is free.
        free_size_min: u64 = 256 * MEBIBYTE, in 16 * MEBIBYTE..=1024 * GIBIBYTE,
            "below, the next segments of the log and a checkpoint do not fit; above, the number is a \
             mistake";
        /// How often log and store are read completely and verified: once a day.
        scrub_interval_secs: u64 = DAY_SECS, in 1..=366 * DAY_SECS,
            "damage must be found while other nodes can still repair it";
        /// How fast they are read for that, in bytes a second: 8 MiB.
        scrub_rate: u64 = 8 * MEBIBYTE, in 64 * 1024..=GIBIBYTE,
            "below, a scrub takes days; above, it slows down the node";
    }
}

settings! {
    /// Which entries stay in the Raft log although a checkpoint includes them.
    pub struct LogSettings {
        /// The most entries.
        kept_count_max: u64 = 50_000, in 0..=100_000_000, "above, the number is a mistake";
        /// The size of the log above which fewer entries stay, in bytes: 512 MiB.
        kept_size_max: u64 = 512 * MEBIBYTE, in 128 * MEBIBYTE..=64 * GIBIBYTE,
            "below, the log is shorter than the two files it is written in; above, a restart takes \
             minutes";
    }
}
