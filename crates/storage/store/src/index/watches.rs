//! The watches of keys.

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

/// All watches of a node. A change costs one lookup in a map, and wakes only the watches of its
/// key.
#[derive(Debug, Default)]
pub(crate) struct Watches(Arc<Mutex<WatchTable>>);

#[derive(Debug, Default)]
struct WatchTable {
    by_key: HashMap<PublicKey, BTreeMap<WatchId, Arc<WatchState>>>,
    last_id: WatchId,
    is_closed: bool,
}

type WatchId = u64;

/// The state of a watch. Several changes before a poll count as one.
#[derive(Debug, Default)]
struct WatchState {
    changed: AtomicBool,
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl Watches {
    /// Watches a key from now on.
    pub(crate) fn watch(&self, key: &PublicKey) -> KeyWatch {
        let state = Arc::<WatchState>::default();
        let mut table = lock(&self.0);
        table.last_id += 1;
        let id = table.last_id;
        match table.is_closed {
            true => state.closed.store(true, Ordering::Relaxed),
            false => {
                let watches = table.by_key.entry(*key).or_default();
                watches.insert(id, state.clone());
            }
        }
        KeyWatch {
            state,
            key: *key,
            id,
            table: self.0.clone(),
        }
    }

    /// Wakes the watches of these keys, after it has released the lock.
    pub(crate) fn on_changed<'a>(&self, keys: impl Iterator<Item = &'a PublicKey>) {
        let mut changed = Vec::new();
        let table = lock(&self.0);
        if table.by_key.is_empty() {
            return;
        }
        for key in keys {
            let watches = table.by_key.get(key);
            changed.extend(watches.into_iter().flat_map(BTreeMap::values).cloned());
        }
        drop(table);
        changed.iter().for_each(|state| state.set_changed());
    }

    /// Wakes all watches: any key may have changed.
    pub(crate) fn on_all_changed(&self) {
        let all = lock(&self.0).all();
        all.iter().for_each(|state| state.set_changed());
    }

    /// Ends all watches, also later ones.
    pub(crate) fn close(&self) {
        let mut table = lock(&self.0);
        table.is_closed = true;
        let all = table.all();
        table.by_key.clear();
        drop(table);
        for state in all {
            state.closed.store(true, Ordering::Release);
            state.waker.wake();
        }
    }
}

impl WatchTable {
    fn all(&self) -> Vec<Arc<WatchState>> {
        let watches = self.by_key.values();
        watches.flat_map(BTreeMap::values).cloned().collect()
    }
}

impl WatchState {
    fn set_changed(&self) {
        self.changed.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// A stream with an item whenever the key has changed. Dropping it removes the watch.
#[derive(Debug)]
pub(crate) struct KeyWatch {
    state: Arc<WatchState>,
    key: PublicKey,
    id: WatchId,
    table: Arc<Mutex<WatchTable>>,
}

impl Stream for KeyWatch {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let state = &self.state;
        // Before the flags are read: a change between the two would wake no task.
        state.waker.register(cx.waker());
        if state.closed.load(Ordering::Acquire) {
            Poll::Ready(None)
        } else if state.changed.swap(false, Ordering::AcqRel) {
            Poll::Ready(Some(()))
        } else {
            Poll::Pending
        }
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        if let Some(watches) = table.by_key.get_mut(&self.key) {
            watches.remove(&self.id);
            if watches.is_empty() {
                table.by_key.remove(&self.key);
            }
        }
    }
}

/// Locks the table. A poisoned lock can be used: no panic leaves the table half changed.
fn lock(table: &Mutex<WatchTable>) -> MutexGuard<'_, WatchTable> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
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
            let watch = watches.watch(&public_key(key));
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

    fn public_key(key: u8) -> PublicKey {
        PublicKey::from_bytes([key; 32])
    }

    #[test]
    fn a_change_wakes_only_the_watches_of_its_key() {
        let watches = Watches::default();
        let mut same = [(); 2].map(|()| Task::watching(&watches, 1));
        let mut other = Task::watching(&watches, 2);
        for task in same.iter_mut().chain([&mut other]) {
            assert_eq!(task.poll(), Poll::Pending);
        }
        watches.on_changed([public_key(1), public_key(3)].iter());
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
        watches.on_changed([public_key(1)].iter());
        assert_eq!(task.poll(), Poll::Ready(Some(())));
    }

    #[test]
    fn several_changes_before_a_poll_count_as_one() {
        let watches = Watches::default();
        let mut task = Task::watching(&watches, 1);
        assert_eq!(task.poll(), Poll::Pending);
        for _ in 0..1000 {
            watches.on_changed([public_key(1), public_key(1)].iter());
        }
        assert_eq!(task.wake_count(), 1, "it is woken once before it polls");
        assert_eq!(task.poll(), Poll::Ready(Some(())));
        assert_eq!(task.poll(), Poll::Pending);
    }

    #[test]
    fn a_dropped_watch_is_removed() {
        let watches = Watches::default();
        let [one, other] = [(); 2].map(|()| watches.watch(&public_key(1)));
        drop(one);
        assert_eq!(lock(&watches.0).by_key[&public_key(1)].len(), 1);
        drop(other);
        assert!(lock(&watches.0).by_key.is_empty());
    }

    #[test]
    fn all_watches_are_woken_when_any_key_may_have_changed() {
        let watches = Watches::default();
        let mut tasks = [1, 2].map(|key| Task::watching(&watches, key));
        watches.on_all_changed();
        for task in &mut tasks {
            assert_eq!(task.poll(), Poll::Ready(Some(())));
        }
    }

    #[test]
    fn close_ends_all_watches_also_later_ones() {
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
