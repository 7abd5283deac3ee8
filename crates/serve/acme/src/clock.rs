//! The time by which certificates are renewed.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quorate_replica::UnixMillis;

/// The end of the year 9999: the format of dates has four digits for it.
const SHOWN_MAX: u64 = 253_402_300_799_000;

/// Tells the time. Tests move it.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> UnixMillis + Send + Sync>);

impl Clock {
    #[cfg(test)]
    pub(crate) fn new(now: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The clock of the machine.
    pub(crate) fn of_machine() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            UnixMillis(since.map_or(0, |since| since.as_millis() as u64))
        }))
    }

    pub(crate) fn now(&self) -> UnixMillis {
        (self.0)()
    }
}

/// A time for people.
pub(crate) fn shown(millis: u64) -> String {
    let since = Duration::from_millis(millis.min(SHOWN_MAX));
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
