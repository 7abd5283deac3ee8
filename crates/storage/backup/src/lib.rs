//! Backups: files that outlive a cluster.
//!
//! | piece | what it does |
//! |---|---|
//! | [`BackupHeader`] | what a backup contains, and where it is from |
//! | [`Contents`] | what it contains besides packets, in numbers |
//! | [`BackupWriter`] | writes a backup, packet by packet |
//! | [`BackupReader`] | reads one, and stops at any damage |
//! | [`verify`], [`Report`] | checks all hashes and signatures on all cores, past any damage |
//! | [`salvage`] | writes a backup of what is valid in a damaged one |
//! | [`schedule`] | which node makes the next scheduled backup, and when |
//! | [`target`] | where scheduled backups are kept: a directory, or a store with the S3 protocol |
//!
//! # The file
//!
//! A file is a magic of 8 bytes, `qbackup1`, whose last byte is the version, and *chunks*. All integers are
//! big-endian.
//!
//! | part of a chunk | size in bytes | |
//! |---|---|---|
//! | marker | 4 | `QbCk`, by which the next chunk is found after damage |
//! | kind | 1 | 1 header, 2 state, 3 packets, 4 end |
//! | number | 4 | 0, 1, 2, … |
//! | content size | 4 | before compression |
//! | data size | 4 | after compression |
//! | hash | 32 | SHA-256 of the five fields above without the marker, and the data |
//! | data | | the content, compressed with zstd |
//!
//! | kind | content |
//! |---|---|
//! | header | the [`BackupHeader`] as JSON |
//! | state | the replicated state as in a checkpoint: zones, publish policy, deletions, blocks, capacity, cluster time |
//! | packets | packets in the order of their keys: key 32, time received u64 in ms (a stamp), size u16, payload |
//! | end | the number of packets u64, and the hash of the file: SHA-256 of the hashes of all chunks before it |
//!
//! The header is the first chunk, the state the second, and the end the last. A backup has no secret: no key of a
//! node, no token, no secret of DNS cookies. Of publish tokens it has what is replicated: SHA-256 of 256 random bits,
//! with which nobody can publish.

mod chunk;
mod contents;
mod error;
mod header;
mod reader;
pub mod schedule;
pub mod target;
mod verify;
mod writer;

pub use contents::Contents;
pub use error::BackupError;
pub use header::{BackupHeader, BackupMember};
pub use reader::BackupReader;
pub use verify::{BackupDamage, Report, salvage, verify};
pub use writer::{BackupWriter, Written};

#[cfg(test)]
mod fixture;
