//! The replica.

use std::{
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use quorate_api::{Problem, ProblemType};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{
    ChangedPacket, Changes, ChangesLost, Conditions, CookieSecrets, IndexedPacket, LinearizeError,
    LogIndex, NodeId, NodeStatus, Observer, PublishChange, PublishState, Publishers, PutError,
    PutOutcome, ReadError, ReadState, Reader, Replica, StateDigest, StoredPacket, Watch,
    ZoneChange, ZoneState,
};
use quorate_store::ChangeFeed;
use tokio::sync::watch;

use crate::{
    Operators, Secrets,
    state::{OWN, State},
};

/// A replica that is the only node of its cluster. Tests can make it fail.
#[derive(Debug)]
pub struct FakeReplica {
    state: Mutex<State>,
    feed: ChangeFeed,
    zone_version: watch::Sender<u64>,
    /// The requests of operators, and their answers.
    pub operators: Operators,
    /// The replicated secrets, and what of them fails.
    pub secrets: Secrets,
    /// PUTs wait until this is true.
    pub answers_puts: watch::Sender<bool>,
    /// Linearizable reads wait until this is true.
    pub answers_linearize: watch::Sender<bool>,
    /// How many PUTs were received whose outcome was not known.
    pub put_count: watch::Sender<usize>,
}

impl FakeReplica {
    /// A leader that is ready and stores nothing.
    pub fn new() -> Arc<Self> {
        let state = State::default();
        Arc::new(Self {
            feed: ChangeFeed::new(state.change_index),
            state: Mutex::new(state),
            zone_version: watch::Sender::new(0),
            operators: Operators::default(),
            secrets: Secrets::default(),
            answers_puts: watch::Sender::new(true),
            answers_linearize: watch::Sender::new(true),
            put_count: watch::Sender::new(0),
        })
    }

    /// Stores a packet in place of what its key has.
    pub fn store(&self, stored: StoredPacket) {
        let change = self.lock().store(stored);
        self.publish(change);
    }

    /// Removes the packet of the key. Returns whether there was one.
    pub fn remove(&self, key: PublicKey) -> bool {
        let change = self.lock().remove(key);
        self.publish(change);
        change.is_some()
    }

    /// Replaces the agreed zones.
    pub fn set_zone_state(&self, zone_state: ZoneState) {
        self.lock().zone_state = Arc::new(zone_state);
        self.zone_version.send_modify(|version| *version += 1);
    }

    /// Sets the secrets of DNS cookies.
    pub fn set_cookie_secrets(&self, secrets: CookieSecrets) {
        self.lock().cookie_secrets = Some(secrets);
        self.zone_version.send_modify(|version| *version += 1);
    }

    /// The last version of the zones that DNS has reported as served.
    pub fn zones_served(&self) -> u64 {
        self.lock().zones_served
    }

    /// Sets the live members that publish in the DHT.
    pub fn set_publishers(&self, live: Vec<NodeId>) {
        self.lock().publishers = live;
    }

    /// Replaces the agreed rules of who may publish.
    pub fn set_publish_state(&self, publishing: PublishState) {
        self.lock().publishing = Arc::new(publishing);
    }

    /// Changes who may publish as a cluster does.
    pub(crate) fn apply_publish_change(&self, change: &PublishChange) -> Result<(), Problem> {
        let mut state = self.lock();
        match change.changed(&state.publishing) {
            Ok(Some(changed)) => state.publishing = Arc::new(changed),
            Ok(None) => {}
            Err(rejection) => {
                return Err(Problem::new(
                    ProblemType::RefusedPolicy,
                    rejection.to_string(),
                ));
            }
        }
        Ok(())
    }

    /// Changes a zone as a cluster does.
    pub(crate) fn apply_zone_change(&self, change: &ZoneChange) -> Result<(), Problem> {
        let before = self.lock().zone_state.clone();
        if change.missing(&before).is_some() {
            let detail = "the zone has no such replicated records";
            return Err(Problem::new(ProblemType::UnknownRecord, detail));
        }
        match change.changed(&before) {
            Ok(changed) => {
                changed
                    .into_iter()
                    .for_each(|changed| self.set_zone_state(changed));
                Ok(())
            }
            Err(rejection) => Err(Problem::new(
                ProblemType::RefusedZone,
                rejection.to_string(),
            )),
        }
    }

    /// Stores a packet as one that is committed and not yet applied here: the next linearizable
    /// read sees it.
    pub fn commit(&self, stored: StoredPacket) {
        self.lock().committed = Some(stored);
    }

    /// Answers every PUT with this from now on, and stores none.
    pub fn answer_puts_with(&self, answer: Result<PutOutcome, PutError>) {
        self.lock().put_answer = Some(answer);
    }

    /// Loses the leader: linearizable reads fail from now on.
    pub fn fail_linearize(&self) {
        let mut state = self.lock();
        state.linearize_fails = true;
        state.status.leader = None;
    }

    /// Whether reads and digests fail from now on, with [`READ_ERROR`](crate::READ_ERROR).
    pub fn fail_reads(&self, fail: bool) {
        self.lock().reads_fail = fail;
    }

    /// Panics at each read of this key from now on.
    pub fn panic_at(&self, key: PublicKey) {
        self.lock().panics_at = Some(key);
    }

    /// Changes the status that the node reports. The number of packets is always counted.
    pub fn change_status(&self, change: impl FnOnce(&mut NodeStatus)) {
        change(&mut self.lock().status);
    }

    /// The largest number of digests that were computed at the same time.
    pub fn digest_count_max(&self) -> usize {
        self.lock().digest_count_max
    }

    /// Up to `count` packets after the key `after`, in the order of keys.
    pub(crate) fn stored_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError> {
        let state = self.lock();
        state.check_readable()?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = state.packets.range((start, Bound::Unbounded));
        Ok(behind
            .take(count)
            .map(|(_, stored)| stored.clone())
            .collect())
    }

    /// Stores a packet right after the next `count` reads.
    pub fn store_after_reads(&self, count: usize, stored: StoredPacket) {
        self.lock().stored_after_reads = Some((count, stored));
    }

    /// Forgets all changes, as a node does when it installs a snapshot.
    pub fn forget_changes(&self) {
        self.feed.reset(self.lock().change_index);
    }

    /// Ends all watches, as a node does when it stops.
    pub fn end_watches(&self) {
        self.feed.close();
    }

    fn publish(&self, change: Option<ChangedPacket>) {
        let index = self.lock().change_index;
        self.feed.publish(change.as_slice(), index);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic that a test requests leaves no change half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for FakeReplica {
    fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError> {
        let mut state = self.lock();
        state.check_readable()?;
        assert_ne!(
            Some(*key),
            state.panics_at,
            "a panic that the test requested"
        );
        let stored = state.packets.get(key);
        let read = stored.map(|stored| Arc::new(IndexedPacket::new(stored)));
        let later = state.after_read();
        drop(state);
        later.into_iter().for_each(|stored| self.store(stored));
        Ok(read)
    }

    fn check_ready(&self) -> Result<(), ReadError> {
        Ok(())
    }

    fn zone_version(&self) -> u64 {
        *self.zone_version.borrow()
    }

    fn zones_changed_after(&self, version: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut versions = self.zone_version.subscribe();
            // It cannot fail: the replica keeps the sender.
            let _ = versions.wait_for(|now| *now > version).await;
        })
    }

    fn zone_state(&self) -> Arc<ZoneState> {
        self.lock().zone_state.clone()
    }

    fn cookie_secrets(&self) -> Option<CookieSecrets> {
        self.lock().cookie_secrets
    }

    fn set_zones_served(&self, version: u64) {
        self.lock().zones_served = version;
    }
}

impl Observer for FakeReplica {
    fn status(&self) -> NodeStatus {
        let state = self.lock();
        NodeStatus {
            packet_count: state.packets.len() as u64,
            ..state.status.clone()
        }
    }

    fn read_state(&self) -> ReadState {
        let state = self.lock();
        ReadState {
            has_leader: state.status.leader.is_some(),
            applied_index: state.status.applied_index,
            ..ReadState::default()
        }
    }

    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>> {
        async {
            {
                let mut state = self.lock();
                state.digest_count += 1;
                state.digest_count_max = state.digest_count_max.max(state.digest_count);
            }
            // Lets other digests start, unless the caller limits them.
            tokio::task::yield_now().await;
            let mut state = self.lock();
            state.digest_count -= 1;
            state.digest()
        }
        .boxed()
    }
}

impl Replica for FakeReplica {
    fn known_outcome(&self, packet: &SignedPacket, conditions: &Conditions) -> Option<PutOutcome> {
        self.lock().known_outcome(packet, conditions)
    }

    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>> {
        async {
            wait_for(&self.answers_linearize).await;
            let committed = {
                let mut state = self.lock();
                if state.linearize_fails {
                    return Err(LinearizeError);
                }
                state.committed.take()
            };
            committed.into_iter().for_each(|stored| self.store(stored));
            Ok(())
        }
        .boxed()
    }

    fn put(
        &self,
        packet: SignedPacket,
        conditions: Conditions,
    ) -> BoxFuture<'_, Result<PutOutcome, PutError>> {
        async move {
            self.put_count.send_modify(|count| *count += 1);
            wait_for(&self.answers_puts).await;
            let (outcome, change) = self.lock().put(packet, &conditions)?;
            self.publish(change);
            Ok(outcome)
        }
        .boxed()
    }

    fn publishing(&self) -> Arc<PublishState> {
        self.lock().publishing.clone()
    }

    fn publishers(&self) -> Publishers {
        Publishers {
            own: OWN,
            live: self.lock().publishers.clone(),
        }
    }

    fn set_publishes(&self, _: bool) {}

    fn watch(&self, key: &PublicKey) -> Watch {
        self.feed.watch(key)
    }

    fn changes_since(&self, since: LogIndex, count_max: usize) -> Result<Changes, ChangesLost> {
        self.feed.changes_since(since, count_max)
    }
}

pub(crate) async fn wait_for(answers: &watch::Sender<bool>) {
    let mut answers = answers.subscribe();
    let answers = answers.wait_for(|answers| *answers).await;
    answers.expect("its sender is borrowed");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{packet, received_now};

    #[tokio::test]
    async fn equal_packets_have_equal_digests_and_others_have_others() {
        let stored = [1, 2].map(|seed| received_now(packet(seed, 7, "x", 30)));
        let mut digests = Vec::new();
        for stored in [&stored[..1], &stored[..2], &stored[..0]] {
            let mut replicas = Vec::new();
            for _ in 0..2 {
                let replica = FakeReplica::new();
                for stored in stored {
                    replica.store(stored.clone());
                }
                replicas.push(replica.digest().await.unwrap());
            }
            assert_eq!(replicas[0], replicas[1]);
            assert_eq!(replicas[0].packet_count, stored.len() as u64);
            digests.push(replicas[0].sha256.clone());
        }
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 3);
    }
}
