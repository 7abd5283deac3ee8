//! Damage is told, or does no harm: never does a log open with less than it acknowledged.

use fastrand::Rng;
use quorate_log::{InjectedFault, Log};
use quorate_sim::{Loss, SimDisk};

use crate::{
    budget::Budget,
    history::{Found, History},
    log_node::{LogNode, empty_disk, open_log},
};

const STEP_COUNT: usize = 12;

/// Bits turned in each log, one at a time.
const BIT_COUNT: usize = 40;

/// Turns bits in logs that were closed in peace, until the budget is spent or one opens with less
/// than it acknowledged. Returns how many logs there were, and how many images were refused.
pub(crate) fn damage_logs(
    injected_fault: Option<InjectedFault>,
    budget: &mut Budget,
) -> Result<(u64, usize), String> {
    let (mut seed, mut refused) = (0, 0);
    while !budget.is_spent() {
        let (disk, history) = live(seed, injected_fault)?;
        let mut rng = Rng::with_seed(seed);
        for _ in 0..BIT_COUNT {
            budget.opened += 1;
            let damaged = disk.image(usize::MAX, Loss::Nothing);
            let place = flip_any_bit(&damaged, &mut rng);
            match open_log(&damaged, seed, injected_fault) {
                Ok(log) => check(&log, &history, disk.boundaries())
                    .map_err(|what| format!("{what}\n  with a bit turned at {place}"))?,
                Err(_) => refused += 1,
            }
        }
        seed += 1;
    }
    Ok((seed, refused))
}

fn live(seed: u64, injected_fault: Option<InjectedFault>) -> Result<(SimDisk, History), String> {
    let disk = empty_disk();
    let log = open_log(&disk, seed, injected_fault)?;
    let mut node = LogNode::new(&disk, log, History::empty(), seed);
    for _ in 0..STEP_COUNT {
        node.step()
            .map_err(|error| format!("a step failed: {error:?}"))?;
    }
    // The last step may end with something that nobody waits for.
    let synced = node.sync().and_then(|()| node.wait());
    synced.map_err(|error| format!("a sync failed: {error:?}"))?;
    Ok((disk, node.history))
}

fn flip_any_bit(disk: &SimDisk, rng: &mut Rng) -> String {
    let files = disk.files();
    let mut sizes: Vec<_> = files
        .iter()
        .map(|path| disk.read(path).unwrap().len())
        .collect();
    sizes.iter_mut().for_each(|size| *size *= 8);
    let mut bit = rng.usize(..sizes.iter().sum::<usize>());
    for (path, size) in files.iter().zip(sizes) {
        if bit < size {
            disk.flip_bit(path, bit).unwrap();
            return format!("{} bit {bit}", path.display());
        }
        bit -= size;
    }
    unreachable!("a bit is in some file");
}

fn check(log: &Log, history: &History, at: usize) -> Result<(), String> {
    // What was damaged may also be found when it is read, which is as good.
    match log.read(0..u64::MAX, usize::MAX) {
        Ok(_) => history.check(at, &Found::new(log)?),
        Err(_) => Ok(()),
    }
}

#[test]
fn no_turned_bit_takes_what_was_acknowledged() {
    let mut budget = Budget::share(5);
    let (worlds, refused) = damage_logs(None, &mut budget).unwrap_or_else(|what| panic!("{what}"));
    assert!(refused > 0);
    budget.print(&format!("turned bits, {refused} of them refused"), worlds);
}
