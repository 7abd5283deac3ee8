//! The names of files and directories.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

use crate::trace::{FileId, NameChange};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Named {
    Dir,
    File(FileId),
}

/// All names. The root is there without one.
#[derive(Debug, Clone, Default, Hash)]
pub(crate) struct Names(BTreeMap<PathBuf, Named>);

impl Names {
    /// The file of a name.
    pub(crate) fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.0.get(&plain(path)) {
            Some(Named::File(file)) => Ok(*file),
            Some(Named::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The name of a file, empty when it has none.
    pub(crate) fn path(&self, file: FileId) -> PathBuf {
        let mut names = self.0.iter();
        let found = names.find(|(_, named)| **named == Named::File(file));
        found.map(|(path, _)| path.clone()).unwrap_or_default()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&PathBuf, FileId)> {
        self.0.iter().filter_map(|(path, named)| match named {
            Named::File(file) => Some((path, *file)),
            Named::Dir => None,
        })
    }

    pub(crate) fn expect_dir(&self, dir: &Path) -> io::Result<()> {
        match self.0.get(&plain(dir)) {
            _ if is_root(&plain(dir)) => Ok(()),
            Some(Named::Dir) => Ok(()),
            Some(Named::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The names in a directory, sorted.
    pub(crate) fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.expect_dir(dir)?;
        let dir = plain(dir);
        let inside = self.0.keys().filter(|path| dir_of(path) == dir);
        Ok(inside
            .filter_map(|path| path.file_name().map(OsString::from))
            .collect())
    }

    pub(crate) fn apply(&mut self, change: &NameChange) {
        let (path, named) = match change {
            NameChange::File { path, file } => (path, Some(Named::File(*file))),
            NameChange::Dir { path } => (path, Some(Named::Dir)),
            NameChange::Rename { from, to } => (to, self.0.remove(from)),
            NameChange::Remove { path } => (path, None),
        };
        match named {
            Some(named) => self.0.insert(path.clone(), named),
            None => self.0.remove(path),
        };
    }

    /// Without what stands in a directory that is not there.
    pub(crate) fn reachable(mut self) -> Self {
        // Sorted, so that a directory is kept or dropped before what it holds.
        let mut kept = BTreeMap::new();
        while let Some((path, named)) = self.0.pop_first() {
            let dir = dir_of(&path);
            if is_root(&dir) || kept.contains_key(&dir) {
                kept.insert(path, named);
            }
        }
        Self(kept)
    }
}

impl NameChange {
    /// The directory whose sync makes it durable.
    pub(crate) fn dir(&self) -> PathBuf {
        match self {
            Self::File { path, .. } | Self::Dir { path } | Self::Remove { path } => dir_of(path),
            Self::Rename { to, .. } => dir_of(to),
        }
    }
}

/// A path without dots for the present directory.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

/// The directory of a plain path.
pub(crate) fn dir_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

pub(crate) fn is_root(path: &Path) -> bool {
    path.file_name().is_none()
}
