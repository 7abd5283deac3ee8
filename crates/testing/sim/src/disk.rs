//! The disk in memory.

use std::{
    ffi::OsString,
    hash::{DefaultHasher, Hash, Hasher},
    io, mem,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard},
};

use quorate_disk::{Disk, DiskFile, OpenMode};

use crate::{
    Call,
    file::SimFile,
    names::{dir_of, plain},
    shared::Shared,
    state::{Medium, State},
    trace::{NameChange, Operation},
};

/// A disk in memory. A clone is the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(pub(crate) Arc<Shared>);

impl SimDisk {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(state: State) -> Self {
        Self(Arc::new(Shared::with(state)))
    }

    /// The number of operations since the disk was made or settled. Reads are none.
    #[must_use]
    pub fn boundaries(&self) -> usize {
        self.0.state().trace.len()
    }

    /// Makes all that is shown durable and forgets what led to it: the trace starts anew.
    pub fn settle(&self) {
        self.0.state().settle();
    }

    /// The same disk under a new process: it shows what was written, and what was not synced may
    /// still be lost with the power. The handles of this one fail from now on, locks are free.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut dead = self.0.state();
        let mut state = mem::take(&mut *dead);
        dead.dead = true;
        state.locks.clear();
        state.open.clear();
        state.faults.waiting = 0;
        self.0.changed.notify_all();
        Self::with(state)
    }

    /// All files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.0.state();
        state
            .shown
            .names
            .files()
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// The content of a file, as shown.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let state = self.0.state();
        let file = state.shown.names.file(path.as_ref())?;
        Ok(state.content(file).to_vec())
    }

    /// A number that tells names and contents, as shown, from others.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let state = self.0.state();
        let mut hasher = DefaultHasher::new();
        for (path, file) in state.shown.names.files() {
            path.hash(&mut hasher);
            let content = state.content(file);
            content.size().hash(&mut hasher);
            for sector in content.sectors() {
                sector.hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// How many syncs of files under a path were good, by the names that the files had then.
    #[must_use]
    pub fn sync_count(&self, under: impl AsRef<Path>) -> usize {
        let state = self.0.state();
        let counts = state.sync_counts.iter();
        let under = plain(under.as_ref());
        counts
            .filter(|(path, _)| path.starts_with(&under))
            .map(|(_, count)| count)
            .sum()
    }

    /// Lets the `nth` call from now fail, counted from 1, on files under `under`: the empty path
    /// is above all.
    pub fn fail(&self, call: Call, under: impl AsRef<Path>, nth: usize) {
        self.0
            .state()
            .faults
            .add(call, &plain(under.as_ref()), nth, false);
    }

    /// As [`SimDisk::fail`], and each one after it too, until [`SimDisk::mend`].
    pub fn fail_from(&self, call: Call, under: impl AsRef<Path>, nth: usize) {
        self.0
            .state()
            .faults
            .add(call, &plain(under.as_ref()), nth, true);
    }

    /// Gives all files together `size` bytes, of which those that exist have theirs: the disk may
    /// shrink and grow. Beyond it a write does what it can and fails. Holes take nothing.
    pub fn limit_space(&self, size: u64) {
        self.0.state().faults.space = Some(size);
    }

    /// Leaves `size` bytes free.
    pub fn leave_space(&self, size: u64) {
        let mut state = self.0.state();
        state.faults.space = Some(state.used_space() + size);
    }

    /// Leaves no space for more than there is, nor what is given back: somebody else takes it.
    pub fn fill(&self) {
        self.limit_space(0);
    }

    /// The space that all files take, in bytes.
    #[must_use]
    pub fn used_space(&self) -> u64 {
        self.0.state().used_space()
    }

    /// Ends all failures and gives space again. What a failed sync dropped stays dropped.
    pub fn mend(&self) {
        self.0.state().faults.clear();
    }

    /// Lets syncs of files under `under` wait until [`SimDisk::release_syncs`]. Each makes durable
    /// what was written before it was called.
    pub fn block_syncs(&self, under: impl AsRef<Path>) {
        self.0.state().faults.closed = Some(plain(under.as_ref()));
    }

    pub fn release_syncs(&self) {
        self.0.state().faults.closed = None;
        self.0.changed.notify_all();
    }

    /// Waits until `count` syncs are blocked.
    pub fn wait_for_blocked_syncs(&self, count: usize) {
        let mut state = self.0.state();
        while state.faults.waiting < count {
            state = self.0.wait(state);
        }
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.0.state();
        state.expect_alive()?;
        Ok(state)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.alive()?;
        let file = match (state.shown.names.file(path), mode) {
            (Ok(_), OpenMode::CreateSecret) => Err(io::ErrorKind::AlreadyExists.into()),
            (Err(error), OpenMode::Create | OpenMode::CreateSecret)
                if error.kind() == io::ErrorKind::NotFound =>
            {
                state.make_file(path)
            }
            (found, _) => found,
        }?;
        Ok(Arc::new(SimFile {
            shared: self.0.clone(),
            file,
            handle: state.open(file),
            writable: mode != OpenMode::Read,
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.alive()?.shown.names.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.alive()?.make_dir(dir)?;
        let parents = dir.ancestors().skip(1);
        parents
            .filter(|dir| !dir.as_os_str().is_empty())
            .try_for_each(|dir| self.sync_dir(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let (from, to) = (plain(from), plain(to));
        state.shown.names.file(&from)?;
        // Which of two directories keeps the name after a loss of power is promised nowhere.
        if dir_of(&from) != dir_of(&to) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        state.change_names(NameChange::Rename { from, to })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.alive()?.shown.names.file(&plain(to)) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => self.rename(from, to),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let path = plain(path);
        state.shown.names.file(&path)?;
        state.change_names(NameChange::Remove { path })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let dir = plain(dir);
        state.shown.names.expect_dir(&dir)?;
        state.faults.check(Call::SyncDir, &dir)?;
        state.trace.push(Operation::SyncDir { dir });
        Ok(())
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        let state = self.alive()?;
        state.shown.names.expect_dir(dir)?;
        Ok(state.free_space())
    }
}

impl From<Medium> for SimDisk {
    fn from(medium: Medium) -> Self {
        Self::with(State::of(medium))
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
