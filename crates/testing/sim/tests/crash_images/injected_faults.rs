//! Each injected bug is found. Otherwise the images would prove nothing.

use quorate_log::InjectedFault;

use crate::{
    budget::Budget,
    damage::damage_logs,
    log_world::LogWorld,
    store_node::Misuse,
    store_world::StoreWorld,
    world::{World, explore_all},
};

/// Each bug must be found within this number of images.
const IMAGE_COUNT_MAX: usize = 2_000;

fn assert_found<W: World>(bug: &str, run: impl Fn(u64) -> Result<W, String>) {
    let mut budget = Budget::new(IMAGE_COUNT_MAX);
    let found = explore_all(run, &mut budget);
    report(bug, budget.opened, found.err());
}

fn report(bug: &str, images: usize, found: Option<String>) {
    let failure = found.unwrap_or_else(|| panic!("{bug} was not found in {images} images"));
    let failure = failure.lines().next().unwrap_or_default();
    println!("{bug}: found after {images} images: {failure}");
}

fn assert_fault_is_found(injected_fault: InjectedFault) {
    assert_found(&format!("{injected_fault:?}"), |seed| {
        LogWorld::run(seed, Some(injected_fault))
    });
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    assert_fault_is_found(InjectedFault::AckBeforeSync);
}

#[test]
fn a_new_segment_without_a_sync_is_found() {
    assert_fault_is_found(InjectedFault::NoSyncAtSegmentChange);
}

#[test]
fn a_vote_without_a_sync_is_found() {
    assert_fault_is_found(InjectedFault::VoteNotSynced);
}

#[test]
fn a_recovery_that_cuts_off_synced_groups_is_found() {
    let mut budget = Budget::new(IMAGE_COUNT_MAX);
    let found = damage_logs(Some(InjectedFault::CutBelowSynced), &mut budget);
    report("CutBelowSynced", budget.opened, found.err());
}

#[test]
fn a_checkpoint_before_the_sync_of_its_log_is_found() {
    let misuse = Misuse::CheckpointBeforeSync;
    assert_found(&format!("{misuse:?}"), |seed| {
        StoreWorld::run(seed, Some(misuse))
    });
}
