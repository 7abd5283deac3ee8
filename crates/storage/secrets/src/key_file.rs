//! The file with the cluster keys of a node.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER_PERMISSIVE;
use quorate_disk::{Disk, OpenMode, replace};
use quorate_state::KeyId;

use crate::{CLUSTER_KEY_SIZE, ClusterKey};

/// The name of the file in the data directory.
pub const CLUSTER_KEY_FILE: &str = "cluster.key";

/// The most keys that wait for the cluster to switch to them. Each leader that failed before its switch leaves
/// one; the oldest are dropped.
pub const PENDING_COUNT_MAX: usize = 8;

/// More than any file of keys has, in bytes: another file at this path must not fill memory.
const FILE_SIZE_MAX: u64 = 16 * 1024;

/// The permission bits of users who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// The cluster keys that this node has. Text: lines that start with `#` are comments, and each other line is a
/// key in hexadecimal, with the word `used` behind it if the cluster has switched to it. Each change is on disk
/// before it is used.
#[derive(Debug)]
pub struct KeyFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    keys: Vec<KeptKey>,
}

/// A key in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeptKey {
    key: ClusterKey,
    /// Whether the cluster has switched to it. Otherwise it may yet.
    is_used: bool,
}

/// What a line has behind a key that was used.
const USED: &str = "used";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("the cluster keys in {path} cannot be read", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error(
        "the cluster keys in {path} can be read by every user of this machine (mode {mode:03o}): run \
         `chmod 600 {path}`, and if somebody has read them, `quorate cluster rotate-key`",
        path = .0.display(), mode = .1
    )]
    Exposed(PathBuf, u32),
    #[error(
        "the cluster keys in {path} are damaged: move the file away, and this node asks the others for the \
         keys. If this is the only node, run `quorate cluster rotate-key --discard-lost` afterwards",
        path = .0.display()
    )]
    Damaged(PathBuf),
    #[error("the cluster keys in {path} cannot be written", path = .0.display())]
    Write(PathBuf, #[source] io::Error),
}

impl KeyFile {
    /// Reads the file in the data directory `dir`. Without one there are no keys.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, KeyFileError> {
        let path = dir.join(CLUSTER_KEY_FILE);
        let keys = read(&*disk, &path)?;
        Ok(Self { disk, path, keys })
    }

    /// The keys.
    pub fn keys(&self) -> Vec<ClusterKey> {
        self.keys.iter().map(|kept| kept.key.clone()).collect()
    }

    /// Stores a key to which the cluster may switch, durably.
    pub fn add_pending(&mut self, key: ClusterKey) -> Result<(), KeyFileError> {
        if self.keys.iter().any(|kept| kept.key == key) {
            return Ok(());
        }
        let mut keys = self.keys.clone();
        let is_used = false;
        keys.push(KeptKey { key, is_used });
        let pending = keys.iter().filter(|kept| !kept.is_used).count();
        let mut excess = pending.saturating_sub(PENDING_COUNT_MAX);
        keys.retain(|kept| {
            let goes = !kept.is_used && excess > 0;
            excess -= usize::from(goes);
            !goes
        });
        self.replace(keys)
    }

    /// Stores a key to which the cluster has switched, durably.
    pub fn add_used(&mut self, key: ClusterKey) -> Result<(), KeyFileError> {
        let mut keys = self.keys.clone();
        keys.retain(|kept| kept.key != key);
        let is_used = true;
        keys.push(KeptKey { key, is_used });
        self.replace(keys)
    }

    /// Marks the keys that are needed as used, and drops those that were used and are not needed any more,
    /// durably.
    pub fn keep_needed(&mut self, needed: &[KeyId]) -> Result<(), KeyFileError> {
        let mut keys = self.keys.clone();
        keys.retain_mut(|kept| {
            let is_needed = needed.contains(&kept.key.id());
            let stays = is_needed || !kept.is_used;
            kept.is_used |= is_needed;
            stays
        });
        match keys == self.keys {
            true => Ok(()),
            false => self.replace(keys),
        }
    }

    fn replace(&mut self, keys: Vec<KeptKey>) -> Result<(), KeyFileError> {
        let lines = keys.iter().map(|KeptKey { key, is_used }| {
            let hex = HEXLOWER_PERMISSIVE.encode(key.as_bytes());
            match is_used {
                true => format!("{hex} {USED}\n"),
                false => format!("{hex}\n"),
            }
        });
        let text = "# The keys of a Quorate cluster: keep them secret. They open the secrets in its log and \
                    snapshots.\n"
            .to_owned()
            + &lines.collect::<String>();
        replace(
            &*self.disk,
            &self.path,
            text.as_bytes(),
            OpenMode::CreateSecret,
        )
        .map_err(|error| KeyFileError::Write(self.path.clone(), error))?;
        self.keys = keys;
        Ok(())
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Vec<KeptKey>, KeyFileError> {
    let fail = |error| KeyFileError::Read(path.to_owned(), error);
    let file = match disk.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(fail)?,
    };
    let mode = file.mode().map_err(fail)?;
    if mode & OTHERS != 0 {
        return Err(KeyFileError::Exposed(path.to_owned(), mode));
    }
    let size = file.size().map_err(fail)?.min(FILE_SIZE_MAX);
    let mut text = vec![0; size as usize];
    file.read_at(&mut text, 0).map_err(fail)?;
    parse(&text).ok_or_else(|| KeyFileError::Damaged(path.to_owned()))
}

fn parse(text: &[u8]) -> Option<Vec<KeptKey>> {
    let lines = str::from_utf8(text).ok()?.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (hex, is_used) = match line.split_once(' ') {
                Some((hex, USED)) => (hex, true),
                Some(_) => return None,
                None => (line, false),
            };
            let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
            let bytes: [u8; CLUSTER_KEY_SIZE] = bytes.try_into().ok()?;
            let key = ClusterKey::from_bytes(bytes);
            Some(KeptKey { key, is_used })
        })
        .collect()
}

#[cfg(test)]
#[path = "key_file_tests.rs"]
mod tests;
