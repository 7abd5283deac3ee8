//! The bytes of a file.

use std::{collections::BTreeMap, sync::Arc};

use quorate_disk::SECTOR_SIZE;

use crate::trace::FileId;

/// The contents of files. One that is shared is copied when it is written to.
pub(crate) type Contents = BTreeMap<FileId, Arc<Content>>;

type Sector = [u8; SECTOR_SIZE];

const ZEROS: Sector = [0; SECTOR_SIZE];

/// Sectors, shared with other contents as long as they are the same: a disk has many images. One
/// that is not there is all zeros, and so is what stands behind the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    size: usize,
    sectors: BTreeMap<usize, Arc<Sector>>,
}

impl Content {
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Fills `buffer` from `offset`. False when the file ends before.
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
            let (piece, rest) = buffer.split_at_mut(len);
            let bytes = self.sectors.get(&sector).map_or(&ZEROS, |bytes| bytes);
            piece.copy_from_slice(&bytes[start..start + len]);
            (buffer, offset) = (rest, offset + len);
        }
        true
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size];
        self.read(0, &mut bytes);
        bytes
    }

    /// Writes, and extends a file that is shorter.
    pub(crate) fn write(&mut self, mut offset: usize, mut bytes: &[u8]) {
        self.size = self.size.max(offset + bytes.len());
        while !bytes.is_empty() {
            let (sector, start) = (offset / SECTOR_SIZE, offset % SECTOR_SIZE);
            let (piece, rest) = bytes.split_at(bytes.len().min(SECTOR_SIZE - start));
            self.sector_mut(sector)[start..start + piece.len()].copy_from_slice(piece);
            (bytes, offset) = (rest, offset + piece.len());
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

    /// Makes a sector that of another content, as far as the file goes.
    pub(crate) fn copy_sector(&mut self, sector: usize, from: &Self) {
        let size = self.size;
        match from.sectors.get(&sector) {
            Some(bytes) => drop(self.sectors.insert(sector, bytes.clone())),
            None => drop(self.sectors.remove(&sector)),
        }
        // Cuts what stands behind the end.
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

/// The content of a file, to be changed.
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
    fn what_is_cut_is_zeros_when_the_file_grows_again() {
        let mut cut = content(&[1; 1000]);
        cut.set_size(600);
        cut.set_size(1000);
        assert_eq!(cut.to_vec(), [vec![1; 600], vec![0; 400]].concat());
    }

    #[test]
    fn a_sector_is_taken_over_as_far_as_the_file_goes() {
        let mut file = content(&[1; 600]);
        let other = content(&[2; 2000]);
        for sector in 1..4 {
            file.copy_sector(sector, &other);
        }
        assert_eq!(file.size(), 600);
        file.set_size(2000);
        let taken = [vec![1; 512], vec![2; 88], vec![0; 1400]].concat();
        assert_eq!(file.to_vec(), taken);
        file.copy_sector(0, &Content::default());
        assert_eq!(file.to_vec()[..512], [0; 512]);
    }

    #[test]
    fn what_is_shared_is_copied_before_it_is_written() {
        let first = content(&[1; 600]);
        let mut second = first.clone();
        second.write(10, &[2; 10]);
        assert_eq!(first.to_vec(), [1; 600]);
        assert_eq!(second.to_vec()[10..20], [2; 10]);
    }
}
