//! The packets of a node: **all of them are in memory, ready to be served, and one redb file
//! contains their last durable checkpoint, nothing else.** No other crate imports redb.
//!
//! # Where the data is
//!
//! | data | where | used by |
//! |---|---|---|
//! | packets, by key: [`Index`] | memory | reads and [`Store::transact`], which never wait for a disk |
//! | their keys, by age | memory | [`Store::transact`] |
//! | changes since the last checkpoint | memory | the next checkpoint |
//! | the latest changes, and the watches of keys: [`ChangeFeed`] | memory | clients that watch a key or list changes |
//! | packets and [`Meta`] as of a checkpoint | redb | checkpoints, snapshots, a start |
//! | entries after the checkpoint | the Raft log, elsewhere | a start: the caller applies them again |
//!
//! A packet is in memory once: ready to be served, and shared with the changes for the next
//! checkpoint. A million packets of the usual size take about 600 MB; a cache in front of a file
//! would need as much. In return, a slow disk or a damaged page affects no answer.
//!
//! # The index
//!
//! A query finds its packet by one lookup in one map. It parses nothing, and waits for no disk and
//! for no writer except one that moves a pointer. `src/index` imports no runtime, no redb and no
//! disk; `.ci/import-rules` checks that.
//!
//! - Each packet is stored once, here, so no second copy can differ.
//! - A packet is compiled when it is put, before it can be read. So every reader sees the packet
//!   that was put last, and there is no cache in between.
//! - A reader sees changes in the order in which they were made, across keys too:
//!   [`Index::install`] replaces all packets at the same time, by [`PreparedPackets`].
//!
//! The packets are divided by a hash into many maps. When a map grows, under its lock, it moves
//! about a thousand pointers of a million. A map contains only pointers: the key is in the packet,
//! which the reader needs next anyway. The hash is keyed at random, because strangers choose the
//! keys.
//!
//! # Checkpoints
//!
//! [`Store::begin_checkpoint`] takes the changes and [`Checkpoint::commit`] writes them in one
//! durable transaction, concurrently with reads and transactions. In between, the caller must sync
//! the Raft log through the applied entry of the checkpoint. Otherwise the file could be ahead of
//! the log after a power loss, and a new leader could send entries that contradict the file.
//!
//! A commit is two-phase, because packets come from strangers and redb's page checksums are not
//! cryptographic. It stores redb's list of free pages, so that a start need not rebuild it. It
//! syncs every half megabyte, so that a sync of the Raft log on the same disk does not wait for
//! long. At [`IoSpeed::Gentle`] it pauses in between.
//!
//! Every file is built under another name, synced, and renamed into place: the file is complete or
//! absent.
//!
//! # The file
//!
//! | table | key | value |
//! |---|---|---|
//! | `packets` | public key, 32 bytes | checksum (u64), time received (u64, ms), payload |
//! | `meta` | `"format"` | format (u8), applied, cluster state, number, size and hash of the packets, membership, checksum |
//!
//! All integers are big-endian. A checksum is XXH3-64 over the other fields of the value; that of a
//! packet also covers the key. The hash of the packets is the sum of their XXH3-128, so that it can
//! be updated with each change, and a lost packet is detected.
//!
//! # Damage
//!
//! [`Store::open`] reads the complete file and checks everything in it before a packet is served.
//! If a check fails, it returns [`Damage`] and leaves the file unchanged. [`Store::scrub`] reads a
//! checkpoint while the node runs; a checkpoint of [`CheckpointScope::Everything`] repairs damage
//! from memory. No checksum can detect an old file: redb's header has two slots, and after a bit
//! flip it can show the last but one checkpoint. So the caller compares [`Meta::applied`] with the
//! first entry of its log.
//!
//! # Snapshots
//!
//! A [`Snapshot`] is a read transaction on the last checkpoint, so taking one costs nothing. It is
//! sent in key order, in chunks. Each chunk ends with the SHA-256 of everything before it. A
//! [`SnapshotReceiver`] builds a new file next to the old one; [`Store::install`] replaces the old
//! one.
//!
//! # Full disks
//!
//! Before a checkpoint starts, it reserves the space by which the file may grow, in a second file.
//! If a write of redb finds the disk full, that space is released. If that is not enough, the
//! checkpoint fails: the changes stay in memory for the next one, and until then the file is read
//! as of the last checkpoint. A snapshot has all its space before it is passed on to be installed.
//!
//! # What redb does not do
//!
//! Three layers are between redb and the disk. Each adds one thing that redb lacks:
//!
//! | layer | what redb does | what is needed |
//! |---|---|---|
//! | `overlay` | writes to a file when it opens it: a mark that it is open, and a repair. Its read-only mode takes a path instead of our disk, rejects a file that needs a repair, and excludes the writer | a start reads a file that may be damaged and leaves it unchanged; a scrub reads the file a second time while the store writes it. The layer keeps redb's writes in memory |
//! | `guard` | panics on some damaged pages, and may leave work half done | damage is an error that names the file, and the node continues from memory. The layer catches the panic and prevents further writes to that file |
//! | `space_reservation` | chooses its pages during a commit, and cannot reserve space for them. After a commit fails for lack of space, the database cannot be used any more | a checkpoint either has its space or does not start. The layer reserves the space in a second file, and releases it when a write finds the disk full |
//!
//! An error of a commit is fatal to the node, unless it is damage or a lack of space: a failed sync
//! must not be retried.

mod backend;
mod checkpoint;
mod checkpoint_lock;
mod config;
mod damage;
mod digest;
mod error;
mod file;
#[cfg(test)]
mod fixture;
mod guard;
mod index;
mod inspection;
mod memory;
mod meta;
mod metrics;
mod overlay;
mod reader;
mod salvage;
mod schema;
mod scrub;
mod shared;
#[cfg(test)]
mod single_file_disk;
mod snapshot;
mod snapshot_receiver;
mod space_reservation;
mod store;
mod throttle;

pub use checkpoint::{Checkpoint, CheckpointScope};
pub use config::{STORE_FILE, StoreConfig};
pub use damage::Damage;
pub use error::StoreError;
pub use index::{ChangeFeed, Index, PreparedPackets};
pub use memory::PacketsMut;
pub use meta::Meta;
pub use metrics::StoreMetrics;
pub use salvage::salvage;
pub use schema::PacketsSummary;
pub use scrub::StoreScrub;
pub use snapshot::{Snapshot, SnapshotChunks, SnapshotPackets};
pub use snapshot_receiver::{ReceivedSnapshot, SnapshotReceiver};
pub use store::Store;
pub use throttle::IoSpeed;
