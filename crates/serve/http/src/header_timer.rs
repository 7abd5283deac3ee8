//! The timer for the headers of requests.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

/// The timer of one connection of HTTP/1.1, for the headers of all its requests.
///
/// hyper creates a timer for each header and drops it once the header has arrived. Adding a timer
/// to the runtime and removing it costs more than reading a header, but resetting an existing one
/// costs nothing. So each connection has one timer, which is reset to the last deadline.
#[derive(Clone)]
pub(crate) struct HeaderTimer(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl HeaderTimer {
    pub(crate) fn new() -> Self {
        let unset = tokio::time::sleep(Duration::ZERO);
        Self(Arc::new(Mutex::new(Box::pin(unset))))
    }

    fn lock(&self) -> MutexGuard<'_, Pin<Box<tokio::time::Sleep>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer for HeaderTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.lock().as_mut().reset(deadline.into());
        Box::pin(self.clone())
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Future for HeaderTimer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.lock().as_mut().poll(cx)
    }
}

impl Sleep for HeaderTimer {}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_last_deadline_is_in_force() {
        let timer = HeaderTimer::new();
        let started = tokio::time::Instant::now();
        for secs in [5, 3, 4] {
            // Dropped before the deadline, like the timer of a header that has arrived.
            drop(timer.sleep(secs * SECOND));
        }
        timer.sleep(2 * SECOND).await;
        assert_eq!(started.elapsed().as_secs(), 2);
        timer.sleep(SECOND).await;
        assert_eq!(started.elapsed().as_secs(), 3);
    }
}
