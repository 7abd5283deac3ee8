//! Joining: requests to the members in a token, until the cluster accepts or rejects this node.

use std::time::Duration;

use quorate_peer::JoinError;
use quorate_peer::Joined;
use tokio::time::{Instant, sleep};

/// The first and the longest pause before a retry: starting members need seconds, and an operator who
/// repairs a network waits.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long nodes that start together may take to answer before a warning is logged.
const QUIET_START: Duration = Duration::from_secs(1);

/// How long to retry when no member accepts the token: it may be so new that they have not applied it
/// yet.
const NOT_TAKEN_PATIENCE: Duration = Duration::from_secs(10);

/// Repeats the request with growing pauses while it may succeed. Logs each reason once.
pub(super) async fn request_until_answered(
    mut ask: impl AsyncFnMut() -> Result<Joined, JoinError>,
) -> Result<Joined, JoinError> {
    let (mut pause, mut last_reason, mut not_taken_since) = (PAUSE_MIN, String::new(), None);
    let started = Instant::now();
    loop {
        let error = match ask().await {
            Ok(joined) => return Ok(joined),
            Err(error) => error,
        };
        match error {
            JoinError::NotTaken(_) => {
                let since = *not_taken_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= NOT_TAKEN_PATIENCE {
                    return Err(error);
                }
            }
            _ if error.may_pass() => not_taken_since = None,
            _ => return Err(error),
        }
        let reason = error.to_string();
        if reason != last_reason && started.elapsed() >= QUIET_START {
            tracing::warn!(reason, "not accepted by the cluster yet: retrying");
            last_reason = reason;
        }
        sleep(pause).await;
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use quorate_peer::ClusterId;
    use quorate_state::{JoinRejection, LogIndex, Term};

    use super::*;

    fn joined() -> Joined {
        Joined {
            id: ClusterId([1; 32]),
            index: LogIndex(7),
            term: Term(4),
            members: Vec::new(),
        }
    }

    /// The result of joining with these answers, of which the last repeats, and the number of requests.
    async fn join_when(
        answers: Vec<fn() -> Result<Joined, JoinError>>,
    ) -> (Result<Joined, JoinError>, usize) {
        let mut count = 0;
        let result = request_until_answered(async || {
            let answer = answers[count.min(answers.len() - 1)];
            count += 1;
            answer()
        });
        (result.await, count)
    }

    fn unreachable() -> Result<Joined, JoinError> {
        Err(JoinError::Unreachable(String::new()))
    }

    fn unavailable() -> Result<Joined, JoinError> {
        Err(JoinError::Unavailable(String::new()))
    }

    fn not_taken() -> Result<Joined, JoinError> {
        Err(JoinError::NotTaken(String::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn joining_retries_until_a_member_answers() {
        let answers = vec![unreachable, unavailable, not_taken, || Ok(joined())];
        let (result, count) = join_when(answers).await;
        assert_eq!((result.unwrap(), count), (joined(), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejection_is_not_retried() {
        let rejection = || Err(JoinError::Rejected(JoinRejection::Used));
        let (result, count) = join_when(vec![unreachable, rejection, || Ok(joined())]).await;
        assert!(matches!(
            result,
            Err(JoinError::Rejected(JoinRejection::Used))
        ));
        assert_eq!(count, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn joining_stops_if_no_member_accepts_the_token() {
        let (result, count) = join_when(vec![unreachable, not_taken]).await;
        assert!(matches!(result, Err(JoinError::NotTaken(_))));
        assert!(count > 3, "the token may be too new: {count}");
    }
}
