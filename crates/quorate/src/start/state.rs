//! What a node is when it starts: that follows from its data directory alone.
//!
//! | state | the directory has | how it goes on |
//! |---|---|---|
//! | `Empty` | at most a key that was never used | `init --found`, or `serve` with a token |
//! | `Preparing` | a cluster file of a founding that was interrupted | the same `init --found --once` again |
//! | `Founding` | a cluster file with what to found | `serve` founds, and is a member |
//! | `Joining` | a cluster file of one that was let in | `serve` waits for the leader, and is a member |
//! | `Member` | a cluster file of a member, and a log | `serve` |
//! | `Damaged` | one thing without another | never |
//! | `DataLost` | the key, or the cluster file, of a member without its log | never |

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use quorate_raft::LOG_DIR;

use super::{
    cluster_file::{ClusterFile, Stage},
    data_dir::{CLUSTER_FILE, KEY_FILE, used_in},
};

/// What a node is when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    Preparing(ClusterFile),
    Founding(ClusterFile),
    Joining(ClusterFile),
    Member(ClusterFile),
    /// What is wrong.
    Damaged(String),
    /// The cluster that it was in.
    DataLost(String),
}

impl State {
    /// What starts from the directory at `dir`, which may be absent. Writes nothing.
    pub(crate) fn of(dir: &Path) -> anyhow::Result<Self> {
        let unreadable = || format!("the data directory {} cannot be read", dir.display());
        Self::read(dir).with_context(unreadable)
    }

    fn read(dir: &Path) -> io::Result<Self> {
        let names = names(dir)?;
        let has = |name| names.iter().any(|there| there == name);
        if !has(CLUSTER_FILE) {
            let mut other = names.iter().filter(|name| !may_be_in_an_empty_one(name));
            return Ok(match other.next() {
                Some(name) => Self::Damaged(format!(
                    "it has {name:?}, and no file {CLUSTER_FILE:?} that says of which cluster"
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
                "its key is that of a member of another cluster than its data, which are of {id}"
            )),
            stage if !has(LOG_DIR) && (stage == Stage::Member || used_in.is_some()) => {
                Self::DataLost(id)
            }
            // Its key was marked when its first entry was on disk, and the process ended then.
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

    /// What a node that starts here knows of its cluster; nothing if it is to join one. Fails if it
    /// cannot start.
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

/// What is in a directory, which may be absent.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let name =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect()
}

/// Whether a directory that is none of a node's yet may have this: what a file system or a start that
/// was cut off leaves there, and the key.
fn may_be_in_an_empty_one(name: &str) -> bool {
    let is_unfinished = |file| {
        name.strip_prefix(file)
            .is_some_and(|rest| rest.ends_with(".new"))
    };
    ["lost+found", "lock", KEY_FILE].contains(&name)
        || is_unfinished(KEY_FILE)
        || is_unfinished(CLUSTER_FILE)
}

/// Why a node cannot start, or not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(
        "{dir} holds no node. Run `quorate init --found` to begin a new cluster, or `quorate serve \
         --join TOKEN` to join one; if this node has data, mount its volume at {dir}",
        dir = .0.display()
    )]
    Empty(PathBuf),
    #[error(
        "the founding of a cluster was begun in {} and interrupted: run the same `quorate init \
         --found --once FILE` again",
        .0.display()
    )]
    Preparing(PathBuf),
    #[error(
        "another node has founded the cluster: {file} has its token. What was prepared here is \
         removed; run `quorate serve --join-file {file}`",
        file = .0.display()
    )]
    OtherFounder(PathBuf),
    #[error(
        "{file} says that the cluster is founded, and {dir} holds no node. If this node has data, \
         mount its volume at {dir}; if it is new, run `quorate serve --join-file {file}`",
        file = .file.display(), dir = .dir.display()
    )]
    Founded { file: PathBuf, dir: PathBuf },
    #[error(
        "the data directory {} cannot be used: {reason}. Mount the right volume, or choose another, \
         empty data_dir",
        .dir.display()
    )]
    Damaged { dir: PathBuf, reason: String },
    #[error(
        "{dir} has the key of a member of cluster {cluster} that has lost its data: it must neither \
         vote nor found under that key. Mount the right volume at {dir}; if it is lost, choose \
         another, empty data_dir, join from there by a token of `quorate member add`, and run \
         `quorate member replace OLD NEW`",
        dir = .dir.display()
    )]
    DataLost { dir: PathBuf, cluster: String },
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
