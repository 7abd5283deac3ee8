//! The data directory of a node.
//!
//! ```text
//! node.key      the node's identity; never copied to another machine
//! cluster       what the node knows about its cluster: its id and members
//! log/          the Raft log
//! records.redb  the store
//! lock          held while a process uses the directory
//! admin.sock    the socket of the admin API, while a node runs
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use quorate_disk::{Disk, DiskFile, LinuxDisk, OpenMode, remove_if_present, replace};
use quorate_peer::{Identity, IdentityError, NodeId};
use quorate_state::ClusterId;

use super::cluster_file::ClusterFile;

/// The name of the file with the secret key.
pub(crate) const KEY_FILE: &str = "node.key";

/// The file that the process locks.
const LOCK_FILE: &str = "lock";

/// The file with the cluster of the data.
pub(super) const CLUSTER_FILE: &str = "cluster";

/// The comment in the key file of a node that has been a member of a cluster.
const USED: &str = "# It has been a member of the cluster ";

/// A data directory that this process has locked.
#[derive(Debug)]
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    /// Released when the process ends, however it ends.
    _lock: Arc<dyn DiskFile>,
}

impl DataDir {
    /// Locks the directory, and creates it if it does not exist.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        LinuxDisk
            .create_dir(path)
            .with_context(|| format!("the data directory {shown} cannot be created"))?;
        let lock = LinuxDisk
            .open(&path.join(LOCK_FILE), OpenMode::Create)
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

    /// The identity, and whether it was just created.
    pub(crate) fn identity(&self) -> Result<(Identity, bool), IdentityError> {
        let path = self.path.join(KEY_FILE);
        if path.exists() {
            return Ok((Identity::load(&LinuxDisk, &path)?, false));
        }
        let identity = Identity::generate()?;
        identity.save(&LinuxDisk, &path)?;
        Ok((identity, true))
    }

    /// Replaces the file `cluster` durably.
    pub(crate) fn set_cluster(&self, cluster: &ClusterFile) -> anyhow::Result<()> {
        self.replace(CLUSTER_FILE, &cluster.encode())
    }

    /// Marks the key file as used in this cluster, so that the identity is not used again if everything else
    /// is lost.
    pub(crate) fn mark_used(&self, cluster: &str) -> anyhow::Result<()> {
        let path = self.path.join(KEY_FILE);
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
        match text.contains(USED) {
            true => Ok(()),
            false => self.replace(KEY_FILE, &format!("{USED}{cluster}.\n{text}")),
        }
    }

    /// Removes the files of a prepared founding.
    pub(crate) fn withdraw(&self, cluster: &ClusterFile) -> anyhow::Result<()> {
        let remove = || {
            remove_if_present(&LinuxDisk, &self.path.join(CLUSTER_FILE))?;
            if cluster.has_made_key {
                remove_if_present(&LinuxDisk, &self.path.join(KEY_FILE))?;
            }
            LinuxDisk.sync_dir(&self.path)
        };
        let removed: io::Result<()> = remove();
        removed.with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// Both files hold secrets.
    fn replace(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        replace(&LinuxDisk, &path, text.as_bytes(), OpenMode::CreateSecret)
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Locks an existing directory without writing to it, unless it is a copy without the lock file.
pub(crate) fn lock_existing(path: &Path) -> anyhow::Result<Option<Arc<dyn DiskFile>>> {
    let shown = path.display();
    let lock = match LinuxDisk.open(&path.join(LOCK_FILE), OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock.with_context(|| format!("the data directory {shown} cannot be read"))?,
    };
    let locked = lock.try_lock();
    match locked.with_context(|| format!("the data directory {shown} cannot be locked"))? {
        true => Ok(Some(lock)),
        false => {
            bail!("the data directory {shown} is in use by another process; stop that one first")
        }
    }
}

/// The node of a directory and its cluster, as far as its files can be read.
pub(crate) fn read_identity(dir: &Path) -> (Option<NodeId>, Option<ClusterId>) {
    let identity = Identity::load(&LinuxDisk, &dir.join(KEY_FILE)).ok();
    let cluster = fs::read_to_string(dir.join(CLUSTER_FILE)).ok();
    let cluster = cluster.and_then(|text| text.parse::<ClusterFile>().ok());
    let node = identity.map(|identity| NodeId(identity.public_key()));
    (node, cluster.map(|cluster| cluster.id))
}

/// The cluster in which the key of this directory was used, if any.
pub(super) fn used_in(dir: &Path) -> io::Result<Option<String>> {
    let text = match fs::read_to_string(dir.join(KEY_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let marked = text.lines().find_map(|line| line.strip_prefix(USED));
    Ok(marked.map(|cluster| cluster.trim_end_matches('.').to_owned()))
}

#[cfg(test)]
mod tests {
    use quorate_raft::KnownMembers;
    use quorate_state::ClusterId;

    use super::*;
    use crate::start::cluster_file::Stage;

    fn key_text(dir: &DataDir) -> String {
        fs::read_to_string(dir.path.join(KEY_FILE)).unwrap()
    }

    fn cluster() -> ClusterFile {
        ClusterFile::new(
            Stage::Preparing,
            ClusterId([7; 32]),
            KnownMembers::default(),
        )
    }

    #[test]
    fn an_identity_is_created_once_and_marked_once() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&root.path().join("a/b")).unwrap();
        let (identity, is_new) = dir.identity().unwrap();
        assert!(is_new);
        assert_eq!(used_in(&dir.path).unwrap(), None);
        dir.mark_used("6f6e").unwrap();
        dir.mark_used("6f6f").unwrap();
        assert_eq!(used_in(&dir.path).unwrap().as_deref(), Some("6f6e"));
        let (again, is_new) = dir.identity().unwrap();
        assert_eq!((again.public_key(), is_new), (identity.public_key(), false));
        let mode = fs::metadata(dir.path.join(KEY_FILE)).unwrap().permissions();
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode);
        assert_eq!(mode & 0o077, 0, "only the owner can read the key");
    }

    #[test]
    fn a_broken_key_file_is_named_and_left_unchanged() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        fs::write(root.path().join(KEY_FILE), "broken").unwrap();
        let error = dir.identity().unwrap_err().to_string();
        assert!(error.contains(KEY_FILE), "{error}");
        assert_eq!(key_text(&dir), "broken");
    }

    #[test]
    fn withdrawing_removes_prepared_files_but_no_older_key() {
        for has_made_key in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let dir = DataDir::open(root.path()).unwrap();
            dir.identity().unwrap();
            let cluster = ClusterFile {
                has_made_key,
                ..cluster()
            };
            dir.set_cluster(&cluster).unwrap();
            dir.withdraw(&cluster).unwrap();
            assert!(!root.path().join(CLUSTER_FILE).exists());
            assert_eq!(root.path().join(KEY_FILE).exists(), !has_made_key);
        }
    }

    #[test]
    fn only_one_process_can_open_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let locked = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        drop(locked);
        DataDir::open(dir.path()).unwrap();
    }
}
