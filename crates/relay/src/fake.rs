//! A replica in memory, and packets to give it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt, future::BoxFuture};
use prometheus::Registry;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{
    LinearizeError, Linearizer, LogIndex, Observer, PutError, PutOutcome, ReadError, Reader, Role,
    StateDigest, Status, StoredPacket, Term, Writer,
};
use quorate_state::UnixMillis;
use tokio::sync::watch;

use crate::Metrics;

/// A replica that is alone in its cluster, and fails as told.
pub(crate) struct FakeReplica {
    state: Mutex<State>,
    /// PUTs wait until this is true.
    pub(crate) answering: watch::Sender<bool>,
    /// How many PUTs have come.
    pub(crate) put_count: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    packets: BTreeMap<PublicKey, StoredPacket>,
    /// Becomes visible to reads once one was made linearizable.
    committed: Option<StoredPacket>,
    put_answer: Option<Result<PutOutcome, PutError>>,
    linearize_fails: bool,
    read_fails: bool,
}

impl FakeReplica {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            answering: watch::Sender::new(true),
            put_count: watch::Sender::new(0),
        })
    }

    pub(crate) fn store(&self, stored: StoredPacket) {
        let mut state = self.state.lock().unwrap();
        state.packets.insert(*stored.packet.key(), stored);
    }

    /// Committed, and not yet applied here.
    pub(crate) fn commit(&self, stored: StoredPacket) {
        self.state.lock().unwrap().committed = Some(stored);
    }

    pub(crate) fn answer_puts_with(&self, answer: Result<PutOutcome, PutError>) {
        self.state.lock().unwrap().put_answer = Some(answer);
    }

    pub(crate) fn fail_linearize(&self) {
        self.state.lock().unwrap().linearize_fails = true;
    }

    pub(crate) fn fail_reads(&self) {
        self.state.lock().unwrap().read_fails = true;
    }

    fn put_now(&self, packet: SignedPacket) -> Result<PutOutcome, PutError> {
        let mut state = self.state.lock().unwrap();
        if let Some(answer) = state.put_answer {
            return answer;
        }
        let old = state.packets.get(packet.key());
        let outcome = match old.map(|old| packet.recency(&old.packet)) {
            Some(std::cmp::Ordering::Less) => return Ok(PutOutcome::Superseded),
            Some(std::cmp::Ordering::Equal) => PutOutcome::Unchanged,
            Some(std::cmp::Ordering::Greater) | None => PutOutcome::Stored,
        };
        state.packets.insert(*packet.key(), received_now(packet));
        Ok(outcome)
    }
}

impl Writer for FakeReplica {
    fn put(&self, packet: SignedPacket) -> BoxFuture<'_, Result<PutOutcome, PutError>> {
        async {
            self.put_count.send_modify(|count| *count += 1);
            let mut answering = self.answering.subscribe();
            answering.wait_for(|answering| *answering).await.unwrap();
            self.put_now(packet)
        }
        .boxed()
    }
}

impl Reader for FakeReplica {
    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, ReadError> {
        let state = self.state.lock().unwrap();
        if state.read_fails {
            return Err(ReadError("page 7 is damaged".into()));
        }
        Ok(state.packets.get(key).cloned())
    }
}

impl Linearizer for FakeReplica {
    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>> {
        async {
            let mut state = self.state.lock().unwrap();
            if state.linearize_fails {
                return Err(LinearizeError);
            }
            if let Some(stored) = state.committed.take() {
                state.packets.insert(*stored.packet.key(), stored);
            }
            Ok(())
        }
        .boxed()
    }
}

impl Observer for FakeReplica {
    fn status(&self) -> Status {
        let state = self.state.lock().unwrap();
        Status {
            node: "a".into(),
            role: Role::Leader,
            term: Term(3),
            leader: (!state.linearize_fails).then(|| "a".into()),
            last_log_index: LogIndex(42),
            committed_index: LogIndex(42),
            applied_index: LogIndex(41),
            checkpoint_index: LogIndex(40),
            purged_index: LogIndex(7),
            voters: vec!["a".into()],
            packet_count: state.packets.len() as u64,
            replication_lag: None,
            store_size: 4096,
            not_ready: None,
        }
    }

    fn digest(&self) -> BoxFuture<'_, Result<StateDigest, ReadError>> {
        unreachable!("the relay asks for no digest")
    }
}

pub(crate) fn metrics() -> Metrics {
    Metrics::register(&Registry::new()).unwrap()
}

/// What the `pkarr` crate signs: one TXT record with this TTL.
pub(crate) fn packet(seed: u8, micros: u64, txt: &str, ttl: u32) -> SignedPacket {
    let signer = pkarr::Keypair::from_secret_key(&[seed; 32]);
    let signed = pkarr::SignedPacket::builder()
        .txt("_iroh".try_into().unwrap(), txt.try_into().unwrap(), ttl)
        .timestamp(micros.into())
        .sign(&signer)
        .unwrap();
    let key = signer.public_key().to_z32().parse().unwrap();
    SignedPacket::parse(key, signed.to_relay_payload()).unwrap()
}

pub(crate) fn received_now(packet: SignedPacket) -> StoredPacket {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    StoredPacket {
        received: UnixMillis(now.as_millis() as u64),
        packet,
    }
}
