//! Limits of open links, in total and for each peer.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use crate::{LinkServerConfig, NodeId, lock};

#[derive(Debug)]
pub(crate) struct LinkPermits {
    link_count_max: usize,
    link_count_per_peer_max: usize,
    vouched_count_max: usize,
    /// The peer of each open link, and whether it is only vouched for: few enough to be counted one
    /// by one.
    holders: Mutex<Vec<(NodeId, bool)>>,
}

impl LinkPermits {
    pub(crate) fn new(config: &LinkServerConfig) -> Self {
        Self {
            link_count_max: config.link_count_max,
            link_count_per_peer_max: config.link_count_per_peer_max,
            vouched_count_max: config.vouched_count_max,
            holders: Mutex::default(),
        }
    }

    /// Takes a permit for a link of `peer`. Returns `None` if there is none.
    pub(crate) fn try_acquire(
        self: &Arc<Self>,
        peer: NodeId,
        is_vouched: bool,
    ) -> Option<LinkPermit> {
        let mut holders = lock(&self.holders);
        let of_peer = holders.iter().filter(|(holder, _)| *holder == peer).count();
        if holders.len() >= self.link_count_max || of_peer >= self.link_count_per_peer_max {
            return None;
        }
        let vouched = holders.iter().filter(|(_, is_vouched)| *is_vouched);
        let others: BTreeSet<_> = vouched.filter(|(holder, _)| *holder != peer).collect();
        if is_vouched && others.len() >= self.vouched_count_max {
            return None;
        }
        let holder = (peer, is_vouched);
        holders.push(holder);
        Some(LinkPermit {
            permits: self.clone(),
            holder,
        })
    }
}

/// A permit for one link, released when dropped.
#[derive(Debug)]
pub(crate) struct LinkPermit {
    permits: Arc<LinkPermits>,
    holder: (NodeId, bool),
}

impl Drop for LinkPermit {
    fn drop(&mut self) {
        let mut holders = lock(&self.permits.holders);
        if let Some(place) = holders.iter().position(|holder| *holder == self.holder) {
            holders.swap_remove(place);
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

    fn permits(link_count_max: usize, link_count_per_peer_max: usize) -> LinkPermits {
        LinkPermits::new(&LinkServerConfig {
            link_count_max,
            link_count_per_peer_max,
            ..LinkServerConfig::default()
        })
    }

    #[test]
    fn one_peer_cannot_take_the_room_of_others() {
        let permits = Arc::new(permits(3, 2));
        let held = [peer(1), peer(1)].map(|peer| permits.try_acquire(peer, false));
        assert!(held.iter().all(Option::is_some));
        assert!(permits.try_acquire(peer(1), false).is_none());
        let other = permits.try_acquire(peer(2), false);
        assert!(other.is_some());
        assert!(
            permits.try_acquire(peer(3), false).is_none(),
            "three are the most"
        );
        drop(held);
        assert!(permits.try_acquire(peer(3), false).is_some());
    }

    #[test]
    fn what_was_given_back_leaves_nothing_behind() {
        let permits = Arc::new(permits(100, 1));
        for byte in 0..100 {
            drop(permits.try_acquire(peer(byte), false).unwrap());
        }
        assert!(permits.holders.lock().unwrap().is_empty());
    }
}
