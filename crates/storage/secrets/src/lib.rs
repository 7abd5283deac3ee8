//! The keys of a cluster, which seal its replicated secrets.
//!
//! The log and snapshots contain secrets only in sealed form, and backups contain none. What opens them, the
//! *cluster key*, is in one file of each data directory, and travels only over links between nodes. `quorate-raft` decides when a
//! key is made, who gets it, and when it is used.
//!
//! | piece | what it is |
//! |---|---|
//! | [`ClusterKey`] | a key: it seals and opens |
//! | [`KeyFile`] | the keys that this node has, on disk |

mod cluster_key;
mod key_file;

pub use cluster_key::{CLUSTER_KEY_SIZE, ClusterKey, NoRandomBytes, NotOpened};
pub use key_file::{CLUSTER_KEY_FILE, KeyFile, KeyFileError, PENDING_COUNT_MAX};
