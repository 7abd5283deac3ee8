//! What of a trace survives a loss of power.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
};

use fastrand::Rng;

use crate::{
    Loss,
    state::Medium,
    trace::{FileId, NameChange, Operation},
};

/// How likely it is that something survives, in eighths: one of them for a whole image, so that
/// some have little and some nearly all.
const CHANCES: [u8; 3] = [1, 4, 7];

/// What is left to chance.
pub(crate) struct Luck {
    pub(crate) loss: Loss,
    rng: Rng,
    chance: u8,
}

impl Luck {
    pub(crate) fn new(loss: Loss) -> Self {
        // Hashed, as neighbouring seeds begin alike.
        let mut hasher = DefaultHasher::new();
        loss.hash(&mut hasher);
        let mut rng = Rng::with_seed(hasher.finish());
        let chance = CHANCES[rng.usize(..CHANCES.len())];
        Self { loss, rng, chance }
    }

    /// How many of `count` things survive that keep their order.
    fn prefix(&mut self, count: usize) -> usize {
        match self.loss {
            Loss::Everything => 0,
            Loss::Nothing => count,
            Loss::Torn(_) | Loss::Reordered(_) => self.rng.usize(..=count),
        }
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.rng.u8(..8) < self.chance
    }
}

/// The changes of names that survive, in order.
pub(crate) fn surviving_names<'a>(
    operations: &'a [Operation],
    luck: &mut Luck,
) -> impl Iterator<Item = &'a NameChange> {
    let mut unsynced: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (position, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Name(change) => unsynced.entry(change.dir()).or_default().push(position),
            Operation::SyncDir { dir } => drop(unsynced.remove(dir)),
            _ => {}
        }
    }
    let mut lost = vec![false; operations.len()];
    for positions in unsynced.values() {
        let kept = luck.prefix(positions.len());
        for position in &positions[kept..] {
            lost[*position] = true;
        }
    }
    let survivors = operations.iter().zip(lost).filter(|(_, lost)| !lost);
    survivors.filter_map(|(operation, _)| match operation {
        Operation::Name(change) => Some(change),
        _ => None,
    })
}

/// What becomes of the bytes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Durable,
    Unsynced,
    /// The last of its file that is unsynced.
    Last,
    Dropped,
}

/// What is known of each operation before anything is left to chance, and which sizes survive.
pub(crate) struct Survival {
    pub(crate) fates: Vec<Fate>,
    /// Of those that change one.
    pub(crate) size_survives: Vec<bool>,
}

/// What is not durable of a file, by the positions of its operations.
#[derive(Default)]
struct Pending {
    size: usize,
    writes: Vec<usize>,
    sizes: Vec<usize>,
}

impl Survival {
    pub(crate) fn new(base: &Medium, operations: &[Operation], luck: &mut Luck) -> Self {
        let mut survival = Self {
            fates: vec![Fate::Unsynced; operations.len()],
            size_survives: vec![false; operations.len()],
        };
        let mut files: BTreeMap<FileId, Pending> = BTreeMap::new();
        for (file, content) in &base.contents {
            files.entry(*file).or_default().size = content.size();
        }
        for (position, operation) in operations.iter().enumerate() {
            survival.note(&mut files, position, operation);
        }
        for pending in files.values() {
            let kept = luck.prefix(pending.sizes.len());
            for position in &pending.sizes[kept..] {
                survival.size_survives[*position] = false;
            }
            if let Some(last) = pending.writes.last() {
                survival.fates[*last] = Fate::Last;
            }
        }
        survival
    }

    fn note(
        &mut self,
        files: &mut BTreeMap<FileId, Pending>,
        position: usize,
        operation: &Operation,
    ) {
        match operation {
            Operation::Write {
                file,
                offset,
                bytes,
            } => {
                let pending = files.entry(*file).or_default();
                pending.writes.push(position);
                if offset + bytes.len() > pending.size {
                    pending.size = offset + bytes.len();
                    pending.sizes.push(position);
                    self.size_survives[position] = true;
                }
            }
            Operation::SetSize { file, size } => {
                let pending = files.entry(*file).or_default();
                pending.size = *size;
                pending.sizes.push(position);
                self.size_survives[position] = true;
            }
            Operation::Loss { file, size } => files.entry(*file).or_default().size = *size,
            Operation::Sync {
                file,
                covers,
                failed,
            } => {
                let pending = files.entry(*file).or_default();
                let fate = match failed {
                    true => Fate::Dropped,
                    false => Fate::Durable,
                };
                let covered = pending.writes.partition_point(|write| write < covers);
                for write in pending.writes.drain(..covered) {
                    self.fates[write] = fate;
                }
                // Sizes are in the journal, which forgets none: they wait for the next sync.
                if !failed {
                    pending.sizes.retain(|change| change >= covers);
                }
            }
            Operation::Name(_) | Operation::SyncDir { .. } | Operation::Damage { .. } => {}
        }
    }
}
