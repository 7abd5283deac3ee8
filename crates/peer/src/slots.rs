//! How many links are open, in all and for each peer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_rpc::NodeId;

/// Room for links.
#[derive(Debug)]
pub(crate) struct Slots {
    count_max: usize,
    count_per_peer_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    /// Peers without a link are not in it.
    by_peer: HashMap<NodeId, usize>,
}

impl Slots {
    pub(crate) fn new(count_max: usize, count_per_peer_max: usize) -> Self {
        Self {
            count_max,
            count_per_peer_max,
            taken: Mutex::default(),
        }
    }

    /// Takes room for a link of `peer`. Returns `None` when there is none.
    pub(crate) fn take(self: &Arc<Self>, peer: NodeId) -> Option<Slot> {
        let mut taken = self.lock();
        let of_peer = taken.by_peer.get(&peer).copied().unwrap_or(0);
        if taken.count >= self.count_max || of_peer >= self.count_per_peer_max {
            return None;
        }
        taken.count += 1;
        taken.by_peer.insert(peer, of_peer + 1);
        Some(Slot {
            slots: self.clone(),
            peer,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Counting does not panic halfway.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for one link, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    peer: NodeId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.count -= 1;
        if let Some(of_peer) = taken.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;

    use super::*;

    fn peer(byte: u8) -> NodeId {
        NodeId(PublicKey::from_bytes([byte; 32]))
    }

    #[test]
    fn one_peer_cannot_take_the_room_of_others() {
        let slots = Arc::new(Slots::new(3, 2));
        let held = [slots.take(peer(1)), slots.take(peer(1))];
        assert!(held.iter().all(Option::is_some));
        assert!(slots.take(peer(1)).is_none());
        let other = slots.take(peer(2));
        assert!(other.is_some());
        assert!(slots.take(peer(3)).is_none(), "three are the most");
        drop(held);
        assert!(slots.take(peer(3)).is_some());
    }

    #[test]
    fn what_was_given_back_leaves_nothing_behind() {
        let slots = Arc::new(Slots::new(100, 1));
        for byte in 0..100 {
            drop(slots.take(peer(byte)).unwrap());
        }
        assert_eq!(slots.lock().count, 0);
        assert!(slots.lock().by_peer.is_empty());
    }
}
