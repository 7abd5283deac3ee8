//! Values that are expensive to drop.

use std::ops::{Deref, DerefMut};

use tokio::runtime::Handle;

/// A value whose drop uses the disk. The drop always runs on a thread that may block, not on one of the
/// async runtime.
pub(crate) struct DropInBackground<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> DropInBackground<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value itself. Call this only on a thread that may block.
    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect("the value is there until the drop")
    }
}

impl<T: Send + 'static> Deref for DropInBackground<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the value is there until the drop")
    }
}

impl<T: Send + 'static> DerefMut for DropInBackground<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("the value is there until the drop")
    }
}

impl<T: Send + 'static> Drop for DropInBackground<T> {
    fn drop(&mut self) {
        let Some(value) = self.0.take() else { return };
        // Without a runtime there is no thread that must not block.
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Sender, channel},
        thread::{self, ThreadId},
        time::Duration,
    };

    use super::*;

    struct Slow(Sender<ThreadId>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_value_is_dropped_on_another_thread() {
        let (sender, dropped) = channel();
        drop(DropInBackground::new(Slow(sender)));
        let thread = dropped.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_ne!(thread, thread::current().id());
    }

    #[test]
    fn without_a_runtime_a_value_is_dropped_immediately() {
        let (sender, dropped) = channel();
        drop(DropInBackground::new(Slow(sender)));
        assert_eq!(dropped.try_recv(), Ok(thread::current().id()));
    }
}
