//! The data directory: who the node is, and of which cluster.
//!
//! ```text
//! node.key      the node's identity; never copied to another machine
//! cluster       the cluster the node belongs to, written once its log exists
//! log/          the Raft log
//! records.redb  the store
//! lock          held while a process uses the directory
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use quorate_disk::{Disk, DiskFile, LinuxDisk, OpenMode};
use quorate_packet::PublicKey;
use sha2::{Digest, Sha256};

/// The file that says which cluster the data is of.
const CLUSTER_FILE: &str = "cluster";

/// More than that file ever has, in bytes.
const CLUSTER_SIZE_MAX: u64 = 4096;

/// The first line of the file `cluster`.
const CLUSTER_HEADER: &str = "quorate-cluster 1";

/// A cluster, named by its name and its founding voters: two clusters of one name differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    name: String,
    id: [u8; 32],
}

impl Cluster {
    pub(crate) fn new(name: &str, voters: impl IntoIterator<Item = PublicKey>) -> Self {
        let mut voters: Vec<_> = voters.into_iter().collect();
        voters.sort_unstable();
        let mut hash = Sha256::new();
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name);
        voters
            .iter()
            .for_each(|voter| hash.update(voter.as_bytes()));
        Self {
            name: name.to_owned(),
            id: hash.finalize().into(),
        }
    }

    /// What peers tell each other before anything else.
    pub(crate) fn id(&self) -> [u8; 32] {
        self.id
    }

    fn encode(&self) -> String {
        let id: String = self.id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{CLUSTER_HEADER}\nname {}\nid {id}\n", self.name)
    }
}

/// A data directory that this process holds.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
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

    /// Whether what is stored here is of `cluster`; false when nothing is. Fails when it is of
    /// another.
    pub(crate) fn check(&self, cluster: &Cluster) -> anyhow::Result<bool> {
        let file = self.cluster_file();
        let stored = match read(&file) {
            Ok(stored) => stored,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", file.display()));
            }
        };
        ensure!(
            stored == cluster.encode(),
            "{} holds the data of another cluster.\n  stored there:\n{}  configured:\n{}\
             The id is made of the cluster's name and its founding nodes: correct [cluster] in the \
             configuration, or choose another data_dir.",
            self.path.display(),
            indent(&stored),
            indent(&cluster.encode()),
        );
        Ok(true)
    }

    /// Notes that the data here is of `cluster`. Called once the log exists.
    pub(crate) fn claim(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let file = self.cluster_file();
        if file.exists() {
            return Ok(());
        }
        let new = file.with_extension("new");
        let write = || {
            let out = LinuxDisk.open(&new, OpenMode::Create)?;
            out.set_size(0)?;
            out.write_at(cluster.encode().as_bytes(), 0)?;
            out.sync_data()?;
            LinuxDisk.rename(&new, &file)?;
            LinuxDisk.sync_dir(&self.path)
        };
        write().with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Whether the directory at `path`, which may be absent, holds the data of a node.
    pub(crate) fn holds_data(path: &Path) -> bool {
        path.join(CLUSTER_FILE).exists()
    }

    /// Whether that data is of `cluster`.
    pub(crate) fn holds_data_of(path: &Path, cluster: &Cluster) -> bool {
        read(&path.join(CLUSTER_FILE)).is_ok_and(|stored| stored == cluster.encode())
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

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, voters: &[u8]) -> Cluster {
        Cluster::new(
            name,
            voters
                .iter()
                .map(|voter| PublicKey::from_bytes([*voter; 32])),
        )
    }

    #[test]
    fn a_cluster_is_its_name_and_its_founders_in_any_order() {
        assert_eq!(cluster("a", &[1, 2, 3]), cluster("a", &[3, 1, 2]));
        assert_ne!(cluster("a", &[1, 2, 3]), cluster("b", &[1, 2, 3]));
        assert_ne!(cluster("a", &[1, 2, 3]), cluster("a", &[1, 2]));
    }

    #[test]
    fn data_of_another_cluster_is_refused_with_both_names() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let ours = cluster("ours", &[1]);
        assert!(!data.check(&ours).unwrap());
        data.claim(&ours).unwrap();
        assert!(data.check(&ours).unwrap());
        let error = data
            .check(&cluster("theirs", &[1]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ours") && error.contains("theirs"),
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
