//! A log with damage is rejected, or opens with everything that it acknowledged.

use fastrand::Rng;
use quorate_log::{InjectedFault, Log};
use quorate_sim::{PowerLoss, SimDisk};

use crate::{
    budget::Budget,
    history::{History, OpenedLog},
    log_node::{LogNode, empty_disk, open_log},
};

const STEP_COUNT: usize = 12;

/// How many bits are flipped in each log, one at a time.
const BIT_COUNT: usize = 40;

/// Flips bits in logs that were closed normally, until the budget is spent. Returns the number of
/// logs and the number of rejected images. Fails when a log opens with less than it acknowledged.
pub(crate) fn damage_logs(
    injected_fault: Option<InjectedFault>,
    budget: &mut Budget,
) -> Result<(u64, usize), String> {
    let (mut seed, mut rejected) = (0, 0);
    while !budget.is_spent() {
        let (disk, history) = run_log(seed, injected_fault)?;
        let mut rng = Rng::with_seed(seed);
        for _ in 0..BIT_COUNT {
            budget.opened += 1;
            let damaged = disk.image(usize::MAX, PowerLoss::Nothing);
            let location = flip_any_bit(&damaged, &mut rng);
            match open_log(&damaged, seed, injected_fault) {
                Ok(log) => check(&log, &history, disk.boundaries())
                    .map_err(|error| format!("{error}\n  with a flipped bit at {location}"))?,
                Err(_) => rejected += 1,
            }
        }
        seed += 1;
    }
    Ok((seed, rejected))
}

fn run_log(seed: u64, injected_fault: Option<InjectedFault>) -> Result<(SimDisk, History), String> {
    let disk = empty_disk();
    let log = open_log(&disk, seed, injected_fault)?;
    let mut node = LogNode::new(&disk, log, History::empty(), seed);
    for _ in 0..STEP_COUNT {
        node.step()
            .map_err(|error| format!("a step failed: {error:?}"))?;
    }
    // The last step may end with a change that has no callback.
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
    // The damage may also be detected when the entry is read.
    match log.read(0..u64::MAX, usize::MAX) {
        Ok(_) => history.check(at, &OpenedLog::new(log)?),
        Err(_) => Ok(()),
    }
}

#[test]
fn no_flipped_bit_loses_acknowledged_changes() {
    let mut budget = Budget::share(5);
    let (worlds, rejected) =
        damage_logs(None, &mut budget).unwrap_or_else(|error| panic!("{error}"));
    assert!(rejected > 0);
    budget.print(&format!("flipped bits, {rejected} rejected"), worlds);
}
