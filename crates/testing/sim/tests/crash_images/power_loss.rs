//! After any power loss all acknowledged changes are there, and none that was not requested.

use crate::{budget::Budget, log_world::LogWorld, store_world::StoreWorld, world::explore_all};

#[test]
fn a_log_keeps_acknowledged_changes_after_every_power_loss() {
    let mut budget = Budget::share(46);
    let worlds = explore_all(|seed| LogWorld::run(seed, None), &mut budget)
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(budget.opened > 0);
    budget.print("log", worlds);
}

#[test]
fn a_log_and_its_store_agree_after_every_power_loss() {
    let mut budget = Budget::share(25);
    let worlds = explore_all(|seed| StoreWorld::run(seed, None), &mut budget)
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(budget.opened > 0);
    budget.print("log and store", worlds);
}
