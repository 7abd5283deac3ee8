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
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use quorate_packet::PublicKey;
use sha2::{Digest, Sha256};

/// The file that says which cluster the data is of.
const CLUSTER_FILE: &str = "cluster";

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
    _lock: File,
}

impl DataDir {
    /// Takes the directory, making it if it is absent.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path)
            .with_context(|| format!("the data directory {shown} cannot be made"))?;
        let lock = File::create(path.join("lock"))
            .with_context(|| format!("the data directory {shown} cannot be written"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "the data directory {shown} is in use by another process; stop that one first"
                )
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("the data directory {shown} cannot be locked"))
            }
        }
    }

    /// Whether what is stored here is of `cluster`; false when nothing is. Fails when it is of
    /// another.
    pub(crate) fn check(&self, cluster: &Cluster) -> anyhow::Result<bool> {
        let file = self.cluster_file();
        let stored = match fs::read_to_string(&file) {
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
            let mut out = File::create(&new)?;
            out.write_all(cluster.encode().as_bytes())?;
            out.sync_all()?;
            fs::rename(&new, &file)?;
            File::open(&self.path)?.sync_all()
        };
        write().with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Whether the directory at `path`, which may be absent, holds the data of a node.
    pub(crate) fn holds_data(path: &Path) -> bool {
        path.join(CLUSTER_FILE).exists()
    }

    /// Whether that data is of `cluster`.
    pub(crate) fn holds_data_of(path: &Path, cluster: &Cluster) -> bool {
        fs::read_to_string(path.join(CLUSTER_FILE)).is_ok_and(|stored| stored == cluster.encode())
    }

    fn cluster_file(&self) -> PathBuf {
        self.path.join(CLUSTER_FILE)
    }
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
