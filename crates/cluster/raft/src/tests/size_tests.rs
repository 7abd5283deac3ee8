//! How large log and store become.

use std::sync::atomic::AtomicU64;

use quorate_state::UnixMillis;

use super::{disk_faults::Simulated, *};
use crate::{WallClock, snapshots::checkpoint::purge_log};

/// The retention of a small configuration, in seconds of its own clock.
const RETENTION_SECS: u64 = 8;

/// How often each packet is received again in a retention.
const ROUNDS_PER_RETENTION: u64 = 4;

/// How many retentions the test runs.
const RETENTIONS: u64 = 100;

/// Packets that are received in every round.
const REFRESHED_COUNT: u64 = 200;

/// Packets in each round that are only received once.
const FORGOTTEN_COUNT: u64 = 50;

const PAYLOAD_SIZE: usize = 1_000;

/// A few times the size that is written in one retention, about 1.2 MB.
const LOG_SIZE_MAX: u64 = 4 * 1024 * 1024;

/// A segment that is being written, one that is partly purged, one that is ready, and two spare
/// ones.
const LOG_FILES_SIZE_MAX: u64 = 5 * 4 * 1024 * 1024;

/// Ten times the size of what is stored, about 500 kB. Without removal it would be 22 MB.
const STORE_SIZE_MAX: u64 = 5 * 1024 * 1024;

/// A packet that differs from all others.
fn numbered_packet(number: u64, micros: u64) -> SignedPacket {
    let mut key = [1; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    let mut payload = vec![0; quorate_packet::PAYLOAD_SIZE_MIN - 8];
    payload.extend_from_slice(&micros.to_be_bytes());
    payload.resize(PAYLOAD_SIZE, 7);
    SignedPacket::assume_verified(PublicKey::from_bytes(key), Bytes::from(payload)).unwrap()
}

/// The packets of one round.
fn round_packets(round: u64) -> impl Iterator<Item = SignedPacket> {
    let forgotten = REFRESHED_COUNT + round * FORGOTTEN_COUNT..;
    let forgotten = forgotten.take(FORGOTTEN_COUNT as usize);
    let numbers = (0..REFRESHED_COUNT).chain(forgotten);
    numbers.map(move |number| numbered_packet(number, round + 1))
}

/// Writes a checkpoint of this entry or a later one. While the node writes one on its own, openraft
/// starts no other, so it retries.
async fn checkpoint(node: &Node, index: LogIndex) {
    let written = async {
        while node.context().write_path.raft.view().checkpoint < index {
            node.context().write_path.raft.trigger_checkpoint().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, written)
        .await
        .expect("a checkpoint is written");
}

/// A cluster of one node, with a clock that the test sets.
#[tokio::test(flavor = "multi_thread")]
async fn under_constant_refresh_log_and_store_stay_small() {
    let now_ms = Arc::new(AtomicU64::new(1_700_000_000_000));
    let simulated = Simulated::start_with(1, |config| {
        let now_ms = now_ms.clone();
        config.wall_clock = WallClock::new(move || UnixMillis(now_ms.load(Ordering::Relaxed)));
        config.settings.packets.retention_secs = RETENTION_SECS;
        config.settings.log.kept_count_max = 8;
    })
    .await;
    let node = simulated.cluster.leader();
    let disk = simulated.disks.values().next().unwrap();
    let expiry = &node.context().context;
    let may_expire = async {
        while !node.context().gossip.time().may_expire {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, may_expire)
        .await
        .expect("the time is known");

    for round in 0..RETENTIONS * ROUNDS_PER_RETENTION {
        let puts = round_packets(round).map(|packet| async move { put(node, &packet).await });
        for stored in futures_util::future::join_all(puts).await {
            assert_eq!(stored, Ok(PutOutcome::Stored), "round {round}");
        }
        // Less than the tolerance of the clock, so that time passes without a step.
        let step_ms = RETENTION_SECS * 1_000 / ROUNDS_PER_RETENTION;
        now_ms.fetch_add(step_ms, Ordering::Relaxed);
        expiry.remove_old().await;
        if round % ROUNDS_PER_RETENTION > 0 {
            continue;
        }
        checkpoint(node, node.status().applied_index).await;
        purge_log(
            &node.context().write_path.raft,
            &node.context().log,
            &node.context().config,
        )
        .await;
        until(node, |view| view.purged.lag_behind(view.checkpoint) <= 8).await;
        disk.make_durable();

        let stored_max = REFRESHED_COUNT + (ROUNDS_PER_RETENTION + 2) * FORGOTTEN_COUNT;
        assert!(
            node.context().store.meta().packets.usage.count <= stored_max,
            "round {round}"
        );
        assert!(
            node.context().store.size() <= STORE_SIZE_MAX,
            "round {round}: {}",
            node.context().store.size()
        );
        assert!(node.context().log.size() <= LOG_SIZE_MAX, "round {round}");
        let all_max = LOG_FILES_SIZE_MAX + STORE_SIZE_MAX;
        assert!(
            disk.used_space() <= all_max,
            "round {round}: {}",
            disk.used_space()
        );
    }
    let written = node.context().log.written_size();
    assert!(written > 4 * LOG_FILES_SIZE_MAX, "only {written} bytes");
    simulated.cluster.shutdown().await;
}
