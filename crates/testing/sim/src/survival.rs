//! Which operations of a trace survive a power loss.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
};

use fastrand::Rng;

use crate::{
    PowerLoss,
    state::Medium,
    trace::{FileId, NameChange, Operation},
};

/// The probabilities that an operation survives, in eighths. One of them is used for a complete
/// image, so that some images keep few operations and some nearly all.
const PROBABILITIES: [u8; 3] = [1, 4, 7];

/// Decides at random which unsynced operations survive.
pub(crate) struct LossSampler {
    pub(crate) loss: PowerLoss,
    rng: Rng,
    probability: u8,
}

impl LossSampler {
    pub(crate) fn new(loss: PowerLoss) -> Self {
        // The seed is hashed, because consecutive seeds give similar first numbers.
        let mut hasher = DefaultHasher::new();
        loss.hash(&mut hasher);
        let mut rng = Rng::with_seed(hasher.finish());
        let probability = PROBABILITIES[rng.usize(..PROBABILITIES.len())];
        Self {
            loss,
            rng,
            probability,
        }
    }

    /// How many of `count` ordered operations survive: always the first ones.
    fn prefix(&mut self, count: usize) -> usize {
        match self.loss {
            PowerLoss::Everything => 0,
            PowerLoss::Nothing => count,
            PowerLoss::Torn(_) | PowerLoss::Reordered(_) => self.rng.usize(..=count),
        }
    }

    /// Whether a single operation survives.
    pub(crate) fn survives(&mut self) -> bool {
        self.rng.u8(..8) < self.probability
    }
}

/// The changes of names that survive, in order.
pub(crate) fn surviving_names<'a>(
    operations: &'a [Operation],
    sampler: &mut LossSampler,
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
        let kept = sampler.prefix(positions.len());
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

/// The state of a write at the power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteState {
    Durable,
    Unsynced,
    /// The last unsynced write of its file.
    LastUnsynced,
    /// A failed sync has dropped it.
    Dropped,
}

/// For each operation of a trace: the state of a write, and whether a change of a size survives.
pub(crate) struct Survival {
    pub(crate) write_states: Vec<WriteState>,
    pub(crate) size_survives: Vec<bool>,
}

/// The unsynced operations of a file, by their positions in the trace.
#[derive(Default)]
struct PendingOperations {
    /// The size of the file after all operations so far.
    size: usize,
    writes: Vec<usize>,
    sizes: Vec<usize>,
}

impl Survival {
    pub(crate) fn new(base: &Medium, operations: &[Operation], sampler: &mut LossSampler) -> Self {
        let mut survival = Self {
            write_states: vec![WriteState::Unsynced; operations.len()],
            size_survives: vec![false; operations.len()],
        };
        let mut files: BTreeMap<FileId, PendingOperations> = BTreeMap::new();
        for (file, content) in &base.contents {
            files.entry(*file).or_default().size = content.size();
        }
        for (position, operation) in operations.iter().enumerate() {
            survival.add(&mut files, position, operation);
        }
        for pending in files.values() {
            let kept = sampler.prefix(pending.sizes.len());
            for position in &pending.sizes[kept..] {
                survival.size_survives[*position] = false;
            }
            if let Some(last) = pending.writes.last() {
                survival.write_states[*last] = WriteState::LastUnsynced;
            }
        }
        survival
    }

    fn add(
        &mut self,
        files: &mut BTreeMap<FileId, PendingOperations>,
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
            Operation::MediumTruncated { file, size } => {
                files.entry(*file).or_default().size = *size;
            }
            Operation::Sync {
                file,
                covers,
                failed,
            } => {
                let pending = files.entry(*file).or_default();
                let state = match failed {
                    true => WriteState::Dropped,
                    false => WriteState::Durable,
                };
                let covered = pending.writes.partition_point(|write| write < covers);
                for write in pending.writes.drain(..covered) {
                    self.write_states[write] = state;
                }
                // A failed sync drops no sizes, because they are in the journal of the file system:
                // they stay pending until the next sync.
                if !failed {
                    pending.sizes.retain(|change| change >= covers);
                }
            }
            Operation::Name(_) | Operation::SyncDir { .. } | Operation::Damage { .. } => {}
        }
    }
}
