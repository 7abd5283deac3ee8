//! A cache of recently used values.

use std::{hash::Hash, num::NonZeroUsize, sync::Mutex};

use lru::LruCache;

use crate::lock;

/// Shared values by key. When there are too many, the least recently used one is dropped: members
/// come and go, and nothing says which of them will not return.
pub(crate) struct Recent<K: Eq + Hash, V>(Mutex<LruCache<K, V>>);

impl<K: Eq + Hash, V: Default + Clone> Recent<K, V> {
    pub(crate) fn new(count_max: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(count_max)))
    }

    /// The value of this key. Creates it if it is missing.
    pub(crate) fn of(&self, key: K) -> V {
        lock(&self.0).get_or_insert(key, V::default).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;

    /// Whether the key had a value. It has one afterwards.
    fn is_known(recent: &Recent<u32, Arc<AtomicBool>>, key: u32) -> bool {
        recent.of(key).swap(true, Ordering::Relaxed)
    }

    #[test]
    fn what_was_used_longest_ago_gives_way() {
        let recent = Recent::new(NonZeroUsize::new(2).unwrap());
        assert!(!is_known(&recent, 1) && !is_known(&recent, 2));
        assert!(is_known(&recent, 1));
        assert!(!is_known(&recent, 3), "in the place of 2");
        assert!(is_known(&recent, 1) && !is_known(&recent, 2));
    }

    #[test]
    fn keys_that_come_and_go_take_no_more_room() {
        let recent = Recent::new(NonZeroUsize::new(10).unwrap());
        for key in 0..1000 {
            assert!(!is_known(&recent, key));
        }
        assert_eq!(recent.0.lock().unwrap().len(), 10);
    }
}
