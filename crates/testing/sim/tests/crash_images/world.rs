//! Opening the images of a world, and those of the recoveries from it.

use std::collections::BTreeSet;

use fastrand::Rng;
use quorate_sim::SimDisk;

use crate::budget::Budget;

const IMAGE_COUNT: usize = 4;

/// One of this number of images is recovered, used for some steps and crashed again.
const RECOVERY_INTERVAL: usize = 32;

/// How many boundaries of a recovery and the steps after it are checked.
const SOME_COUNT: usize = 12;

/// How deeply crashes during a recovery are nested.
const DEPTH: usize = 2;

/// A disk with everything that happened on it, and what may be on it at each boundary.
pub(crate) trait World: Sized {
    type Acked: Ord + Clone;

    /// The disk with all its operations.
    fn disk(&self) -> &SimDisk;

    /// What was acknowledged at a boundary.
    fn acked(&self, at: usize) -> Self::Acked;

    /// Opens the image of a power loss at a boundary. Fails when something is wrong with it.
    fn check_image(&self, at: usize, image: &SimDisk) -> Result<(), String>;

    /// Opens the image and does some steps. Returns the new world and the boundary at which it was
    /// open.
    fn recover(&self, at: usize, image: SimDisk, seed: u64) -> Result<(Self, usize), String>;
}

/// Opens images of every boundary until one is wrong or the budget is spent.
pub(crate) fn explore<W: World>(world: &W, seed: u64, budget: &mut Budget) -> Result<(), String> {
    explore_at(world, 0..=world.disk().boundaries(), seed, DEPTH, budget)
}

/// Opens images of some boundaries: the last one, `chosen`, and random ones after `from`.
pub(crate) fn explore_some<W: World>(
    world: &W,
    from: usize,
    chosen: usize,
    seed: u64,
    depth: usize,
    budget: &mut Budget,
) -> Result<(), String> {
    let last = world.disk().boundaries();
    let mut rng = Rng::with_seed(seed);
    let random = (0..SOME_COUNT).map(|_| rng.usize(from..=last));
    let mut boundaries: BTreeSet<_> = random.collect();
    boundaries.extend([chosen, last]);
    explore_at(world, boundaries, seed, depth, budget)
}

/// Explores worlds until the budget is spent, and returns how many there were.
pub(crate) fn explore_all<W: World>(
    run: impl Fn(u64) -> Result<W, String>,
    budget: &mut Budget,
) -> Result<u64, String> {
    let mut seed = 0;
    while !budget.is_spent() {
        let explored = run(seed).and_then(|world| explore(&world, seed, budget));
        explored.map_err(|error| format!("{error}\n  of world {seed}"))?;
        seed += 1;
    }
    Ok(seed)
}

fn explore_at<W: World>(
    world: &W,
    boundaries: impl IntoIterator<Item = usize>,
    seed: u64,
    depth: usize,
    budget: &mut Budget,
) -> Result<(), String> {
    // Neighbouring boundaries have images in common.
    let mut seen: BTreeSet<(u64, W::Acked)> = BTreeSet::new();
    for at in boundaries {
        let acked = world.acked(at);
        let images = world.disk().images(at, IMAGE_COUNT, seed ^ at as u64);
        for (loss, image) in images {
            if budget.is_spent() {
                return Ok(());
            }
            if !seen.insert((image.digest(), acked.clone())) {
                continue;
            }
            budget.opened += 1;
            let checked = match depth > 0 && budget.opened.is_multiple_of(RECOVERY_INTERVAL) {
                true => crash_recovery(world, at, image, seed, depth, budget),
                false => world.check_image(at, &image),
            };
            checked.map_err(|error| format!("{error}\n  after operation {at} with {loss:?}"))?;
        }
    }
    Ok(())
}

/// Simulates power losses during the recovery from an image, and during the steps after it.
fn crash_recovery<W: World>(
    world: &W,
    at: usize,
    image: SimDisk,
    seed: u64,
    depth: usize,
    budget: &mut Budget,
) -> Result<(), String> {
    // Not from the digest of the image, because a log has a random id.
    let seed = seed ^ ((budget.opened as u64) << 32);
    let (recovered, opened) = world.recover(at, image, seed)?;
    let explored = explore_some(&recovered, 0, opened, seed, depth - 1, budget);
    explored.map_err(|error| format!("{error}\n  in a recovery"))
}
