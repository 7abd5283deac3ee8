//! What was used last.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// Values by key, which others share. When there are too many, the one that was used longest ago is
/// forgotten: members come and go, and nobody says which of them will not come back.
pub(crate) struct Recent<K, V> {
    count_max: usize,
    used: Mutex<Used<K, V>>,
}

struct Used<K, V> {
    /// How many times any was used.
    count: u64,
    /// Each with the count when it was last used.
    values: HashMap<K, (u64, V)>,
}

impl<K: Eq + Hash + Clone, V: Default + Clone> Recent<K, V> {
    pub(crate) fn new(count_max: usize) -> Self {
        let (count, values) = (0, HashMap::new());
        Self {
            count_max,
            used: Mutex::new(Used { count, values }),
        }
    }

    /// The value of this key, a new one if it has none.
    pub(crate) fn of(&self, key: K) -> V {
        // Counting and inserting do not panic halfway.
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Used { count, values } = &mut *used;
        *count += 1;
        if values.len() >= self.count_max && !values.contains_key(&key) {
            let oldest = values.iter().min_by_key(|(_, (last, _))| *last);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                values.remove(&oldest);
            }
        }
        let (last, value) = values.entry(key).or_default();
        *last = *count;
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;

    /// Whether a value is there, which it is from then on.
    fn is_known(recent: &Recent<u32, Arc<AtomicBool>>, key: u32) -> bool {
        recent.of(key).swap(true, Ordering::Relaxed)
    }

    #[test]
    fn what_was_used_longest_ago_gives_way() {
        let recent = Recent::new(2);
        assert!(!is_known(&recent, 1) && !is_known(&recent, 2));
        assert!(is_known(&recent, 1));
        assert!(!is_known(&recent, 3), "in the place of 2");
        assert!(is_known(&recent, 1) && !is_known(&recent, 2));
    }

    #[test]
    fn keys_that_come_and_go_take_no_more_room() {
        let recent = Recent::new(10);
        for key in 0..1000 {
            assert!(!is_known(&recent, key));
        }
        assert_eq!(recent.used.lock().unwrap().values.len(), 10);
    }
}
