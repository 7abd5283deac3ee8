//! Work that nobody waits for, done slowly.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How fast a checkpoint is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoSpeed {
    /// As fast as it goes: somebody waits for it.
    Fast,
    /// With rests, so that the disk and the cores are there for those who wait for something: it
    /// takes four times as long. Fast as soon as somebody waits for the next one.
    Gentle,
}

/// How many times as long a rest is as the work before it.
const REST_PER_WORK: u32 = 3;

/// How long is worked without a rest: less than a publisher waits for the sync of the Raft log
/// anyway. One sync may take longer, and is followed by a longer rest.
const WORK_MAX: Duration = Duration::from_millis(1);

/// Keeps the speed of whoever works on a file.
#[derive(Debug)]
pub(crate) struct IoThrottle {
    is_gentle: AtomicBool,
    rested: Mutex<Instant>,
}

impl Default for IoThrottle {
    fn default() -> Self {
        Self {
            is_gentle: AtomicBool::new(false),
            rested: Mutex::new(Instant::now()),
        }
    }
}

impl IoThrottle {
    /// From now on it goes at this speed.
    pub(crate) fn set(&self, speed: IoSpeed) {
        *self.rested() = Instant::now();
        self.is_gentle
            .store(speed == IoSpeed::Gentle, Ordering::Relaxed);
    }

    pub(crate) fn hurry(&self) {
        self.is_gentle.store(false, Ordering::Relaxed);
    }

    /// To be called all the time: rests when enough was worked.
    pub(crate) fn rest(&self) {
        if self.is_gentle.load(Ordering::Relaxed) {
            let mut rested = self.rested();
            let worked = rested.elapsed();
            if worked >= WORK_MAX {
                thread::sleep(worked * REST_PER_WORK);
                *rested = Instant::now();
            }
        }
    }

    fn rested(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.rested.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gentle_rests_longer_than_it_works_until_it_must_hurry() {
        let throttle = IoThrottle::default();
        let work = || {
            let begun = Instant::now();
            while begun.elapsed() < WORK_MAX {}
            let worked = begun.elapsed();
            throttle.rest();
            (worked, begun.elapsed())
        };
        throttle.set(IoSpeed::Gentle);
        let (worked, took) = work();
        assert!(took >= worked * (1 + REST_PER_WORK));
        let rested = *throttle.rested();
        for stop in [
            |throttle: &IoThrottle| throttle.hurry(),
            |throttle: &IoThrottle| throttle.set(IoSpeed::Fast),
        ] {
            throttle.set(IoSpeed::Gentle);
            stop(&throttle);
            let before = *throttle.rested();
            work();
            assert_eq!(*throttle.rested(), before, "it has not rested");
        }
        assert!(*throttle.rested() >= rested);
    }
}
