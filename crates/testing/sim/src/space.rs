//! The sectors of a file that use space on the disk.

use std::ops::Range;

use quorate_disk::SECTOR_SIZE;

/// The allocated sectors of a file. A sector that was never written or reserved is a hole and uses
/// no space.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllocatedSectors {
    is_allocated: Vec<bool>,
    count: usize,
}

impl AllocatedSectors {
    /// All sectors of a file of this size.
    pub(crate) fn without_holes(size: usize) -> Self {
        let count = size.div_ceil(SECTOR_SIZE);
        Self {
            is_allocated: vec![true; count],
            count,
        }
    }

    /// The space they use, in bytes.
    pub(crate) fn size(&self) -> u64 {
        (self.count * SECTOR_SIZE) as u64
    }

    /// Whether some of these bytes of the file are in a hole.
    pub(crate) fn has_hole_in(&self, range: &Range<usize>) -> bool {
        let mut sectors = range.start / SECTOR_SIZE..range.end.div_ceil(SECTOR_SIZE);
        sectors.any(|sector| self.is_allocated.get(sector) != Some(&true))
    }

    /// Allocates these bytes of the file, with `free` bytes on the disk. When the disk is full,
    /// returns the offset of the first byte without space as the error.
    pub(crate) fn allocate(&mut self, range: Range<usize>, mut free: u64) -> Result<(), usize> {
        for sector in range.start / SECTOR_SIZE..range.end.div_ceil(SECTOR_SIZE) {
            if self.is_allocated.get(sector) == Some(&true) {
                continue;
            }
            if free < SECTOR_SIZE as u64 {
                return Err((sector * SECTOR_SIZE).max(range.start));
            }
            free -= SECTOR_SIZE as u64;
            let count = self.is_allocated.len().max(sector + 1);
            self.is_allocated.resize(count, false);
            self.is_allocated[sector] = true;
            self.count += 1;
        }
        Ok(())
    }

    /// Frees the sectors after the end of a file of this size.
    pub(crate) fn truncate(&mut self, size: usize) {
        let kept = size.div_ceil(SECTOR_SIZE).min(self.is_allocated.len());
        let freed = self.is_allocated.drain(kept..);
        self.count -= freed.filter(|is_allocated| *is_allocated).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_is_allocated_once_and_freed() {
        let mut sectors = AllocatedSectors::default();
        sectors.allocate(600..601, 512).unwrap();
        sectors.allocate(512..1024, 0).unwrap();
        assert_eq!(sectors.size(), 512, "the first is a hole");
        assert!(!sectors.has_hole_in(&(512..1024)) && sectors.has_hole_in(&(511..1024)));
        assert_eq!(sectors.allocate(100..2000, 512), Err(1024));
        assert_eq!(sectors.size(), 1024);
        sectors.truncate(513);
        assert_eq!(sectors.size(), 1024);
        sectors.truncate(512);
        assert_eq!(sectors.size(), 512);
        assert_eq!(AllocatedSectors::without_holes(513).size(), 1024);
    }
}
