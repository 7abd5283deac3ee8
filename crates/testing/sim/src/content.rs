//! The bytes of a file.

use std::{collections::BTreeMap, sync::Arc};

use quorate_disk::SECTOR_SIZE;

use crate::trace::FileId;

/// The contents of all files. A shared content is copied when it is written.
pub(crate) type Contents = BTreeMap<FileId, Arc<Content>>;

type Sector = [u8; SECTOR_SIZE];

const ZEROS: Sector = [0; SECTOR_SIZE];

/// The sectors of a file. Equal sectors are shared between contents, because a disk has many
/// images. A missing sector is all zeros, and so are the bytes after the end of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    size: usize,
    sectors: BTreeMap<usize, Arc<Sector>>,
}

impl Content {
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Fills `buffer` from `offset`. Returns false when the file is too short.
    pub(crate) fn read(&self, mut offset: usize, mut buffer: &mut [u8]) -> bool {
        if offset
            .checked_add(buffer.len())
            .is_none_or(|end| end > self.size)
        {
            return false;
        }
        while !buffer.is_empty() {
            let (sector, start) = (offset / SECTOR_SIZE, offset % SECTOR_SIZE);
            let len = buffer.len().min(SECTOR_SIZE - start);
            let (part, rest) = buffer.split_at_mut(len);
            let bytes = self.sectors.get(&sector).map_or(&ZEROS, |bytes| bytes);
            part.copy_from_slice(&bytes[start..start + len]);
            (buffer, offset) = (rest, offset + len);
        }
        true
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size];
        self.read(0, &mut bytes);
        bytes
    }

    /// Writes bytes. Extends the file if it is shorter.
    pub(crate) fn write(&mut self, mut offset: usize, mut bytes: &[u8]) {
        self.size = self.size.max(offset + bytes.len());
        while !bytes.is_empty() {
            let (sector, start) = (offset / SECTOR_SIZE, offset % SECTOR_SIZE);
            let (part, rest) = bytes.split_at(bytes.len().min(SECTOR_SIZE - start));
            self.sector_mut(sector)[start..start + part.len()].copy_from_slice(part);
            (bytes, offset) = (rest, offset + part.len());
        }
    }

    pub(crate) fn set_size(&mut self, size: usize) {
        if size < self.size {
            self.sectors.split_off(&size.div_ceil(SECTOR_SIZE));
            let (sector, end) = (size / SECTOR_SIZE, size % SECTOR_SIZE);
            if end > 0 && self.sectors.contains_key(&sector) {
                self.sector_mut(sector)[end..].fill(0);
            }
        }
        self.size = size;
    }

    /// Copies a sector from another content, up to the end of this file.
    pub(crate) fn copy_sector(&mut self, sector: usize, from: &Self) {
        let size = self.size;
        match from.sectors.get(&sector) {
            Some(bytes) => drop(self.sectors.insert(sector, bytes.clone())),
            None => drop(self.sectors.remove(&sector)),
        }
        // Zeroes the bytes after the end.
        self.size = self.size.max((sector + 1) * SECTOR_SIZE);
        self.set_size(size);
    }

    /// The sectors that are not all zeros.
    pub(crate) fn sectors(&self) -> impl Iterator<Item = (usize, &Sector)> {
        let sectors = self
            .sectors
            .iter()
            .map(|(sector, bytes)| (*sector, &**bytes));
        sectors.filter(|(_, bytes)| **bytes != ZEROS)
    }

    fn sector_mut(&mut self, sector: usize) -> &mut Sector {
        Arc::make_mut(
            self.sectors
                .entry(sector)
                .or_insert_with(|| Arc::new(ZEROS)),
        )
    }
}

/// The content of a file, to change it.
pub(crate) fn content_mut(contents: &mut Contents, file: FileId) -> &mut Content {
    Arc::make_mut(contents.entry(file).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &[u8]) -> Content {
        let mut content = Content::default();
        content.write(0, bytes);
        content
    }

    #[test]
    fn truncated_bytes_are_zeros_when_the_file_grows_again() {
        let mut cut = content(&[1; 1000]);
        cut.set_size(600);
        cut.set_size(1000);
        assert_eq!(cut.to_vec(), [vec![1; 600], vec![0; 400]].concat());
    }

    #[test]
    fn a_sector_is_copied_up_to_the_end_of_the_file() {
        let mut file = content(&[1; 600]);
        let other = content(&[2; 2000]);
        for sector in 1..4 {
            file.copy_sector(sector, &other);
        }
        assert_eq!(file.size(), 600);
        file.set_size(2000);
        let expected = [vec![1; 512], vec![2; 88], vec![0; 1400]].concat();
        assert_eq!(file.to_vec(), expected);
        file.copy_sector(0, &Content::default());
        assert_eq!(file.to_vec()[..512], [0; 512]);
    }

    #[test]
    fn a_shared_sector_is_copied_before_it_is_written() {
        let first = content(&[1; 600]);
        let mut second = first.clone();
        second.write(10, &[2; 10]);
        assert_eq!(first.to_vec(), [1; 600]);
        assert_eq!(second.to_vec()[10..20], [2; 10]);
    }
}
