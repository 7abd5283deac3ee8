//! The bridge to the DHT.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use quorate_api::{Problem, ProblemType};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{
    DhtAnswer, DhtBridge, DhtFinding, DhtOperator, DhtPublished, DhtStatus, IndexedPacket,
};
use tokio::{sync::watch, time::timeout};

use crate::received_now;

/// A bridge to a DHT that has what tests put there.
#[derive(Debug)]
pub struct FakeDht {
    state: Mutex<DhtState>,
    /// Lookups wait until this is true.
    pub answers: watch::Sender<bool>,
    /// How many lookups were started.
    pub lookup_count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct DhtState {
    packets: HashMap<PublicKey, SignedPacket>,
    looked_up: HashSet<PublicKey>,
    published: Vec<PublicKey>,
}

impl FakeDht {
    /// A DHT that answers at once and has nothing.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            answers: watch::Sender::new(true),
            lookup_count: watch::Sender::new(0),
        })
    }

    /// Puts a packet into the DHT.
    pub fn store(&self, packet: SignedPacket) {
        self.lock().packets.insert(*packet.key(), packet);
    }

    /// The keys that were published, in their order.
    pub fn published(&self) -> Vec<PublicKey> {
        self.lock().published.clone()
    }

    fn answer(&self, key: &PublicKey) -> DhtAnswer {
        match self.lock().packets.get(key) {
            Some(packet) => {
                let stored = received_now(packet.clone());
                DhtAnswer::Found(Arc::new(IndexedPacket::new(&stored)))
            }
            None => DhtAnswer::Absent,
        }
    }

    fn lock(&self) -> MutexGuard<'_, DhtState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DhtBridge for FakeDht {
    fn lookup<'a>(
        &'a self,
        key: &'a PublicKey,
        _: IpAddr,
        deadline: Duration,
    ) -> BoxFuture<'a, DhtAnswer> {
        self.lookup_count.send_modify(|count| *count += 1);
        let mut answers = self.answers.subscribe();
        async move {
            let answered = timeout(deadline, answers.wait_for(|answers| *answers)).await;
            match answered {
                Ok(_) => {
                    self.lock().looked_up.insert(*key);
                    self.answer(key)
                }
                Err(_) => DhtAnswer::Unanswered,
            }
        }
        .boxed()
    }

    fn known(&self, key: &PublicKey) -> Option<DhtAnswer> {
        let is_known = self.lock().looked_up.contains(key);
        is_known.then(|| self.answer(key))
    }

    fn known_so_far(&self, key: &PublicKey) -> Option<DhtAnswer> {
        self.known(key)
    }

    fn publish(&self, key: &PublicKey) {
        self.lock().published.push(*key);
    }
}

impl DhtOperator for FakeDht {
    fn status(&self) -> DhtStatus {
        DhtStatus {
            mode: "resolve-and-publish".to_owned(),
            routing_nodes: if *self.answers.borrow() { 7 } else { 0 },
            ..DhtStatus::default()
        }
    }

    fn find<'a>(&'a self, key: &'a PublicKey) -> BoxFuture<'a, Result<DhtFinding, Problem>> {
        let packet = self.lock().packets.get(key).cloned();
        let found = packet.map(|packet| DhtFinding {
            packet: received_now(packet),
            nodes_asked: 20,
            nodes_answered: 18,
        });
        let found = found
            .ok_or_else(|| Problem::new(ProblemType::UnknownPacket, "the DHT has no such packet"));
        std::future::ready(found).boxed()
    }

    fn publish_now<'a>(
        &'a self,
        key: &'a PublicKey,
    ) -> BoxFuture<'a, Result<DhtPublished, Problem>> {
        self.publish(key);
        std::future::ready(Ok(DhtPublished { copies: 17 })).boxed()
    }
}
