//! How a node starts: from the state of its data directory, which is one of seven, to a member.

mod cluster_file;
mod data_dir;
mod entry;
mod found;
mod joining;
mod state;
mod token_file;

pub(crate) use cluster_file::ClusterFile;
pub(crate) use data_dir::{DataDir, KEY_FILE};
pub(crate) use entry::{JoinBy, join, keep, raft_config};
pub(crate) use found::found;
pub(crate) use state::{StartError, State};
