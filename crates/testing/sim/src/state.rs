//! The state of a disk.

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
    names::{Names, dir_of, normalize},
    space::AllocatedSectors,
    trace::{FileId, NameChange, Operation},
};

/// Names and contents of a disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Medium {
    pub(crate) names: Names,
    pub(crate) contents: Contents,
}

/// A disk as a process reads it, with the trace of operations that are not durable yet.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The disk as a process reads it.
    pub(crate) visible: Medium,
    /// The medium before the first operation of the trace.
    pub(crate) base: Medium,
    pub(crate) trace: Vec<Operation>,
    /// How many earlier operations are no longer in the trace.
    pub(crate) operations_before_trace: usize,
    pub(crate) faults: Faults,
    /// The number of successful syncs, by the name of the file at the time.
    pub(crate) sync_counts: BTreeMap<PathBuf, usize>,
    /// The handle that has locked a file.
    pub(crate) locks: BTreeMap<FileId, u64>,
    /// The number of open handles of a file.
    pub(crate) open: BTreeMap<FileId, usize>,
    sectors: BTreeMap<FileId, AllocatedSectors>,
    last_file: u64,
    last_handle: u64,
    /// Whether the process was killed: its handles fail.
    pub(crate) dead: bool,
}

impl State {
    /// A disk with this durable content.
    pub(crate) fn from_medium(medium: Medium) -> Self {
        let last_file = medium.contents.keys().next_back().map_or(0, |file| file.0);
        let contents = medium.contents.iter();
        let sectors = contents.map(|(file, content)| {
            let sectors = AllocatedSectors::without_holes(content.size());
            (*file, sectors)
        });
        Self {
            sectors: sectors.collect(),
            visible: medium.clone(),
            base: medium,
            last_file,
            ..Self::default()
        }
    }

    pub(crate) fn check_alive(&self) -> io::Result<()> {
        match self.dead {
            true => Err(io::Error::other("the process is dead")),
            false => Ok(()),
        }
    }

    /// Makes everything durable and clears the trace.
    pub(crate) fn make_durable(&mut self) {
        self.operations_before_trace += self.trace.len();
        self.trace.clear();
        let named: BTreeSet<_> = self.visible.names.files().map(|(_, file)| file).collect();
        let open = &self.open;
        let contents = &mut self.visible.contents;
        let is_reachable = |file: &FileId| named.contains(file) || open.contains_key(file);
        contents.retain(|file, _| is_reachable(file));
        self.sectors.retain(|file, _| is_reachable(file));
        self.base = self.visible.clone();
    }

    /// Opens a file under a new handle.
    pub(crate) fn open(&mut self, file: FileId) -> u64 {
        *self.open.entry(file).or_default() += 1;
        self.last_handle += 1;
        self.last_handle
    }

    /// Closes a handle and releases its lock.
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

    pub(crate) fn create_file(&mut self, path: &Path) -> io::Result<FileId> {
        let path = normalize(path);
        self.visible.names.check_dir(&dir_of(&path))?;
        self.last_file += 1;
        let file = FileId(self.last_file);
        self.change_names(NameChange::File { path, file })?;
        self.visible.contents.insert(file, Arc::default());
        Ok(file)
    }

