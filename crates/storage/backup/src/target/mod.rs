//! Where scheduled backups are kept: a directory, or a store with the S3 protocol.

mod directory;
mod error;
mod s3;

use std::path::{Path, PathBuf};

pub use error::TargetError;
pub use s3::{Credentials, S3Settings};

use directory::Directory;
use s3::Bucket;

/// What the name of every backup file at a target starts with. Other files are never listed or removed.
pub const NAME_PREFIX: &str = "quorate-";

/// What the name of every backup file at a target ends with.
pub const NAME_SUFFIX: &str = ".backup";

/// A place for backup files.
#[derive(Debug)]
pub struct Target(Place);

#[derive(Debug)]
enum Place {
    Directory(Directory),
    Bucket(Bucket),
}

impl Target {
    /// Backups in this directory, which must exist.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self(Place::Directory(Directory(path.into())))
    }

    /// Backups in a bucket. The program must have installed its TLS provider. Nothing is sent yet.
    pub fn s3(settings: &S3Settings) -> Result<Self, TargetError> {
        Bucket::new(settings).map(Place::Bucket).map(Self)
    }

    /// Stores the local file `from` under this name. If that fails, no part of it stays at the target.
    pub async fn upload(&self, name: &str, from: &Path) -> Result<(), TargetError> {
        check(name)?;
        match &self.0 {
            Place::Directory(directory) => directory.upload(name, from).await,
            Place::Bucket(bucket) => bucket.upload(name, from).await,
        }
    }

    /// Reads a file back into the new local file `to`, with mode 0600.
    pub async fn download(&self, name: &str, to: &Path) -> Result<(), TargetError> {
        check(name)?;
        match &self.0 {
            Place::Directory(directory) => directory.download(name, to).await,
            Place::Bucket(bucket) => bucket.download(name, to).await,
        }
    }

    /// The names of all backups, in their order.
    pub async fn list(&self) -> Result<Vec<String>, TargetError> {
        let mut names = match &self.0 {
            Place::Directory(directory) => directory.list().await?,
            Place::Bucket(bucket) => bucket.list().await?,
        };
        names.retain(|name| check(name).is_ok());
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a backup.
    pub async fn remove(&self, name: &str) -> Result<(), TargetError> {
        check(name)?;
        match &self.0 {
            Place::Directory(directory) => directory.remove(name).await,
            Place::Bucket(bucket) => bucket.remove(name).await,
        }
    }

    /// Removes old backups whose names start with `prefix`, so that `count` of them stay up to `newest`, which was
    /// verified and stays. Removes what interrupted uploads left, too. Returns what was removed.
    ///
    /// Names after `newest` stay: they are from a time that was ahead, or another node verifies them now.
    pub async fn prune(
        &self,
        prefix: &str,
        newest: &str,
        count: usize,
    ) -> Result<Vec<String>, TargetError> {
        let mut names = self.list().await?;
        names.retain(|name| name.starts_with(prefix) && &**name <= newest);
        names.truncate(names.len().saturating_sub(count.max(1)));
        for name in &names {
            self.remove(name).await?;
        }
        match &self.0 {
            Place::Directory(directory) => directory.remove_unfinished(prefix, newest).await?,
            // A store removes them by a lifecycle rule.
            Place::Bucket(_) => {}
        }
        Ok(names)
    }
}

fn check(name: &str) -> Result<(), TargetError> {
    let is_ours =
        name.starts_with(NAME_PREFIX) && name.ends_with(NAME_SUFFIX) && !name.contains('/');
    match is_ours {
        true => Ok(()),
        false => Err(TargetError::Name(name.to_owned())),
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
