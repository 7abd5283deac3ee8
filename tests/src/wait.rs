//! Waits for a condition, with a label and a deadline. Fixed times are only for what must not happen.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often a condition is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a node may take to start and know a leader, on a busy machine.
pub const START_WITHIN: Duration = Duration::from_secs(30);

/// How long live nodes may take to agree on a leader.
pub const LEADER_WITHIN: Duration = Duration::from_secs(20);

/// How long nodes may take to become equal after the last write.
pub const CONVERGE_WITHIN: Duration = Duration::from_secs(60);

/// How long a node may take to stop when told to.
pub const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Calls `look` until it returns a value. After `within` it panics with `what` and the last reason.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(reason) if started.elapsed() >= within => {
                panic!("waited {within:?} for {what}: {reason}")
            }
            Err(_) => sleep(POLL_INTERVAL).await,
        }
    }
}

/// Calls `look` during `span`, and panics with `what` and the reason if it fails.
pub async fn throughout(
    what: &str,
    span: Duration,
    mut look: impl AsyncFnMut() -> Result<(), String>,
) {
    let started = Instant::now();
    while started.elapsed() < span {
        if let Err(reason) = look().await {
            panic!("not for all of {span:?}: {what}: {reason}");
        }
        sleep(POLL_INTERVAL).await;
    }
}
