use super::*;

/// A snapshot of a store that is already dropped.
fn snapshot() -> SharedSnapshot {
    let config = quorate_store::StoreConfig {
        disk: Arc::new(quorate_sim::SimDisk::new()),
        path: "/packets.redb".into(),
        cache_size: 1024 * 1024,
    };
    let metrics = quorate_store::StoreMetrics::register(&quorate_metrics::Registry::new()).unwrap();
    let store = quorate_store::Store::open(config, metrics).unwrap();
    Arc::new(DropInBackground::new(store.snapshot().unwrap()))
}

fn peer(number: u64) -> NodeId {
    NodeId::from(number)
}

/// The purge limit when no peer has more than before.
fn purge_limit(transfers: &SnapshotTransfers) -> Option<LogIndex> {
    transfers.purge_limit(LogIndex(1_000_000), |_| None)
}

async fn pass(time: Duration) {
    tokio::time::sleep(time + Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn entries_that_a_peer_needs_stay_until_it_has_caught_up() {
    let transfers = SnapshotTransfers::default();
    assert_eq!(purge_limit(&transfers), None);
    let (transfer, mut ended) = transfers.begin(peer(1), snapshot(), LogIndex(100));
    assert_eq!(purge_limit(&transfers), Some(LogIndex(100)));
    transfer.complete();
    assert!(transfers.snapshot().is_none(), "its pages may go");
    assert!(ended.try_recv() == Err(oneshot::error::TryRecvError::Empty));
    for match_index in [100, 500, 998_975] {
        let purge_limit =
            transfers.purge_limit(LogIndex(1_000_000), |_| Some(LogIndex(match_index)));
        assert_eq!(purge_limit, Some(LogIndex(match_index)));
    }
    let caught_up = transfers.purge_limit(LogIndex(1_000_000), |_| Some(LogIndex(998_976)));
    assert_eq!(caught_up, None);
}

#[tokio::test(start_paused = true)]
async fn the_slowest_of_several_peers_counts() {
    let transfers = SnapshotTransfers::default();
    let shared = snapshot();
    let (_first, _) = transfers.begin(peer(1), shared.clone(), LogIndex(100));
    let (_second, _) = transfers.begin(peer(2), shared.clone(), LogIndex(200));
    assert_eq!(purge_limit(&transfers), Some(LogIndex(100)));
    assert!(Arc::ptr_eq(&transfers.snapshot().unwrap(), &shared));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_for_long_for_a_peer_without_progress() {
    let transfers = SnapshotTransfers::default();
    let (transfer, ended) = transfers.begin(peer(1), snapshot(), LogIndex(100));
    pass(IDLE_MAX / 2).await;
    transfer.on_progress();
    pass(IDLE_MAX / 2).await;
    assert!(purge_limit(&transfers).is_some());
    // Its link was lost.
    drop(transfer);
    pass(IDLE_MAX / 2).await;
    assert_eq!(purge_limit(&transfers), None);
    assert!(transfers.snapshot().is_none());
    ended.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_for_ever_for_a_peer_that_is_cut_off_again_and_again() {
    let transfers = SnapshotTransfers::default();
    let shared = snapshot();
    let started = Instant::now();
    loop {
        let (transfer, _) = transfers.begin(peer(1), shared.clone(), LogIndex(100));
        pass(IDLE_MAX / 2).await;
        transfer.on_progress();
        drop(transfer);
        if purge_limit(&transfers).is_none() {
            break;
        }
        assert!(started.elapsed() < TRANSFER_DURATION_MAX + IDLE_MAX);
    }
    assert!(started.elapsed() >= TRANSFER_DURATION_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_cannot_be_read_ends_its_transfers_and_no_others() {
    let transfers = SnapshotTransfers::default();
    let damaged = snapshot();
    let (_first, ended) = transfers.begin(peer(1), damaged.clone(), LogIndex(100));
    let (_other, mut other_ended) = transfers.begin(peer(2), snapshot(), LogIndex(200));
    transfers.end_all_of(&damaged);
    ended.await.unwrap_err();
    assert_eq!(purge_limit(&transfers), Some(LogIndex(200)));
    assert!(other_ended.try_recv() == Err(oneshot::error::TryRecvError::Empty));
    transfers.end();
    other_ended.await.unwrap_err();
    assert_eq!(purge_limit(&transfers), None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_for_a_peer_that_rejects_a_snapshot() {
    let transfers = SnapshotTransfers::default();
    let (transfer, _) = transfers.begin(peer(1), snapshot(), LogIndex(100));
    transfer.abandon();
    assert_eq!(purge_limit(&transfers), None);
    assert!(transfers.snapshot().is_none());
}
