use super::*;

/// A snapshot of a store that is gone.
fn snapshot() -> SharedSnapshot {
    let config = quorate_store::StoreConfig {
        disk: Arc::new(quorate_sim::SimDisk::new()),
        path: "/packets.redb".into(),
        cache_size: 1024 * 1024,
    };
    let metrics = quorate_store::StoreMetrics::register(&quorate_metrics::Registry::new()).unwrap();
    let store = quorate_store::Store::open(config, metrics).unwrap();
    Arc::new(Offloaded::new(store.snapshot().unwrap()))
}

fn peer(number: u64) -> NodeId {
    NodeId::from(number)
}

/// The floor when no peer has more than it had.
fn floor(transfers: &Transfers) -> Option<LogIndex> {
    transfers.floor(LogIndex(1_000_000), |_| None)
}

async fn pass(time: Duration) {
    tokio::time::sleep(time + Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_needs_stays_until_it_has_caught_up() {
    let transfers = Transfers::default();
    assert_eq!(floor(&transfers), None);
    let (transfer, mut lapsed) = transfers.begin(peer(1), snapshot(), LogIndex(100));
    assert_eq!(floor(&transfers), Some(LogIndex(100)));
    transfer.complete();
    assert!(transfers.snapshot().is_none(), "its pages may go");
    assert!(lapsed.try_recv() == Err(oneshot::error::TryRecvError::Empty));
    for matching in [100, 500, 998_975] {
        let floor = transfers.floor(LogIndex(1_000_000), |_| Some(LogIndex(matching)));
        assert_eq!(floor, Some(LogIndex(matching)));
    }
    let caught_up = transfers.floor(LogIndex(1_000_000), |_| Some(LogIndex(998_976)));
    assert_eq!(caught_up, None);
}

#[tokio::test(start_paused = true)]
async fn the_slowest_of_several_peers_counts() {
    let transfers = Transfers::default();
    let shared = snapshot();
    let (_first, _) = transfers.begin(peer(1), shared.clone(), LogIndex(100));
    let (_second, _) = transfers.begin(peer(2), shared.clone(), LogIndex(200));
    assert_eq!(floor(&transfers), Some(LogIndex(100)));
    assert!(Arc::ptr_eq(&transfers.snapshot().unwrap(), &shared));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_makes_no_progress_holds_nothing_back_for_long() {
    let transfers = Transfers::default();
    let (transfer, lapsed) = transfers.begin(peer(1), snapshot(), LogIndex(100));
    pass(IDLE_MAX / 2).await;
    transfer.on_progress();
    pass(IDLE_MAX / 2).await;
    assert!(floor(&transfers).is_some());
    // Its link was lost.
    drop(transfer);
    pass(IDLE_MAX / 2).await;
    assert_eq!(floor(&transfers), None);
    assert!(transfers.snapshot().is_none());
    lapsed.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_cut_off_again_and_again_holds_nothing_back_for_ever() {
    let transfers = Transfers::default();
    let shared = snapshot();
    let started = Instant::now();
    loop {
        let (transfer, _) = transfers.begin(peer(1), shared.clone(), LogIndex(100));
        pass(IDLE_MAX / 2).await;
        transfer.on_progress();
        drop(transfer);
        if floor(&transfers).is_none() {
            break;
        }
        assert!(started.elapsed() < HELD_DURATION_MAX + IDLE_MAX);
    }
    assert!(started.elapsed() >= HELD_DURATION_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_cannot_be_read_ends_its_transfers_and_no_others() {
    let transfers = Transfers::default();
    let damaged = snapshot();
    let (_first, lapsed) = transfers.begin(peer(1), damaged.clone(), LogIndex(100));
    let (_other, mut holds) = transfers.begin(peer(2), snapshot(), LogIndex(200));
    transfers.end_all_of(&damaged);
    lapsed.await.unwrap_err();
    assert_eq!(floor(&transfers), Some(LogIndex(200)));
    assert!(holds.try_recv() == Err(oneshot::error::TryRecvError::Empty));
    transfers.end();
    holds.await.unwrap_err();
    assert_eq!(floor(&transfers), None);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_a_snapshot_holds_nothing_back() {
    let transfers = Transfers::default();
    let (transfer, _) = transfers.begin(peer(1), snapshot(), LogIndex(100));
    transfer.give_up();
    assert_eq!(floor(&transfers), None);
    assert!(transfers.snapshot().is_none());
}
