//! What a node is started with: its identity, its files and its settings.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use quorate_disk::{Disk, LinuxDisk};
use quorate_peer::{Identity, NodeId};
use quorate_state::{Capacity, ClusterId, FoundingInvite, LEVEL_MAX, Level, LogIndex, Term};

use quorate_store::STORE_FILE;

use crate::{Settings, WallClock};

/// The members that a node knows. The node keeps them on disk next to log and store, so that a node
/// that has not received its first entries yet finds its cluster again after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownMembers {
    /// The log entry that this membership is from.
    pub index: LogIndex,
    /// The members and their addresses.
    pub members: BTreeMap<NodeId, String>,
    /// The term of the member that accepted this node, when the node itself knew no term yet.
    pub term: Term,
}

/// The first settings of a cluster that this node founds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// The cluster serves packets once it has this many voters.
    pub voters: u32,
    /// The invite with which the first other nodes join.
    pub invite: Option<FoundingInvite>,
}

/// When voters that are gone are removed automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    /// A voter is removed after the leader has had no contact with it for this long.
    pub after: Duration,
    /// At least this many voters remain.
    pub voters_min: usize,
}

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct RaftConfig {
    /// The public key of `identity`.
    pub node: NodeId,
    /// Signs vouchers while this node leads.
    pub identity: Identity,
    pub cluster: ClusterId,
    /// Set if this node founds the cluster and is its first voter. Ignored if its log is not empty.
    pub founding: Option<Founding>,
    /// Nodes that found the cluster together with this one, instead of joining it.
    #[cfg(test)]
    pub(crate) cofounders: BTreeMap<NodeId, String>,
    /// The members that the node knew when it was started.
    pub known: KnownMembers,
    /// The name that its operator gave this node, or empty.
    pub name: String,
    /// The `host:port` at which other nodes reach this one.
    pub address: String,
    /// When voters that are gone are removed automatically. `None`: never.
    pub cleanup: Option<Cleanup>,
    /// Whether this node has been part of the cluster before. Then its log must not be empty.
    pub has_joined: bool,
    /// The disk that has log and store.
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    /// The clock of this machine.
    pub wall_clock: WallClock,
    /// The operator has confirmed that this clock is right although it differs by more than the
    /// retention from the time at which the last packet was received. Only a node that is a cluster
    /// by itself needs this.
    pub trust_clock: bool,
    /// The settings of the configuration file.
    pub settings: Settings,
    /// The highest feature level that this node supports. Below [`LEVEL_MAX`] only in tests that
    /// run a program as if it were an older one.
    pub level_max: Level,
    /// Whether no leader may raise the feature level while this node is up.
    pub level_hold: bool,
}

impl RaftConfig {
    /// A member of `cluster` with data in `dir` on this machine; all else has its default.
    pub fn new(identity: Identity, cluster: ClusterId, dir: PathBuf) -> Self {
        Self {
            node: NodeId(identity.public_key()),
            identity,
            cluster,
            founding: None,
            #[cfg(test)]
            cofounders: BTreeMap::new(),
            known: KnownMembers::default(),
            name: String::new(),
            address: String::new(),
            cleanup: None,
            has_joined: false,
            disk: Arc::new(LinuxDisk),
            dir,
            wall_clock: WallClock::default(),
            trust_clock: false,
            settings: Settings::default(),
            level_max: LEVEL_MAX,
            level_hold: false,
        }
    }

    /// Node `number` with data in `dir`. It founds the cluster together with `voters`, if that is
    /// not empty.
    #[cfg(test)]
    pub(crate) fn numbered(number: u64, voters: BTreeMap<NodeId, String>, dir: PathBuf) -> Self {
        let identity = Identity::from_seed(&NodeId::numbered_seed(number));
        let founding = Founding {
            voters: 1,
            invite: None,
        };
        Self {
            founding: (!voters.is_empty()).then_some(founding),
            cofounders: voters,
            ..Self::new(identity, ClusterId([7; 32]), dir)
        }
    }

    /// The first voters of a cluster that this node founds.
    pub(crate) fn founders(&self) -> BTreeMap<NodeId, String> {
        #[cfg_attr(not(test), expect(unused_mut))]
        let mut founders = BTreeMap::from([(self.node, self.address.clone())]);
        #[cfg(test)]
        founders.extend(self.cofounders.clone());
        founders
    }

    pub(crate) fn store(&self) -> quorate_store::StoreConfig {
        quorate_store::StoreConfig {
            disk: self.disk.clone(),
            path: self.dir.join(STORE_FILE),
            cache_size: usize::try_from(self.settings.store.cache_size).unwrap_or(usize::MAX),
        }
    }

    /// Renames the file of the store, so that the next one starts empty. Replaces a file that was
    /// renamed before.
    pub(crate) fn set_store_aside(&self) -> io::Result<()> {
        let path = self.dir.join(STORE_FILE);
        self.disk.rename(&path, &path.with_extension("damaged"))?;
        self.disk.sync_dir(&self.dir)
    }

    pub(crate) fn clock(&self) -> quorate_clock::ClockConfig {
        quorate_clock::ClockConfig {
            tolerance: Duration::from_secs(self.settings.clock.tolerance_secs),
            retention: self.retention(),
            trusted: self.trust_clock,
        }
    }

    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(self.settings.packets.retention_secs)
    }

    /// The capacity that a cluster is founded with.
    pub(crate) fn capacity(&self) -> Capacity {
        Capacity {
            count_max: self.settings.packets.count_max,
            size_max: self.settings.packets.size_max,
        }
    }

    pub(crate) fn checkpoint_interval(&self) -> Duration {
        Duration::from_secs(self.settings.store.checkpoint_interval_secs)
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.settings.raft.heartbeat_ms)
    }

    pub(crate) fn election_timeout_min(&self) -> Duration {
        Duration::from_millis(self.settings.raft.election_timeout_min_ms)
    }

    pub(crate) fn election_timeout_max(&self) -> Duration {
        Duration::from_millis(self.settings.raft.election_timeout_max_ms)
    }
}
