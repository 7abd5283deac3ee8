//! A redb storage that reads a file but keeps all writes in memory.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_disk::DiskFile;
use redb::StorageBackend;

use crate::backend::CloseState;

/// The unit in which writes are kept, in bytes: the size of redb's pages.
const PAGE_SIZE: usize = 4096;

/// A read-only file for redb. When redb opens a file, it writes a mark that it is open, and a
/// repair. These few pages stay in memory, and the file stays unchanged.
#[derive(Debug)]
pub(crate) struct OverlayBackend {
    file: Arc<dyn DiskFile>,
    closed: CloseState,
    overlay: Mutex<Overlay>,
}

#[derive(Debug)]
struct Overlay {
    pages: BTreeMap<u64, Vec<u8>>,
    size: u64,
    /// How much of the file is still visible. Bytes that were cut off read as zeros.
    file_size: u64,
}

impl OverlayBackend {
    pub(crate) fn new(file: Arc<dyn DiskFile>, closed: CloseState) -> io::Result<Self> {
        let size = file.size()?;
        let overlay = Overlay {
            pages: BTreeMap::new(),
            size,
            file_size: size,
        };
        Ok(Self {
            file,
            closed,
            overlay: Mutex::new(overlay),
        })
    }

    fn overlay(&self) -> io::Result<MutexGuard<'_, Overlay>> {
        self.closed.check()?;
        Ok(self.overlay.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads from `offset`, through the overlay. Bytes after the end are zeros.
    fn read_overlaid(&self, overlay: &Overlay, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        let from_file = overlay.file_size.clamp(offset, end) - offset;
        let (from_file, after_end) = out.split_at_mut(from_file as usize);
        after_end.fill(0);
        if !from_file.is_empty() {
            self.file.read_at(from_file, offset)?;
        }
        let first = offset / PAGE_SIZE as u64;
        for (number, page) in overlay.pages.range(first..end.div_ceil(PAGE_SIZE as u64)) {
            let start = number * PAGE_SIZE as u64;
            let (from, to) = (start.max(offset), (start + PAGE_SIZE as u64).min(end));
            out[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&page[(from - start) as usize..(to - start) as usize]);
        }
        Ok(())
    }
}

impl StorageBackend for OverlayBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.overlay()?.size)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let overlay = self.overlay()?;
        if offset.saturating_add(out.len() as u64) > overlay.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_overlaid(&overlay, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut overlay = self.overlay()?;
        overlay.size = len;
        overlay.file_size = overlay.file_size.min(len);
        overlay.pages.split_off(&len.div_ceil(PAGE_SIZE as u64));
        if let Some(page) = overlay.pages.get_mut(&(len / PAGE_SIZE as u64)) {
            page[(len % PAGE_SIZE as u64) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.closed.check()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut overlay = self.overlay()?;
        let start = offset - offset % PAGE_SIZE as u64;
        let end = (offset + data.len() as u64).next_multiple_of(PAGE_SIZE as u64);
        let mut bytes = vec![0; (end - start) as usize];
        self.read_overlaid(&overlay, start, &mut bytes)?;
        bytes[(offset - start) as usize..][..data.len()].copy_from_slice(data);
        let numbers = start / PAGE_SIZE as u64..;
        let pages = bytes.chunks(PAGE_SIZE).map(<[u8]>::to_vec);
        overlay.pages.extend(numbers.zip(pages));
        overlay.size = overlay.size.max(offset + data.len() as u64);
        Ok(())
    }
}
