//! The data directory: who the node is, and of which cluster.
//!
//! ```text
//! node.key      the node's identity; never copied to another machine
//! cluster       what the node knows of its cluster: who that is, and who is in it
//! log/          the Raft log
//! records.redb  the store
//! lock          held while a process uses the directory
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use quorate_disk::{Disk, DiskFile, LinuxDisk, OpenMode, replace};
use quorate_raft::{LOG_DIR, STORE_FILE};

use crate::cluster_file::ClusterFile;

/// The file that says which cluster the data is of.
const CLUSTER_FILE: &str = "cluster";

/// More than that file ever has, in bytes: a thousand members with the longest addresses.
const CLUSTER_SIZE_MAX: u64 = 1024 * 1024;

/// A data directory that this process holds.
#[derive(Debug)]
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    /// Released when the process ends, however it ends.
    _lock: Arc<dyn DiskFile>,
}

impl DataDir {
    /// Takes the directory, making it if it is absent.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        LinuxDisk
            .create_dir(path)
            .with_context(|| format!("the data directory {shown} cannot be made"))?;
        let lock = LinuxDisk
            .open(&path.join("lock"), OpenMode::Create)
            .with_context(|| format!("the data directory {shown} cannot be written"))?;
        let locked = lock.try_lock();
        match locked.with_context(|| format!("the data directory {shown} cannot be locked"))? {
            true => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            false => bail!(
                "the data directory {shown} is in use by another process; stop that one first"
            ),
        }
    }

    /// What the node knows of its cluster, or nothing if it has had no part in one.
    pub(crate) fn cluster(&self) -> anyhow::Result<Option<ClusterFile>> {
        let file = self.cluster_file();
        let unusable = || format!("{} cannot be used", file.display());
        match read(&file) {
            Ok(text) => Ok(Some(text.parse().with_context(unusable)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(unusable),
        }
    }

    /// Notes durably what the node knows of its cluster, in place of what it knew before.
    pub(crate) fn set_cluster(&self, cluster: &ClusterFile) -> anyhow::Result<()> {
        let file = self.cluster_file();
        let text = cluster.encode();
        replace(&LinuxDisk, &file, text.as_bytes(), OpenMode::Create)
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Whether there is a log or a store.
    pub(crate) fn has_log_or_store(&self) -> bool {
        [LOG_DIR, STORE_FILE]
            .iter()
            .any(|name| self.path.join(name).exists())
    }

    /// Whether the directory at `path`, which may be absent, holds the data of a node.
    pub(crate) fn holds_data(path: &Path) -> bool {
        path.join(CLUSTER_FILE).exists()
    }

    /// What the node whose directory is at `path` knows of its cluster, if it can be read.
    pub(crate) fn cluster_at(path: &Path) -> Option<ClusterFile> {
        read(&path.join(CLUSTER_FILE)).ok()?.parse().ok()
    }

    fn cluster_file(&self) -> PathBuf {
        self.path.join(CLUSTER_FILE)
    }
}

/// Reads the file `cluster`.
fn read(file: &Path) -> io::Result<String> {
    let file = LinuxDisk.open(file, OpenMode::Read)?;
    let mut text = vec![0; file.size()?.min(CLUSTER_SIZE_MAX) as usize];
    file.read_at(&mut text, 0)?;
    String::from_utf8(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use quorate_raft::Known;
    use quorate_state::{ClusterId, ClusterNames};

    use super::*;
    use crate::cluster_file::Stage;

    #[test]
    fn what_is_known_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.cluster().unwrap(), None);
        assert!(!DataDir::holds_data(dir.path()));
        let mut cluster = ClusterFile {
            stage: Stage::Member,
            name: Some("a-long-name-of-a-cluster".to_owned()),
            known: Known::default(),
        };
        data.set_cluster(&cluster).unwrap();
        cluster.name = None;
        cluster.known.names = ClusterNames {
            id: Some(ClusterId([7; 32])),
            founding: None,
        };
        data.set_cluster(&cluster).unwrap();
        assert_eq!(data.cluster().unwrap(), Some(cluster));
        assert!(DataDir::holds_data(dir.path()));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        std::fs::write(dir.path().join(CLUSTER_FILE), "quorate-cluster 9\n").unwrap();
        let error = format!("{:#}", data.cluster().unwrap_err());
        assert!(
            error.contains(CLUSTER_FILE) && error.contains("9"),
            "{error}"
        );
    }

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        drop(held);
        DataDir::open(dir.path()).unwrap();
    }
}
