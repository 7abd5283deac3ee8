//! The space of a disk, and which sectors of a file have some.

use std::ops::Range;

use quorate_disk::SECTOR_SIZE;

/// The sectors of a file that have space. One that was never written nor reserved has none, though
/// the file goes on behind it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sectors {
    taken: Vec<bool>,
    count: usize,
}

impl Sectors {
    /// Those of a file of this size without holes.
    pub(crate) fn whole(size: usize) -> Self {
        let count = size.div_ceil(SECTOR_SIZE);
        Self {
            taken: vec![true; count],
            count,
        }
    }

    /// The space they have, in bytes.
    pub(crate) fn size(&self) -> u64 {
        (self.count * SECTOR_SIZE) as u64
    }

    /// Whether some of these bytes of the file have no space.
    pub(crate) fn lack(&self, range: &Range<usize>) -> bool {
        let mut sectors = range.start / SECTOR_SIZE..range.end.div_ceil(SECTOR_SIZE);
        sectors.any(|sector| self.taken.get(sector) != Some(&true))
    }

    /// Takes space for these bytes of the file, of which there are `free` on the disk. Says where
    /// the disk was full, if it was.
    pub(crate) fn take(&mut self, range: Range<usize>, mut free: u64) -> Result<(), usize> {
        for sector in range.start / SECTOR_SIZE..range.end.div_ceil(SECTOR_SIZE) {
            if self.taken.get(sector) == Some(&true) {
                continue;
            }
            if free < SECTOR_SIZE as u64 {
                return Err((sector * SECTOR_SIZE).max(range.start));
            }
            free -= SECTOR_SIZE as u64;
            self.taken.resize(self.taken.len().max(sector + 1), false);
            self.taken[sector] = true;
            self.count += 1;
        }
        Ok(())
    }

    /// Gives back what lies behind the end of a file of this size.
    pub(crate) fn cut(&mut self, size: usize) {
        let kept = size.div_ceil(SECTOR_SIZE).min(self.taken.len());
        let gone = self.taken.drain(kept..).filter(|taken| *taken).count();
        self.count -= gone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_is_taken_once_and_given_back() {
        let mut sectors = Sectors::default();
        sectors.take(600..601, 512).unwrap();
        sectors.take(512..1024, 0).unwrap();
        assert_eq!(sectors.size(), 512, "the first is a hole");
        assert!(!sectors.lack(&(512..1024)) && sectors.lack(&(511..1024)));
        assert_eq!(sectors.take(100..2000, 512), Err(1024));
        assert_eq!(sectors.size(), 1024);
        sectors.cut(513);
        assert_eq!(sectors.size(), 1024);
        sectors.cut(512);
        assert_eq!((sectors.size(), Sectors::whole(513).size()), (512, 1024));
    }
}
