//! Damage of the medium.

use std::{io, ops::Range, path::Path};

use crate::{
    SimDisk,
    content::content_mut,
    state::State,
    trace::{FileId, Operation},
};

/// Damage is on the medium and visible immediately. It counts as an operation. A range must be
/// inside the file.
impl SimDisk {
    /// Flips one bit of a file.
    pub fn flip_bit(&self, path: impl AsRef<Path>, bit: usize) -> io::Result<()> {
        self.damage(path.as_ref(), |content| {
            let byte = content.get_mut(bit / 8)?;
            *byte ^= 1 << (bit % 8);
            Some(bit / 8..bit / 8 + 1)
        })
    }

    /// Sets a range of bytes to zero.
    pub fn zero(&self, path: impl AsRef<Path>, range: Range<usize>) -> io::Result<()> {
        self.damage(path.as_ref(), |content| {
            content.get_mut(range.clone())?.fill(0);
            Some(range)
        })
    }

    /// Exchanges `len` bytes at `a` with those at `b`, as a misdirected write would.
    pub fn swap(&self, path: impl AsRef<Path>, a: usize, b: usize, len: usize) -> io::Result<()> {
        self.damage(path.as_ref(), |content| {
            let first = content.get(a..a + len)?.to_vec();
            let second = content.get(b..b + len)?.to_vec();
            content[a..a + len].copy_from_slice(&second);
            content[b..b + len].copy_from_slice(&first);
            Some(a.min(b)..a.max(b) + len)
        })
    }

    /// Truncates a file on the medium.
    pub fn truncate(&self, path: impl AsRef<Path>, size: usize) -> io::Result<()> {
        let mut state = self.0.state();
        let file = state.visible.names.file(path.as_ref())?;
        let size = size.min(state.size(file));
        content_mut(&mut state.visible.contents, file).set_size(size);
        state.trace.push(Operation::MediumTruncated { file, size });
        Ok(())
    }

    fn damage(
        &self,
        path: &Path,
        change: impl FnOnce(&mut [u8]) -> Option<Range<usize>>,
    ) -> io::Result<()> {
        let mut state = self.0.state();
        let file = state.visible.names.file(path)?;
        let mut content = state.content(file).to_vec();
        let range = change(&mut content).ok_or(io::ErrorKind::UnexpectedEof)?;
        record(&mut state, file, range.start, content[range].to_vec());
        Ok(())
    }
}

fn record(state: &mut State, file: FileId, offset: usize, bytes: Vec<u8>) {
    content_mut(&mut state.visible.contents, file).write(offset, &bytes);
    state.trace.push(Operation::Damage {
        file,
        offset,
        bytes,
    });
}
