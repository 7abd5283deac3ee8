//! All that a disk knows.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Call,
    fault::Faults,
    names::{Names, dir_of, plain},
    trace::{self, Contents, FileId, NameChange, Operation},
};

/// What is durable whatever happens.
#[derive(Debug, Clone, Default, Hash)]
pub(crate) struct Medium {
    pub(crate) names: Names,
    pub(crate) contents: Contents,
}

/// A disk, as its process sees it and as its medium has it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// As the kernel shows it.
    pub(crate) shown: Medium,
    /// As it was when the trace began.
    pub(crate) base: Medium,
    pub(crate) trace: Vec<Operation>,
    /// How many operations were settled before the trace began.
    pub(crate) settled: usize,
    pub(crate) faults: Faults,
    /// Syncs that were good, by the name of the file at the time.
    pub(crate) sync_counts: BTreeMap<PathBuf, usize>,
    /// Which handle has locked a file.
    pub(crate) locks: BTreeMap<FileId, u64>,
    last_file: u64,
    last_handle: u64,
    /// The process is dead: its handles do nothing any more.
    pub(crate) dead: bool,
}

impl State {
    /// A disk that holds `medium`, all of it durable.
    pub(crate) fn of(medium: Medium) -> Self {
        let last_file = medium.contents.keys().next_back().map_or(0, |file| file.0);
        Self {
            shown: medium.clone(),
            base: medium,
            last_file,
            ..Self::default()
        }
    }

    pub(crate) fn expect_alive(&self) -> io::Result<()> {
        match self.dead {
            true => Err(io::Error::other("the process is dead")),
            false => Ok(()),
        }
    }

    pub(crate) fn settle(&mut self) {
        self.settled += self.trace.len();
        self.trace.clear();
        // Nobody can reach what has no name but those who have it open: kept for them.
        self.base = self.shown.clone();
    }

    pub(crate) fn next_handle(&mut self) -> u64 {
        self.last_handle += 1;
        self.last_handle
    }

    pub(crate) fn make_file(&mut self, path: &Path) -> io::Result<FileId> {
        let path = plain(path);
        self.shown.names.expect_dir(&dir_of(&path))?;
        self.last_file += 1;
        let file = FileId(self.last_file);
        self.change_names(NameChange::File { path, file })?;
        self.shown.contents.insert(file, Arc::default());
        Ok(file)
    }

    pub(crate) fn make_dir(&mut self, dir: &Path) -> io::Result<()> {
        let dir = plain(dir);
        let mut missing = Vec::new();
        for above in dir.ancestors() {
            match self.shown.names.expect_dir(above) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(above),
                Err(error) => return Err(error),
            }
        }
        for path in missing.into_iter().rev() {
            let path = path.to_owned();
            self.change_names(NameChange::Dir { path })?;
        }
        Ok(())
    }

    pub(crate) fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        self.faults.check(Call::Name, &change.dir())?;
        self.shown.names.apply(&change);
        self.trace.push(Operation::Name(change));
        Ok(())
    }

    pub(crate) fn content(&self, file: FileId) -> &[u8] {
        self.shown
            .contents
            .get(&file)
            .map_or(&[], |content| content)
    }

    /// Writes, as far as there is space and nothing fails.
    pub(crate) fn write(&mut self, file: FileId, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let done = self.faults.check(Call::Write, &self.shown.names.path(file));
        let (done, len) = match done {
            Ok(()) => self.fitting(file, offset, bytes.len()),
            Err(error) => (Err(error), bytes.len() / 2),
        };
        if len > 0 {
            let bytes = bytes[..len].to_vec();
            trace::write(&mut self.shown.contents, file, offset, &bytes);
            self.trace.push(Operation::Write {
                file,
                offset,
                bytes,
            });
        }
        done
    }

    /// How much of `len` bytes at `offset` there is space for, and the error if not for all.
    fn fitting(&self, file: FileId, offset: usize, len: usize) -> (io::Result<()>, usize) {
        let size_max = self.content(file).len() as u64 + self.free_space();
        match size_max >= (offset + len) as u64 {
            true => (Ok(()), len),
            false => (
                Err(io::ErrorKind::StorageFull.into()),
                (size_max as usize).saturating_sub(offset),
            ),
        }
    }

    pub(crate) fn set_size(&mut self, file: FileId, size: usize) -> io::Result<()> {
        self.faults
            .check(Call::Write, &self.shown.names.path(file))?;
        let grown = size.saturating_sub(self.content(file).len());
        if grown as u64 > self.free_space() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        trace::resize(&mut self.shown.contents, file, size);
        self.trace.push(Operation::SetSize { file, size });
        Ok(())
    }

    /// Ends a sync that began when `covers` operations were done since the disk was made.
    pub(crate) fn sync(&mut self, file: FileId, covers: usize) -> io::Result<()> {
        let path = self.shown.names.path(file);
        let done = self.faults.check(Call::Sync, &path);
        if done.is_ok() {
            *self.sync_counts.entry(path).or_default() += 1;
        }
        self.trace.push(Operation::Sync {
            file,
            covers: covers.saturating_sub(self.settled),
            failed: done.is_err(),
        });
        done
    }

    pub(crate) fn free_space(&self) -> u64 {
        let Some(space) = self.faults.space else {
            return u64::from(u32::MAX);
        };
        let files = self.shown.names.files();
        let used = files.map(|(_, file)| self.content(file).len() as u64).sum();
        space.saturating_sub(used)
    }
}
