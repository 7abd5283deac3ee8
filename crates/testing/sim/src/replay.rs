//! The medium that a trace leaves.
//!
//! A trace is gone through twice: once for what must survive of it, and once to write what does.
//! What survives of a write is a sector as the kernel showed it then, with all that earlier writes
//! did to it, as the kernel writes pages and not calls.

use std::{collections::BTreeMap, ops::Range};

use quorate_disk::SECTOR_SIZE;

use crate::{
    Loss,
    content::{Contents, content_mut},
    state::Medium,
    survival::{Fate, Luck, Survival, surviving_names},
    trace::{FileId, Operation},
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
                content_mut(&mut self.shown, *file).write(*offset, bytes);
                let end = offset + bytes.len();
                if size_survives && self.kept_size(*file) < end {
                    content_mut(&mut self.kept, *file).set_size(end);
                }
                self.keep(*file, *offset..end, fate);
            }
            Operation::SetSize { file, size } => {
                content_mut(&mut self.shown, *file).set_size(*size);
                match size_survives {
                    true => content_mut(&mut self.kept, *file).set_size(*size),
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
                content_mut(&mut self.shown, *file).write(*offset, bytes);
                let inside = self
                    .kept_size(*file)
                    .saturating_sub(*offset)
                    .min(bytes.len());
                if inside > 0 {
                    content_mut(&mut self.kept, *file).write(*offset, &bytes[..inside]);
                }
            }
            Operation::Loss { file, size } => {
                content_mut(&mut self.shown, *file).set_size(*size);
                let size = self.kept_size(*file).min(*size);
                content_mut(&mut self.kept, *file).set_size(size);
            }
            Operation::Sync { .. } | Operation::Name(_) | Operation::SyncDir { .. } => {}
        }
    }

    fn kept_size(&self, file: FileId) -> usize {
        self.kept.get(&file).map_or(0, |content| content.size())
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
        let Some(shown) = self.shown.get(&file) else {
            return;
        };
        let cut = self.lost_cuts.get(&file);
        let end = cut.map_or(sectors.end, |cut| {
            sectors.end.min(cut.div_ceil(SECTOR_SIZE))
        });
        let kept = content_mut(&mut self.kept, file);
        for sector in sectors.start..end {
            kept.copy_sector(sector, shown);
        }
    }
}
