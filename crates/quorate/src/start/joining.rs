//! Joining: asking the members that a token names, until the cluster lets this node in or will not.

use std::time::Duration;

use quorate_peer::JoinError;
use quorate_peer::Joined;
use tokio::time::{Instant, sleep};

/// How long to wait before asking again, at first and at most: members that start need seconds, and
/// an operator who mends a network watches.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long nodes that are started together may take until the first of them answers, before one says
/// that it waits.
const QUIET_START: Duration = Duration::from_secs(1);

/// How long to go on asking when no member takes the token: those that were asked may not have heard
/// of it yet, since it is as new as an operator who copies it is quick.
const NOT_TAKEN_PATIENCE: Duration = Duration::from_secs(10);

/// Asks again and again, ever more slowly, while that may help. Says why it has to, once for each
/// reason.
pub(super) async fn ask_until_told(
    mut ask: impl AsyncFnMut() -> Result<Joined, JoinError>,
) -> Result<Joined, JoinError> {
    let (mut pause, mut told, mut not_taken_since) = (PAUSE_MIN, String::new(), None);
    let begun = Instant::now();
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
        if reason != told && begun.elapsed() >= QUIET_START {
            tracing::warn!(reason, "not let into the cluster yet: asking again");
            told = reason;
        }
        sleep(pause).await;
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use quorate_peer::ClusterId;
    use quorate_state::{JoinRefusal, LogIndex, Term};

    use super::*;

    fn joined() -> Joined {
        Joined {
            id: ClusterId([1; 32]),
            index: LogIndex(7),
            term: Term(4),
            members: Vec::new(),
        }
    }

    /// What comes of joining when members answer this, the last for ever, and how often they were
    /// asked.
    async fn join_when(
        answers: Vec<fn() -> Result<Joined, JoinError>>,
    ) -> (Result<Joined, JoinError>, usize) {
        let mut count = 0;
        let came = ask_until_told(async || {
            let answer = answers[count.min(answers.len() - 1)];
            count += 1;
            answer()
        });
        (came.await, count)
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
    async fn members_are_asked_until_one_can_answer() {
        let answers = vec![unreachable, unavailable, not_taken, || Ok(joined())];
        let (came, count) = join_when(answers).await;
        assert_eq!((came.unwrap(), count), (joined(), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_asked_for_again() {
        let refusal = || Err(JoinError::Refused(JoinRefusal::Used));
        let (came, count) = join_when(vec![unreachable, refusal, || Ok(joined())]).await;
        assert!(matches!(came, Err(JoinError::Refused(JoinRefusal::Used))));
        assert_eq!(count, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_nobody_takes_for_long_is_given_up() {
        let (came, count) = join_when(vec![unreachable, not_taken]).await;
        assert!(matches!(came, Err(JoinError::NotTaken(_))));
        assert!(count > 3, "the token may be too new: {count}");
    }
}
