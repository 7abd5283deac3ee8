//! A new file that appears only when it is complete.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;

/// A new file that only its owner can read. It has another name in the same directory until it is complete, and
/// is removed if that fails.
pub(crate) struct NewFile {
    unfinished: NamedTempFile,
    dir: PathBuf,
    replaces: bool,
}

impl NewFile {
    /// A file at `path`, or in the working directory. Fails if there is one, unless it `replaces` that.
    pub(crate) fn create(path: Option<&Path>, replaces: bool) -> anyhow::Result<Self> {
        if let Some(path) = path {
            ensure!(
                replaces || !path.exists(),
                "{} exists: name another file, or replace it with --force",
                path.display()
            );
        }
        let dir = path.and_then(Path::parent);
        let dir = dir.filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or_else(|| ".".as_ref()).to_owned();
        let unfinished = NamedTempFile::with_prefix_in(".quorate-", &dir);
        let unfinished =
            unfinished.with_context(|| format!("no file can be created in {}", dir.display()))?;
        Ok(Self {
            unfinished,
            dir,
            replaces,
        })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        self.unfinished.as_file_mut()
    }

    /// Makes the file durable under its name, in the directory for which it was created. Returns its size in
    /// bytes.
    pub(crate) fn finish(self, path: &Path) -> anyhow::Result<u64> {
        let finish = || {
            self.unfinished.as_file().sync_all()?;
            let file = match self.replaces {
                true => self.unfinished.persist(path)?,
                false => self.unfinished.persist_noclobber(path)?,
            };
            // The name too must survive a power cut.
            File::open(&self.dir)?.sync_all()?;
            Ok::<_, anyhow::Error>(file.metadata()?.len())
        };
        finish().with_context(|| format!("{} cannot be written", path.display()))
    }
}
