//! Slowing down disk work that is not urgent.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How fast a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoSpeed {
    /// As fast as possible: a caller waits for it.
    Fast,
    /// With pauses, so that disk and CPU are available for requests. It takes four times as long.
    /// The speed changes to fast when the next checkpoint waits for this one.
    Gentle,
}

/// How many times as long as the work before it a pause is.
const PAUSE_PER_WORK: u32 = 3;

/// How long to work without a pause: less than a publisher waits for the sync of the Raft log
/// anyway. One sync may take longer, and is followed by a longer pause.
const WORK_MAX: Duration = Duration::from_millis(1);

/// Limits the speed of the thread that works on a file.
#[derive(Debug)]
pub(crate) struct IoThrottle {
    is_gentle: AtomicBool,
    /// The end of the last pause.
    last_pause: Mutex<Instant>,
}

impl Default for IoThrottle {
    fn default() -> Self {
        Self {
            is_gentle: AtomicBool::new(false),
            last_pause: Mutex::new(Instant::now()),
        }
    }
}

impl IoThrottle {
    /// Sets the speed.
    pub(crate) fn set(&self, speed: IoSpeed) {
        *self.last_pause() = Instant::now();
        self.is_gentle
            .store(speed == IoSpeed::Gentle, Ordering::Relaxed);
    }

    /// Sets the speed to fast, because the next checkpoint waits.
    pub(crate) fn stop_pausing(&self) {
        self.is_gentle.store(false, Ordering::Relaxed);
    }

    /// Sleeps when the thread has worked long enough. Must be called often.
    pub(crate) fn pause_if_due(&self) {
        if self.is_gentle.load(Ordering::Relaxed) {
            let mut last_pause = self.last_pause();
            let worked = last_pause.elapsed();
            if worked >= WORK_MAX {
                thread::sleep(worked * PAUSE_PER_WORK);
                *last_pause = Instant::now();
            }
        }
    }

    fn last_pause(&self) -> std::sync::MutexGuard<'_, Instant> {
        let last_pause = self.last_pause.lock();
        last_pause.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gentle_work_pauses_until_it_must_be_fast() {
        let throttle = IoThrottle::default();
        let work = || {
            let started = Instant::now();
            while started.elapsed() < WORK_MAX {}
            let worked = started.elapsed();
            throttle.pause_if_due();
            (worked, started.elapsed())
        };
        throttle.set(IoSpeed::Gentle);
        let (worked, took) = work();
        assert!(took >= worked * (1 + PAUSE_PER_WORK));
        let last_pause = *throttle.last_pause();
        for make_fast in [
            |throttle: &IoThrottle| throttle.stop_pausing(),
            |throttle: &IoThrottle| throttle.set(IoSpeed::Fast),
        ] {
            throttle.set(IoSpeed::Gentle);
            make_fast(&throttle);
            let before = *throttle.last_pause();
            work();
            assert_eq!(*throttle.last_pause(), before, "there was no pause");
        }
        assert!(*throttle.last_pause() >= last_pause);
    }
}
