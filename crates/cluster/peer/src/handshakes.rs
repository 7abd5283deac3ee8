//! Handshakes in progress.

use std::{collections::VecDeque, sync::Mutex};

use tokio_util::sync::CancellationToken;

use crate::lock;

/// Limits the number of handshakes by closing the oldest, so that strangers that connect and send nothing
/// cannot keep out peers.
#[derive(Debug)]
pub(crate) struct Handshakes {
    count_max: usize,
    /// Oldest first, including some that have ended.
    by_age: Mutex<VecDeque<CancellationToken>>,
}

impl Handshakes {
    pub(crate) fn new(count_max: usize) -> Self {
        Self {
            count_max,
            by_age: Mutex::default(),
        }
    }

    /// Counts another handshake, and closes the oldest if there are too many.
    pub(crate) fn begin(&self) -> Handshake {
        let handshake = CancellationToken::new();
        let mut by_age = lock(&self.by_age);
        by_age.retain(|earlier| !earlier.is_cancelled());
        if by_age.len() >= self.count_max
            && let Some(oldest) = by_age.pop_front()
        {
            oldest.cancel();
        }
        by_age.push_back(handshake.clone());
        Handshake(handshake)
    }
}

/// A handshake in progress, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Handshake(CancellationToken);

impl Handshake {
    /// Runs `work`. Returns `None` if the handshake was closed before its end.
    pub(crate) async fn run<T>(self, work: impl Future<Output = T>) -> Option<T> {
        self.0.run_until_cancelled(work).await
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_oldest_gives_way_to_another() {
        let handshakes = Handshakes::new(2);
        let [oldest, second, third] = [(); 3].map(|()| handshakes.begin());
        assert_eq!(oldest.run(pending::<()>()).now_or_never(), Some(None));
        assert_eq!(second.run(ready(2)).now_or_never(), Some(Some(2)));
        assert_eq!(third.run(pending::<()>()).now_or_never(), None);
    }

    #[test]
    fn handshakes_that_have_ended_do_not_count() {
        let handshakes = Handshakes::new(2);
        let oldest = handshakes.begin();
        for _ in 0..100 {
            drop(handshakes.begin());
        }
        assert_eq!(oldest.run(ready(1)).now_or_never(), Some(Some(1)));
        assert_eq!(handshakes.by_age.lock().unwrap().len(), 2);
    }
}
