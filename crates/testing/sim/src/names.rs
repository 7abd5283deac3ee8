//! The names of files and directories.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

use crate::trace::{FileId, NameChange};

/// What a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DirEntry {
    Dir,
    File(FileId),
}

/// All names. The root directory exists without one.
#[derive(Debug, Clone, Default, Hash)]
pub(crate) struct Names(BTreeMap<PathBuf, DirEntry>);

impl Names {
    /// The file with this name.
    pub(crate) fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.0.get(&normalize(path)) {
            Some(DirEntry::File(file)) => Ok(*file),
            Some(DirEntry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The name of a file, empty when it has none.
    pub(crate) fn path(&self, file: FileId) -> PathBuf {
        let mut names = self.0.iter();
        let found = names.find(|(_, entry)| **entry == DirEntry::File(file));
        found.map(|(path, _)| path.clone()).unwrap_or_default()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&PathBuf, FileId)> {
        self.0.iter().filter_map(|(path, entry)| match entry {
            DirEntry::File(file) => Some((path, *file)),
            DirEntry::Dir => None,
        })
    }

    /// Fails when this is not an existing directory.
    pub(crate) fn check_dir(&self, dir: &Path) -> io::Result<()> {
        match self.0.get(&normalize(dir)) {
            _ if is_root(&normalize(dir)) => Ok(()),
            Some(DirEntry::Dir) => Ok(()),
            Some(DirEntry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The names in a directory, sorted.
    pub(crate) fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.check_dir(dir)?;
        let dir = normalize(dir);
        let inside = self.0.keys().filter(|path| dir_of(path) == dir);
        Ok(inside
            .filter_map(|path| path.file_name().map(OsString::from))
            .collect())
    }

    pub(crate) fn apply(&mut self, change: &NameChange) {
        let (path, entry) = match change {
            NameChange::File { path, file } => (path, Some(DirEntry::File(*file))),
            NameChange::Dir { path } => (path, Some(DirEntry::Dir)),
            NameChange::Rename { from, to } => (to, self.0.remove(from)),
            NameChange::Remove { path } => (path, None),
        };
        match entry {
            Some(entry) => self.0.insert(path.clone(), entry),
            None => self.0.remove(path),
        };
    }

    /// Removes the names in directories that do not exist.
    pub(crate) fn reachable(mut self) -> Self {
        // Paths are sorted, so a directory comes before the names in it.
        let mut kept = BTreeMap::new();
        while let Some((path, entry)) = self.0.pop_first() {
            let dir = dir_of(&path);
            if is_root(&dir) || kept.contains_key(&dir) {
                kept.insert(path, entry);
            }
        }
        Self(kept)
    }
}

impl NameChange {
    /// The directory whose sync makes the change durable.
    pub(crate) fn dir(&self) -> PathBuf {
        match self {
            Self::File { path, .. } | Self::Dir { path } | Self::Remove { path } => dir_of(path),
            Self::Rename { to, .. } => dir_of(to),
        }
    }
}

/// Removes the components `.` from a path.
pub(crate) fn normalize(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

/// The directory of a normalized path.
pub(crate) fn dir_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

pub(crate) fn is_root(path: &Path) -> bool {
    path.file_name().is_none()
}
