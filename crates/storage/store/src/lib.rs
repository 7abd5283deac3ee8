//! The packets of a node: **all of them live in memory, ready to be served, and one redb file is
//! their last durable checkpoint, nothing else.** The only importer of redb.
//!
//! # Where things are
//!
//! | piece | where | who waits for it |
//! |---|---|---|
//! | packets, by key: [`Index`] | memory | reads and [`Store::transact`], never for a disk |
//! | their keys, by age | memory | [`Store::transact`] |
//! | what changed since the last checkpoint | memory | the next checkpoint takes it |
//! | the last changes, and who waits for more: [`ChangeFeed`] | memory | whoever watches a key or lists changes |
//! | packets and [`Meta`] as of a checkpoint | redb | checkpoints, snapshots, a start |
//! | entries behind the checkpoint | the Raft log, elsewhere | a start: the caller applies them again |
//!
//! A packet is in memory once: ready to be served, and shared by the changes that the next checkpoint
//! writes. Those of a node are some 600 MB for each million of the usual size, which is what a cache over
//! a file would want to hold of them too. In return, neither a slow disk nor a damaged page stands between
//! a question and its answer.
//!
//! # The index
//!
//! A question finds its packet by one look into one map. It parses nothing, and waits for no disk and
//! for no writer but one that moves a pointer. `src/index` imports no runtime, no redb and no disk, and
//! `.ci/import-rules` checks that.
//!
//! - Each packet is held once, here: nothing beside it could differ.
//! - A packet is made ready when it is put, before anybody can read it. So no reader sees a packet
//!   that is not the one last put, and there is no cache in between.
//! - Whatever one reader sees, one after the other, was there in this order, across keys too:
//!   [`Index::install`] changes all packets at once. What it puts in place is [`Prepared`] before.
//!
//! The packets are divided by a hash into many maps, so that one that grows, under its lock, moves a
//! thousand pointers of a million. A map holds only pointers: the key is in the packet, where a reader
//! looks next anyway. The hash is keyed at random, because strangers make the keys.
//!
//! # Checkpoints
//!
//! [`Store::begin_checkpoint`] takes the changes and [`Checkpoint::commit`] writes them in one
//! durable transaction, beside reads and transactions. In between, the caller syncs the Raft log
//! through the applied entry of the checkpoint: were the file ahead of its log after a loss of
//! power, a new leader could send entries that contradict what the file holds.
//!
//! A commit is two-phase, for packets come from strangers and redb's page checksums are not
//! cryptographic, and holds redb's free pages, so that a start need not rebuild them. It syncs every
//! half a megabyte, so that the sync of the Raft log on the same disk does not stand behind a pile, and at
//! [`IoSpeed::Gentle`] it rests in between.
//!
//! Every file is built under another name, synced, and renamed into place: there is a whole file or
//! none.
//!
//! # The file
//!
//! | table | key | value |
//! |---|---|---|
//! | `packets` | public key, 32 bytes | checksum (u64), time received (u64, ms), payload |
//! | `meta` | `"format"` | format (u8), applied, what the cluster has agreed on, number, size and hash of the packets, membership, checksum |
//!
//! All integers are big-endian. A checksum is XXH3-64 over what it stands with, the key included;
//! the hash of the packets is the sum of their XXH3-128, so that it follows each change, and a packet
//! that vanished is missed.
//!
//! # Damage
//!
//! [`Store::open`] reads the whole file and checks everything in it before one packet is served, and
//! a file that fails is [`Damage`], left as it was found. [`Store::scrub`] reads a checkpoint again
//! while the node runs; what it finds, a checkpoint of [`CheckpointScope::Everything`] heals from memory. What
//! no checksum can tell is age: redb's header has two slots, and a flipped bit makes it show the
//! checkpoint before the last. So the caller compares [`Meta::applied`] with what its log begins at.
//!
//! # Snapshots
//!
//! A [`Snapshot`] is a read transaction on the last checkpoint: taking one is free, and it is sent
//! in key order, in chunks that each end in the SHA-256 of all that came before. A
//! [`SnapshotReceiver`] builds a new file beside the old one; [`Store::install`] puts it in place.
//!
//! # Full disks
//!
//! What a checkpoint may grow the file by is taken before it begins, in a file beside it, and given
//! back when redb's writes meet a full disk. Where that is not enough, no checkpoint is made: the
//! changes stay in memory for the next one, and the file is read as of the last one until then. What a
//! snapshot needs is all there before it is handed on to be installed.
//!
//! # What redb does not do
//!
//! Three layers stand between redb and the disk, each for one thing that redb lacks:
//!
//! | layer | what redb does | what is needed |
//! |---|---|---|
//! | `overlay` | writes to a file when it opens it: a mark that it is open, and a repair. Its read-only mode takes a path and not our disk, refuses a file that needs a repair, and excludes the writer | a start reads a file that may be damaged and leaves it as it was found; a scrub reads the file a second time while the store writes it. The layer keeps redb's writes in memory |
//! | `guard` | panics over some damaged pages, and may have left work half done | damage is an error that names the file, and the node goes on from memory. The layer catches the panic and lets nothing more be written to that file |
//! | `reserve` | chooses its pages during a commit, and can take no space for them before. A commit that fails for lack of space ends all use of the database | a checkpoint either has its space or does not begin. The layer holds the space in a second file, and gives it back when a write finds the disk full |
//!
//! An error of a commit is fatal to the node, unless it is damage or a lack of space: a failed sync
//! must not be tried again.

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
#[cfg(test)]
mod one_file_fixture;
mod overlay;
mod reader;
mod receive;
mod reserve;
mod schema;
mod scrub;
mod shared;
mod snapshot;
mod store;
mod throttle;

pub use checkpoint::{Checkpoint, CheckpointScope};
pub use config::StoreConfig;
pub use damage::Damage;
pub use error::StoreError;
pub use index::{ChangeFeed, Index, Prepared};
pub use memory::PacketsMut;
pub use meta::Meta;
pub use metrics::StoreMetrics;
pub use receive::{ReceivedSnapshot, SnapshotReceiver};
pub use schema::PacketsSummary;
pub use scrub::StoreScrub;
pub use snapshot::{Snapshot, SnapshotChunks};
pub use store::Store;
pub use throttle::IoSpeed;
