//! The medium that a trace leaves.
//!
//! A trace is gone through twice: once for what must survive of it, and once to write what does.
//! What survives of a write is a sector as the kernel showed it then, with all that earlier writes
//! did to it, as the kernel writes pages and not calls.

use std::{collections::BTreeMap, ops::Range};

use quorate_disk::SECTOR_SIZE;

use crate::{
    image::Loss,
    state::Medium,
    survival::{Fate, Luck, Survival, surviving_names},
    trace::{self, Contents, FileId, Operation},
};

/// What the medium has after `operations` on `base` and a loss of power.
pub(crate) fn medium(base: &Medium, operations: &[Operation], loss: Loss) -> Medium {
    let mut luck = Luck::new(loss);
    let mut names = base.names.clone();
    for change in surviving_names(operations, &mut luck) {
        names.apply(change);
    }
    let survival = Survival::new(base, operations, &mut luck);
    let contents = contents(base, operations, &survival, &mut luck);
    Medium { names, contents }.reachable()
}

/// Files as they were shown and as the medium has them, while a trace is replayed.
struct Replay<'a> {
    shown: Contents,
    kept: Contents,
    /// Where a cut was lost: what was written behind it went to blocks that the file has not got.
    lost_cuts: BTreeMap<FileId, usize>,
    luck: &'a mut Luck,
}

fn contents(
    base: &Medium,
    operations: &[Operation],
    survival: &Survival,
    luck: &mut Luck,
) -> Contents {
    let mut replay = Replay {
        shown: base.contents.clone(),
        kept: base.contents.clone(),
        lost_cuts: BTreeMap::new(),
        luck,
    };
    for (position, operation) in operations.iter().enumerate() {
        let (fate, size_survives) = (survival.fates[position], survival.size_survives[position]);
        replay.apply(operation, fate, size_survives);
    }
    replay.kept
}

impl Replay<'_> {
    fn apply(&mut self, operation: &Operation, fate: Fate, size_survives: bool) {
        match operation {
            Operation::Write {
                file,
                offset,
                bytes,
            } => {
                trace::write(&mut self.shown, *file, *offset, bytes);
                let end = offset + bytes.len();
                if size_survives && self.kept_size(*file) < end {
                    trace::resize(&mut self.kept, *file, end);
                }
                self.keep(*file, *offset..end, fate);
            }
            Operation::SetSize { file, size } => {
                trace::resize(&mut self.shown, *file, *size);
                match size_survives {
                    true => trace::resize(&mut self.kept, *file, *size),
                    false => {
                        let cut = self.lost_cuts.entry(*file).or_insert(*size);
                        *cut = (*cut).min(*size);
                    }
                }
            }
            Operation::Damage {
                file,
                offset,
                bytes,
            } => {
                trace::write(&mut self.shown, *file, *offset, bytes);
                let inside = self
                    .kept_size(*file)
                    .saturating_sub(*offset)
                    .min(bytes.len());
                if inside > 0 {
                    trace::write(&mut self.kept, *file, *offset, &bytes[..inside]);
                }
            }
            Operation::Loss { file, size } => {
                trace::resize(&mut self.shown, *file, *size);
                let size = self.kept_size(*file).min(*size);
                trace::resize(&mut self.kept, *file, size);
            }
            Operation::Sync { .. } | Operation::Name(_) | Operation::SyncDir { .. } => {}
        }
    }

    fn kept_size(&self, file: FileId) -> usize {
        self.kept.get(&file).map_or(0, |content| content.len())
    }

    /// Keeps what survives of a write.
    fn keep(&mut self, file: FileId, range: Range<usize>, fate: Fate) {
        if range.is_empty() {
            return;
        }
        let sectors = range.start / SECTOR_SIZE..range.end.div_ceil(SECTOR_SIZE);
        if fate == Fate::Durable {
            return self.copy(file, sectors);
        }
        match self.luck.loss {
            Loss::Everything => {}
            Loss::Nothing if fate == Fate::Dropped => {}
            Loss::Nothing => self.copy(file, sectors),
            Loss::Torn(_) => {
                for sector in sectors {
                    if self.luck.coin() {
                        self.copy(file, sector..sector + 1);
                    }
                }
            }
            Loss::Reordered(_) => {
                if fate == Fate::Last || self.luck.coin() {
                    self.copy(file, sectors);
                }
            }
        }
    }

    /// Brings sectors to the medium as they are shown, as far as the file goes there.
    fn copy(&mut self, file: FileId, sectors: Range<usize>) {
        let reach = self.lost_cuts.get(&file).copied().unwrap_or(usize::MAX);
        let reach = reach.checked_next_multiple_of(SECTOR_SIZE).unwrap_or(reach);
        let Some(shown) = self.shown.get(&file) else {
            return;
        };
        let end = (sectors.end * SECTOR_SIZE)
            .min(shown.len())
            .min(self.kept_size(file))
            .min(reach);
        let range = sectors.start * SECTOR_SIZE..end;
        if !range.is_empty() {
            trace::write(&mut self.kept, file, range.start, &shown[range.clone()]);
        }
    }
}
