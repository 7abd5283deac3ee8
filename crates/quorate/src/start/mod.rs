//! The start of a node: from one of seven states of its data directory to a member.

mod cluster_file;
mod data_dir;
mod entry;
mod found;
mod joining;
mod new_cluster;
mod state;
mod token_file;

pub(crate) use cluster_file::ClusterFile;
pub(crate) use data_dir::{DataDir, KEY_FILE, lock_existing, read_identity};
pub(crate) use entry::{TokenSource, join, keep, raft_config};
pub(crate) use found::found;
pub(crate) use new_cluster::{check_empty, config_with, new_cluster, next_steps};
pub(crate) use state::{BootState, StartError};
