//! The state of a data directory at start.
//!
//! | state | the directory contains | next step |
//! |---|---|---|
//! | `Empty` | at most an unused key | `init --found`, or `serve` with a token |
//! | `Preparing` | the cluster file of an interrupted founding | rerun `init --found --once` |
//! | `Founding` | the cluster file of a prepared founding | `serve` founds and becomes a member |
//! | `Joining` | the cluster file of an accepted joiner | `serve` waits for the leader and becomes a member |
//! | `Member` | the cluster file of a member, and a log | `serve` |
//! | `Damaged` | some files without others | cannot start |
//! | `DataLost` | the key, or the cluster file, of a member without its log | cannot start |

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use quorate_raft::LOG_DIR;

use super::{
    cluster_file::{ClusterFile, Stage},
    data_dir::{CLUSTER_FILE, KEY_FILE, used_in},
};

/// The state of a data directory at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BootState {
    Empty,
    Preparing(ClusterFile),
    Founding(ClusterFile),
    Joining(ClusterFile),
    Member(ClusterFile),
    /// The reason.
    Damaged(String),
    /// The cluster of the node.
    DataLost(String),
}

impl BootState {
    /// Determines the state of `dir`, which may be absent. Writes nothing.
    pub(crate) fn of(dir: &Path) -> anyhow::Result<Self> {
        let unreadable = || format!("the data directory {} cannot be read", dir.display());
        Self::read(dir).with_context(unreadable)
    }

    fn read(dir: &Path) -> io::Result<Self> {
        let names = names(dir)?;
        let has = |name| names.iter().any(|there| there == name);
        if !has(CLUSTER_FILE) {
            let mut other = names.iter().filter(|name| !may_be_in_empty_dir(name));
            return Ok(match other.next() {
                Some(name) => Self::Damaged(format!(
                    "it contains {name:?}, but no file {CLUSTER_FILE:?} with its cluster"
                )),
                None => used_in(dir)?.map_or(Self::Empty, Self::DataLost),
            });
        }
        let text = fs::read(dir.join(CLUSTER_FILE))?;
        let cluster: ClusterFile = match String::from_utf8_lossy(&text).parse() {
            Ok(cluster) => cluster,
            Err(error) => return Ok(Self::Damaged(format!("its file {CLUSTER_FILE:?}: {error}"))),
        };
        let (id, used_in) = (cluster.id.to_string(), used_in(dir)?);
        Ok(match cluster.stage {
            _ if !has(KEY_FILE) => Self::Damaged(format!("it has data but no {KEY_FILE}")),
            _ if used_in.as_ref().is_some_and(|other| *other != id) => Self::Damaged(format!(
                "its key was used in another cluster than its data, which belongs to {id}"
            )),
            stage
                if !has(LOG_DIR)
                    && (stage == Stage::Member || cluster.brings_packets || used_in.is_some()) =>
            {
                Self::DataLost(id)
            }
            // The process ended after its key was marked, when the first entry was on disk.
            _ if used_in.is_some() => Self::Member(ClusterFile {
                stage: Stage::Member,
                ..cluster
            }),
            Stage::Preparing => Self::Preparing(cluster),
            Stage::Founding => Self::Founding(cluster),
            Stage::Joining => Self::Joining(cluster),
            Stage::Member => Self::Member(cluster),
        })
    }

    /// The cluster file of a node that starts here; `None` if it must join. Fails if it cannot start.
    pub(crate) fn cluster(
        self,
        dir: &Path,
        joins: bool,
    ) -> Result<Option<ClusterFile>, StartError> {
        let dir = dir.to_owned();
        match self {
            Self::Empty if joins => Ok(None),
            Self::Empty => Err(StartError::Empty(dir)),
            Self::Preparing(_) => Err(StartError::Preparing(dir)),
            Self::Founding(cluster) | Self::Joining(cluster) | Self::Member(cluster) => {
                Ok(Some(cluster))
            }
            Self::Damaged(reason) => Err(StartError::Damaged { dir, reason }),
            Self::DataLost(cluster) => Err(StartError::DataLost { dir, cluster }),
        }
    }
}

/// The names in a directory, which may be absent.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    // A socket holds no data: a killed node leaves that of the admin API.
    let is_data = |entry: &io::Result<fs::DirEntry>| {
        let file_type = entry.as_ref().ok().and_then(|entry| entry.file_type().ok());
        !file_type.is_some_and(|file_type| file_type.is_socket())
    };
    let name =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.filter(is_data).map(name).collect()
}

/// Whether an empty data directory may contain this name: files of the file system, of an interrupted
/// start, and the key.
fn may_be_in_empty_dir(name: &str) -> bool {
    let is_unfinished = |file| {
        name.strip_prefix(file)
            .is_some_and(|rest| rest.ends_with(".new"))
    };
    ["lost+found", "lock", KEY_FILE].contains(&name)
        || is_unfinished(KEY_FILE)
        || is_unfinished(CLUSTER_FILE)
}

/// Why a node cannot start or found a cluster.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(
        "{dir} contains no node. Run `quorate init --found` to found a new cluster, or `quorate serve --join TOKEN` to join one; if this node has data, mount its volume at {dir}",
        dir = .0.display()
    )]
    Empty(PathBuf),
    #[error(
        "the founding of a cluster in {} was interrupted: rerun the same `quorate init --found --once FILE`",
        .0.display()
    )]
    Preparing(PathBuf),
    #[error(
        "another node has founded the cluster: {file} contains its token. The prepared files were removed; run `quorate serve --join-file {file}`",
        file = .0.display()
    )]
    OtherFounder(PathBuf),
    #[error(
        "{file} shows that the cluster is founded, but {dir} contains no node. If this node has data, mount its volume at {dir}; if it is new, run `quorate serve --join-file {file}`",
        file = .file.display(), dir = .dir.display()
    )]
    Founded { file: PathBuf, dir: PathBuf },
    #[error(
        "the data directory {} cannot be used: {reason}. Mount the right volume, or set another, empty data_dir",
        .dir.display()
    )]
    Damaged { dir: PathBuf, reason: String },
    #[error(
        "{dir} has the key of a member of cluster {cluster} that has lost its data: it must not vote or found with that key. Mount the right volume at {dir}; if the volume is lost, set another, empty data_dir, join with a token of `quorate member add`, and run `quorate member replace OLD NEW`",
        dir = .dir.display()
    )]
    DataLost { dir: PathBuf, cluster: String },
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
