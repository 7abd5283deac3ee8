//! After any loss of power all that was acknowledged is there, and nothing that was not told.

use crate::{budget::Budget, log_world::LogWorld, store_world::StoreWorld, world::explore_all};

#[test]
fn a_log_keeps_what_it_acknowledged_through_every_loss_of_power() {
    let mut budget = Budget::share(46);
    let worlds = explore_all(|seed| LogWorld::live(seed, None), &mut budget)
        .unwrap_or_else(|what| panic!("{what}"));
    assert!(budget.opened > 0);
    budget.print("log", worlds);
}

#[test]
fn a_log_and_its_store_agree_after_every_loss_of_power() {
    let mut budget = Budget::share(25);
    let worlds = explore_all(|seed| StoreWorld::live(seed, None), &mut budget)
        .unwrap_or_else(|what| panic!("{what}"));
    assert!(budget.opened > 0);
    budget.print("log and store", worlds);
}
