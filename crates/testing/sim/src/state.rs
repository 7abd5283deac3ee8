//! All that a disk knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use quorate_disk::SECTOR_SIZE;

use crate::{
    Call,
    content::{Content, Contents, content_mut},
    fault::Faults,
    names::{Names, dir_of, plain},
    space::Sectors,
    trace::{FileId, NameChange, Operation},
};

/// What is durable whatever happens.
#[derive(Debug, Clone, Default)]
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
    /// How many handles a file has.
    pub(crate) open: BTreeMap<FileId, usize>,
    /// What of each file has space.
    sectors: BTreeMap<FileId, Sectors>,
    last_file: u64,
    last_handle: u64,
    /// The process is dead: its handles do nothing any more.
    pub(crate) dead: bool,
}

impl State {
    /// A disk that holds `medium`, all of it durable.
    pub(crate) fn of(medium: Medium) -> Self {
        let last_file = medium.contents.keys().next_back().map_or(0, |file| file.0);
        let contents = medium.contents.iter();
        let sectors = contents.map(|(file, content)| (*file, Sectors::whole(content.size())));
        Self {
            sectors: sectors.collect(),
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
        let named: BTreeSet<_> = self.shown.names.files().map(|(_, file)| file).collect();
        let open = &self.open;
        let contents = &mut self.shown.contents;
        let is_there = |file: &FileId| named.contains(file) || open.contains_key(file);
        contents.retain(|file, _| is_there(file));
        self.sectors.retain(|file, _| is_there(file));
        self.base = self.shown.clone();
    }

    /// Opens a file under a new handle.
    pub(crate) fn open(&mut self, file: FileId) -> u64 {
        *self.open.entry(file).or_default() += 1;
        self.last_handle += 1;
        self.last_handle
    }

    /// Closes a handle, which gives up its lock.
    pub(crate) fn close(&mut self, file: FileId, handle: u64) {
        if self.locks.get(&file) == Some(&handle) {
            self.locks.remove(&file);
        }
        if let Some(count) = self.open.get_mut(&file) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&file);
            }
        }
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

    /// What a file shows. One that is not there any more is empty.
    pub(crate) fn content(&self, file: FileId) -> Arc<Content> {
        let content = self.shown.contents.get(&file);
        content.cloned().unwrap_or_default()
    }

    pub(crate) fn size(&self, file: FileId) -> usize {
        let content = self.shown.contents.get(&file);
        content.map_or(0, |content| content.size())
    }

    /// Writes, as far as there is space and nothing fails.
    pub(crate) fn write(&mut self, file: FileId, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len();
        let path = self.shown.names.path(file);
        let failed = self.faults.check(Call::Write, &path);
        let sectors = self.sectors.entry(file).or_default();
        let failed = failed.and_then(|()| match sectors.lack(&(offset..offset + len)) {
            true => self.faults.check(Call::Space, &path),
            false => Ok(()),
        });
        let taken = self.take(file, offset..offset + len);
        let (done, len) = match (failed, taken) {
            (Err(error), _) => (Err(error), whole_sectors(offset, len / 2)),
            (Ok(()), Err(full_at)) => (
                Err(io::ErrorKind::StorageFull.into()),
                whole_sectors(offset, full_at - offset),
            ),
            (Ok(()), Ok(())) => (Ok(()), len),
        };
        if len > 0 {
            let bytes = bytes[..len].to_vec();
            content_mut(&mut self.shown.contents, file).write(offset, &bytes);
            self.trace.push(Operation::Write {
                file,
                offset,
                bytes,
            });
        }
        done
    }

    /// Cuts a file, or extends it by a hole.
    pub(crate) fn set_size(&mut self, file: FileId, size: usize) -> io::Result<()> {
        self.faults
            .check(Call::Write, &self.shown.names.path(file))?;
        content_mut(&mut self.shown.contents, file).set_size(size);
        self.sectors.entry(file).or_default().cut(size);
        self.trace.push(Operation::SetSize { file, size });
        Ok(())
    }

    /// Extends a file by zeros that have their space.
    pub(crate) fn extend(&mut self, file: FileId, size: usize) -> io::Result<()> {
        self.faults
            .check(Call::Space, &self.shown.names.path(file))?;
        let old_size = self.size(file);
        let taken = self.take(file, old_size..size);
        self.set_size(
            file,
            taken.map_or_else(|full_at| full_at.max(old_size), |()| size),
        )?;
        taken.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    /// Takes space for these bytes of a file, or says where there is none.
    fn take(&mut self, file: FileId, range: Range<usize>) -> Result<(), usize> {
        let free = self.free_space();
        self.sectors.entry(file).or_default().take(range, free)
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
        match self.faults.space {
            Some(space) => space.saturating_sub(self.used_space()),
            None => u64::from(u32::MAX),
        }
    }

    /// The space of all files that have a name or are open.
    pub(crate) fn used_space(&self) -> u64 {
        let named = self.shown.names.files().map(|(_, file)| file);
        let files: BTreeSet<_> = named.chain(self.open.keys().copied()).collect();
        let sectors = files.iter().filter_map(|file| self.sectors.get(file));
        sectors.map(Sectors::size).sum()
    }
}

/// How much of `len` bytes at `offset` is done by a write that fails: no sector in part.
fn whole_sectors(offset: usize, len: usize) -> usize {
    let end = offset + len;
    (end - end % SECTOR_SIZE).saturating_sub(offset)
}
