//! The content of the medium after a trace and a power loss.
//!
//! There are two passes over a trace: the first finds which operations must survive, the second
//! writes those that do. When a sector of a write survives, it has the content that the kernel had
//! then, including earlier writes to it, because the kernel writes pages and not calls.

use std::{collections::BTreeMap, ops::Range};

use quorate_disk::SECTOR_SIZE;

use crate::{
    PowerLoss,
    content::{Contents, content_mut},
    state::Medium,
    survival::{LossSampler, Survival, WriteState, surviving_names},
    trace::{FileId, Operation},
};

/// The medium after `operations` on `base` and a power loss.
pub(crate) fn medium(base: &Medium, operations: &[Operation], loss: PowerLoss) -> Medium {
    let mut sampler = LossSampler::new(loss);
    let mut names = base.names.clone();
    for change in surviving_names(operations, &mut sampler) {
        names.apply(change);
    }
    let survival = Survival::new(base, operations, &mut sampler);
    let contents = contents(base, operations, &survival, &mut sampler);
    Medium { names, contents }.reachable()
}

/// The contents of files while a trace is replayed.
struct Replay<'a> {
    /// As the process reads them.
    visible: Contents,
    /// As they are on the medium.
    durable: Contents,
    /// The sizes of truncations that were lost. Later writes beyond such a size went to blocks that
    /// are not part of the file on the medium.
    lost_truncations: BTreeMap<FileId, usize>,
    sampler: &'a mut LossSampler,
}

fn contents(
    base: &Medium,
    operations: &[Operation],
    survival: &Survival,
    sampler: &mut LossSampler,
) -> Contents {
    let mut replay = Replay {
        visible: base.contents.clone(),
        durable: base.contents.clone(),
        lost_truncations: BTreeMap::new(),
        sampler,
    };
    for (position, operation) in operations.iter().enumerate() {
        let state = survival.write_states[position];
        replay.apply(operation, state, survival.size_survives[position]);
    }
    replay.durable
}

impl Replay<'_> {
    fn apply(&mut self, operation: &Operation, state: WriteState, size_survives: bool) {
        match operation {
            Operation::Write {
                file,
                offset,
                bytes,
            } => {
                content_mut(&mut self.visible, *file).write(*offset, bytes);
                let end = offset + bytes.len();
                if size_survives && self.durable_size(*file) < end {
                    content_mut(&mut self.durable, *file).set_size(end);
                }
                self.write(*file, *offset..end, state);
            }
            Operation::SetSize { file, size } => {
                content_mut(&mut self.visible, *file).set_size(*size);
                match size_survives {
                    true => content_mut(&mut self.durable, *file).set_size(*size),
                    false => {
                        let lost = self.lost_truncations.entry(*file).or_insert(*size);
                        *lost = (*lost).min(*size);
                    }
                }
            }
            Operation::Damage {
                file,
                offset,
                bytes,
            } => {
                content_mut(&mut self.visible, *file).write(*offset, bytes);
                let inside = self
                    .durable_size(*file)
                    .saturating_sub(*offset)
                    .min(bytes.len());
                if inside > 0 {
                    content_mut(&mut self.durable, *file).write(*offset, &bytes[..inside]);
                }
            }
            Operation::MediumTruncated { file, size } => {
                content_mut(&mut self.visible, *file).set_size(*size);
                let size = self.durable_size(*file).min(*size);
                content_mut(&mut self.durable, *file).set_size(size);
            }
            Operation::Sync { .. } | Operation::Name(_) | Operation::SyncDir { .. } => {}
        }
    }

    fn durable_size(&self, file: FileId) -> usize {
        self.durable.get(&file).map_or(0, |content| content.size())
    }

    /// Writes the sectors of a write that survive.
    fn write(&mut self, file: FileId, range: Range<usize>, state: WriteState) {
        if range.is_empty() {
            return;
        }
        let sectors = range.start / SECTOR_SIZE..range.end.div_ceil(SECTOR_SIZE);
        if state == WriteState::Durable {
            return self.copy(file, sectors);
        }
        match self.sampler.loss {
            PowerLoss::Everything => {}
            PowerLoss::Nothing if state == WriteState::Dropped => {}
            PowerLoss::Nothing => self.copy(file, sectors),
            PowerLoss::Torn(_) => {
                for sector in sectors {
                    if self.sampler.survives() {
                        self.copy(file, sector..sector + 1);
                    }
                }
            }
            PowerLoss::Reordered(_) => {
                if state == WriteState::LastUnsynced || self.sampler.survives() {
                    self.copy(file, sectors);
                }
            }
        }
    }

    /// Copies visible sectors to the medium, up to the end of the file there.
    fn copy(&mut self, file: FileId, sectors: Range<usize>) {
        let Some(visible) = self.visible.get(&file) else {
            return;
        };
        let lost = self.lost_truncations.get(&file);
        let end = lost.map_or(sectors.end, |size| {
            sectors.end.min(size.div_ceil(SECTOR_SIZE))
        });
        let durable = content_mut(&mut self.durable, file);
        for sector in sectors.start..end {
            durable.copy_sector(sector, visible);
        }
    }
}
