//! Directories of an old cluster, for tests.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use ed25519_dalek::{Signer, SigningKey};
use quorate_disk::Disk;
use quorate_log::{LOG_DIR, Log, LogConfig, LogMetrics};
use quorate_metrics::Registry;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_peer::{
    NodeId,
    message::{Membership, Payload, StoredMembership},
};
use quorate_sim::SimDisk;
use quorate_state::{
    BatchConditions, Capacity, ClusterId, Command, Found, Import, LEVEL_MAX, LogPosition, PutBatch,
    UnixMillis,
};
use quorate_store::{CheckpointScope, IoSpeed, Store};

use crate::{
    NewNode, Survivor,
    prepare::{store_config, store_metrics},
};

/// The cluster time of entry 0.
pub(crate) const START: u64 = 1_700_000_000_000;

/// A signed packet of key `number`, published `version` seconds after the start.
pub(crate) fn packet(number: u8, version: u64) -> SignedPacket {
    let key = SigningKey::from_bytes(&[number; 32]);
    let micros = (START + version * 1000) * 1000;
    // An empty DNS message.
    let dns = [0; 12];
    let mut signable = format!("3:seqi{micros}e1:v{}:", dns.len()).into_bytes();
    signable.extend(dns);
    let signature = key.sign(&signable).to_bytes();
    let payload = [&signature[..], &micros.to_be_bytes(), &dns].concat();
    let public = PublicKey::from_bytes(key.verifying_key().to_bytes());
    SignedPacket::parse(public, payload.into()).unwrap()
}

pub(crate) fn key(number: u8) -> PublicKey {
    *packet(number, 0).key()
}

/// A command that puts these packets at `second`.
pub(crate) fn put(second: u64, packets: impl IntoIterator<Item = SignedPacket>) -> Command {
    Command::PutBatch(PutBatch {
        now: UnixMillis(START + second * 1000),
        timestamp_max: UnixMillis(u64::MAX),
        conditions: BatchConditions::default(),
        packets: packets.into_iter().collect(),
    })
}

/// A command that imports a packet at `second`, which was received before.
pub(crate) fn import(second: u64, received: u64, packet: SignedPacket) -> Command {
    let Command::PutBatch(batch) = put(second, [packet]) else {
        unreachable!("it puts packets")
    };
    Command::Import(Import {
        received: vec![Some(UnixMillis(START + received * 1000))],
        batch,
    })
}

pub(crate) fn found() -> Command {
    Command::Found(Found {
        id: ClusterId([7; 32]),
        voters: 3,
        invite: None,
        capacity: Capacity {
            count_max: 1000,
            size_max: 1_000_000,
        },
    })
}

/// The directory of a node of the old cluster.
pub(crate) struct OldNode {
    pub(crate) disk: SimDisk,
    pub(crate) dir: PathBuf,
    log: Log,
    store: Store,
    last: LogPosition,
}

impl OldNode {
    /// A member of a cluster of the nodes 1, 2 and 3, with entries 0 and 1: the membership and the founding.
    pub(crate) fn new(disk: &SimDisk, dir: &str) -> Self {
        disk.create_dir(Path::new(dir)).unwrap();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let config = LogConfig {
            segment_size: 16 * 1024,
            ..LogConfig::new(shared.clone(), Path::new(dir).join(LOG_DIR))
        };
        let metrics = LogMetrics::register(&Registry::new()).unwrap();
        let mut node = Self {
            disk: disk.clone(),
            dir: dir.into(),
            log: Log::open(config, metrics).unwrap(),
            store: Store::open(store_config(&shared, Path::new(dir)), store_metrics()).unwrap(),
            last: LogPosition::new(1, 0),
        };
        let nodes = [1, 2, 3].map(NodeId::from);
        let membership = Membership {
            configs: vec![nodes.into()],
            nodes: nodes.map(|node| (node, "a:1".to_owned())).into(),
        };
        node.store.transact(|_, meta| {
            let stored = StoredMembership {
                position: Some(LogPosition::new(1, 0)),
                membership: membership.clone(),
            };
            meta.membership = stored.encode();
        });
        node.write(
            LogPosition::new(1, 0),
            Payload::Membership(membership).encode(),
        );
        node.apply(1, &found());
        node
    }

    fn write(&mut self, position: LogPosition, bytes: bytes::Bytes) {
        let (flushed, result) = mpsc::channel();
        let on_flushed = Box::new(move |written| drop(flushed.send(written)));
        self.log.append([(position, bytes)], on_flushed).unwrap();
        result.recv().unwrap().unwrap();
        self.last = position;
    }

    pub(crate) fn append_bytes(&mut self, term: u64, bytes: bytes::Bytes) -> LogPosition {
        let position = LogPosition::new(term, self.last.index.next().0);
        self.write(position, bytes);
        position
    }

    pub(crate) fn append(&mut self, term: u64, command: &Command) -> LogPosition {
        self.append_bytes(term, Payload::Command(command.encode()).encode())
    }

    /// Appends a command, and applies it.
    pub(crate) fn apply(&mut self, term: u64, command: &Command) -> LogPosition {
        let position = self.append(term, command);
        self.store.transact(|packets, meta| {
            let index = position.index;
            let entry = command.encode();
            quorate_state::apply(packets, &mut meta.cluster, LEVEL_MAX, index, entry).unwrap();
            meta.applied = Some(position);
        });
        position
    }

    pub(crate) fn commit(&self, position: LogPosition) {
        self.log.save_committed(position).unwrap();
    }

    pub(crate) fn checkpoint(&self) {
        let checkpoint = self.store.begin_checkpoint(CheckpointScope::Changes);
        checkpoint.commit(IoSpeed::Fast).unwrap();
    }

    pub(crate) fn purge(&self, upto: LogPosition) {
        self.log.purge(upto).unwrap();
    }

    /// Stops it, and reads what it has.
    pub(crate) fn survivor(self, number: u64) -> Survivor {
        let (disk, dir) = (self.disk.clone(), self.dir.clone());
        drop(self);
        survivor(&disk, &dir, number)
    }
}

pub(crate) fn survivor(disk: &SimDisk, dir: &Path, number: u64) -> Survivor {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Survivor::read(&shared, dir, Some(NodeId::from(number)), None).unwrap()
}

/// The first node of the new cluster.
pub(crate) fn new_node(disk: &SimDisk) -> NewNode {
    NewNode {
        disk: Arc::new(disk.clone()),
        dir: "/new".into(),
        node: NodeId::from(9),
        address: "new:7700".to_owned(),
    }
}

/// The store of the new node.
pub(crate) fn new_store(disk: &SimDisk) -> Store {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open(store_config(&shared, Path::new("/new")), store_metrics()).unwrap()
}
