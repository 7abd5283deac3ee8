//! Who waits for which key.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::{Stream, task::AtomicWaker};
use quorate_packet::PublicKey;

/// Who waits for which key. A change costs one look into a map, and wakes those who wait for its key
/// and nobody else.
#[derive(Debug, Default)]
pub(crate) struct Watches(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    by_key: HashMap<PublicKey, BTreeMap<WatchId, Arc<Signal>>>,
    last_id: WatchId,
    is_closed: bool,
}

type WatchId = u64;

/// What a watch is told, once for any number of changes that it has not asked about.
#[derive(Debug, Default)]
struct Signal {
    changed: AtomicBool,
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl Watches {
    /// Watches a key from now on.
    pub(crate) fn watch(&self, key: &PublicKey) -> KeyWatch {
        let signal = Arc::<Signal>::default();
        let mut watched = lock(&self.0);
        watched.last_id += 1;
        let id = watched.last_id;
        match watched.is_closed {
            true => signal.closed.store(true, Ordering::Relaxed),
            false => {
                let watches = watched.by_key.entry(*key).or_default();
                watches.insert(id, signal.clone());
            }
        }
        KeyWatch {
            signal,
            key: *key,
            id,
            watched: self.0.clone(),
        }
    }

    /// Tells those who watch one of these keys. The lock is free again when they are woken.
    pub(crate) fn on_changed<'a>(&self, keys: impl Iterator<Item = &'a PublicKey>) {
        let mut told = Vec::new();
        let watched = lock(&self.0);
        if watched.by_key.is_empty() {
            return;
        }
        for key in keys {
            let watches = watched.by_key.get(key);
            told.extend(watches.into_iter().flat_map(BTreeMap::values).cloned());
        }
        drop(watched);
        told.iter().for_each(|signal| signal.set_changed());
    }

    /// Tells all who watch: any key may have changed.
    pub(crate) fn on_all_changed(&self) {
        let all = lock(&self.0).all();
        all.iter().for_each(|signal| signal.set_changed());
    }

    /// Ends all watches, and those to come.
    pub(crate) fn close(&self) {
        let mut watched = lock(&self.0);
        watched.is_closed = true;
        let all = watched.all();
        watched.by_key.clear();
        drop(watched);
        for signal in all {
            signal.closed.store(true, Ordering::Release);
            signal.waker.wake();
        }
    }
}

impl Watched {
    fn all(&self) -> Vec<Arc<Signal>> {
        let watches = self.by_key.values();
        watches.flat_map(BTreeMap::values).cloned().collect()
    }
}

impl Signal {
    fn set_changed(&self) {
        self.changed.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// An item each time that a key has changed. Dropped, it leaves nothing.
#[derive(Debug)]
pub(crate) struct KeyWatch {
    signal: Arc<Signal>,
    key: PublicKey,
    id: WatchId,
    watched: Arc<Mutex<Watched>>,
}

impl Stream for KeyWatch {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let signal = &self.signal;
        // First, or a change between the look and this would wake nobody.
        signal.waker.register(cx.waker());
        if signal.closed.load(Ordering::Acquire) {
            Poll::Ready(None)
        } else if signal.changed.swap(false, Ordering::AcqRel) {
            Poll::Ready(Some(()))
        } else {
            Poll::Pending
        }
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        let mut watched = lock(&self.watched);
        if let Some(watches) = watched.by_key.get_mut(&self.key) {
            watches.remove(&self.id);
            if watches.is_empty() {
                watched.by_key.remove(&self.key);
            }
        }
    }
}

/// No panic leaves it half changed.
fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicUsize,
        task::{Wake, Waker},
    };

    use futures_util::StreamExt;

    use super::*;

    /// How often a task was woken.
    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task that watches a key.
    struct Task {
        watch: KeyWatch,
        wakes: Arc<WakeCount>,
    }

    impl Task {
        fn watching(watches: &Watches, key: u8) -> Self {
            let watch = watches.watch(&of(key));
            let wakes = Arc::default();
            Self { watch, wakes }
        }

        fn poll(&mut self) -> Poll<Option<()>> {
            let waker = Waker::from(self.wakes.clone());
            self.watch.poll_next_unpin(&mut Context::from_waker(&waker))
        }

        fn wake_count(&self) -> usize {
            self.wakes.0.load(Ordering::Relaxed)
        }
    }

    fn of(key: u8) -> PublicKey {
        PublicKey::from_bytes([key; 32])
    }

    #[test]
    fn a_change_wakes_those_who_wait_for_its_key_and_nobody_else() {
        let watches = Watches::default();
        let mut same = [(); 2].map(|()| Task::watching(&watches, 1));
        let mut other = Task::watching(&watches, 2);
        for task in same.iter_mut().chain([&mut other]) {
            assert_eq!(task.poll(), Poll::Pending);
        }
        watches.on_changed([of(1), of(3)].iter());
        assert_eq!(same.each_ref().map(Task::wake_count), [1, 1]);
        assert_eq!(other.wake_count(), 0);
        assert_eq!(other.poll(), Poll::Pending);
        for task in &mut same {
            assert_eq!(task.poll(), Poll::Ready(Some(())));
            assert_eq!(task.poll(), Poll::Pending);
        }
    }

    #[test]
    fn a_change_before_the_first_wait_is_not_lost() {
        let watches = Watches::default();
        let mut task = Task::watching(&watches, 1);
        watches.on_changed([of(1)].iter());
        assert_eq!(task.poll(), Poll::Ready(Some(())));
    }

    #[test]
    fn changes_that_nobody_has_waited_for_are_one() {
        let watches = Watches::default();
        let mut task = Task::watching(&watches, 1);
        assert_eq!(task.poll(), Poll::Pending);
        for _ in 0..1000 {
            watches.on_changed([of(1), of(1)].iter());
        }
        assert_eq!(task.wake_count(), 1, "it was told before it had looked");
        assert_eq!(task.poll(), Poll::Ready(Some(())));
        assert_eq!(task.poll(), Poll::Pending);
    }

    #[test]
    fn a_dropped_watch_leaves_nothing() {
        let watches = Watches::default();
        let [one, other] = [(); 2].map(|()| watches.watch(&of(1)));
        drop(one);
        assert_eq!(lock(&watches.0).by_key[&of(1)].len(), 1);
        drop(other);
        assert!(lock(&watches.0).by_key.is_empty());
    }

    #[test]
    fn when_any_key_may_have_changed_all_are_told() {
        let watches = Watches::default();
        let mut tasks = [1, 2].map(|key| Task::watching(&watches, key));
        watches.on_all_changed();
        for task in &mut tasks {
            assert_eq!(task.poll(), Poll::Ready(Some(())));
        }
    }

    #[test]
    fn at_the_end_all_watches_end_and_later_ones_have_ended() {
        let watches = Watches::default();
        let mut before = Task::watching(&watches, 1);
        assert_eq!(before.poll(), Poll::Pending);
        watches.close();
        assert_eq!(before.wake_count(), 1);
        let mut after = Task::watching(&watches, 1);
        for task in [&mut before, &mut after] {
            assert_eq!(task.poll(), Poll::Ready(None));
        }
    }
}