    pub(crate) fn create_dir(&mut self, dir: &Path) -> io::Result<()> {
        let dir = normalize(dir);
        let mut missing = Vec::new();
        for ancestor in dir.ancestors() {
            match self.visible.names.check_dir(ancestor) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(ancestor),
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
        self.faults.check(Call::ChangeName, &change.dir())?;
        self.visible.names.apply(&change);
        self.trace.push(Operation::Name(change));
        Ok(())
    }

    /// The content of a file, as a process reads it. That of a removed file is empty.
    pub(crate) fn content(&self, file: FileId) -> Arc<Content> {
        let content = self.visible.contents.get(&file);
        content.cloned().unwrap_or_default()
    }

    pub(crate) fn size(&self, file: FileId) -> usize {
        let content = self.visible.contents.get(&file);
        content.map_or(0, |content| content.size())
    }

    /// Writes bytes. On a full disk, or when a failure is injected, it fails with a part written.
    pub(crate) fn write(&mut self, file: FileId, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len();
        let path = self.visible.names.path(file);
        let failed = self.faults.check(Call::Write, &path);
        let sectors = self.sectors.entry(file).or_default();
        let failed = failed.and_then(|()| match sectors.has_hole_in(&(offset..offset + len)) {
            true => self.faults.check(Call::Space, &path),
            false => Ok(()),
        });
        let allocated = self.allocate(file, offset..offset + len);
        let (result, len) = match (failed, allocated) {
            (Err(error), _) => (Err(error), whole_sectors(offset, len / 2)),
            (Ok(()), Err(full_at)) => (
                Err(io::ErrorKind::StorageFull.into()),
                whole_sectors(offset, full_at - offset),
            ),
            (Ok(()), Ok(())) => (Ok(()), len),
        };
        if len > 0 {
            let bytes = bytes[..len].to_vec();
            content_mut(&mut self.visible.contents, file).write(offset, &bytes);
            self.trace.push(Operation::Write {
                file,
                offset,
                bytes,
            });
        }
        result
    }

    /// Truncates a file, or extends it by a hole.
    pub(crate) fn set_size(&mut self, file: FileId, size: usize) -> io::Result<()> {
        self.faults
            .check(Call::Write, &self.visible.names.path(file))?;
        content_mut(&mut self.visible.contents, file).set_size(size);
        self.sectors.entry(file).or_default().truncate(size);
        self.trace.push(Operation::SetSize { file, size });
        Ok(())
    }

    /// Extends a file by allocated zeros.
    pub(crate) fn extend(&mut self, file: FileId, size: usize) -> io::Result<()> {
        self.faults
            .check(Call::Space, &self.visible.names.path(file))?;
        let old_size = self.size(file);
        let allocated = self.allocate(file, old_size..size);
        self.set_size(
            file,
            allocated.map_or_else(|full_at| full_at.max(old_size), |()| size),
        )?;
        allocated.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    /// Allocates these bytes of a file. When the disk is full, returns the offset of the first byte
    /// without space as the error.
    fn allocate(&mut self, file: FileId, range: Range<usize>) -> Result<(), usize> {
        let free = self.free_space();
        self.sectors.entry(file).or_default().allocate(range, free)
    }

    /// Ends a sync. `covers` is the number of operations of the disk when the sync started.
    pub(crate) fn sync(&mut self, file: FileId, covers: usize) -> io::Result<()> {
        let path = self.visible.names.path(file);
        let result = self.faults.check(Call::Sync, &path);
        if result.is_ok() {
            *self.sync_counts.entry(path).or_default() += 1;
        }
        self.trace.push(Operation::Sync {
            file,
            covers: covers.saturating_sub(self.operations_before_trace),
            failed: result.is_err(),
        });
        result
    }

    pub(crate) fn free_space(&self) -> u64 {
        match self.faults.space {
            Some(space) => space.saturating_sub(self.used_space()),
            None => u64::from(u32::MAX),
        }
    }

    /// The space of all files that have a name or are open.
    pub(crate) fn used_space(&self) -> u64 {
        let named = self.visible.names.files().map(|(_, file)| file);
        let files: BTreeSet<_> = named.chain(self.open.keys().copied()).collect();
        let sectors = files.iter().filter_map(|file| self.sectors.get(file));
        sectors.map(AllocatedSectors::size).sum()
    }
}

/// How many of `len` bytes at `offset` a failed write writes: up to the end of a sector.
fn whole_sectors(offset: usize, len: usize) -> usize {
    let end = offset + len;
    (end - end % SECTOR_SIZE).saturating_sub(offset)
}
