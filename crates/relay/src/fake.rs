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
    LinearizeError, PutError, PutOutcome, ReadError, Record, Replica, Role, StateDigest, Status,
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
    records: BTreeMap<PublicKey, Record>,
    /// Becomes visible to reads once one was made linearizable.
    committed: Option<Record>,
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

    pub(crate) fn store(&self, record: Record) {
        let mut state = self.state.lock().unwrap();
        state.records.insert(*record.packet.key(), record);
    }

    /// Committed, and not yet applied here.
    pub(crate) fn commit(&self, record: Record) {
        self.state.lock().unwrap().committed = Some(record);
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
        let old = state.records.get(packet.key());
        let outcome = match old.map(|old| packet.recency(&old.packet)) {
            Some(std::cmp::Ordering::Less) => return Ok(PutOutcome::Superseded),
            Some(std::cmp::Ordering::Equal) => PutOutcome::Unchanged,
            Some(std::cmp::Ordering::Greater) | None => PutOutcome::Stored,
        };
        state.records.insert(*packet.key(), received_now(packet));
        Ok(outcome)
    }
}

impl Replica for FakeReplica {
    fn put(&self, packet: SignedPacket) -> BoxFuture<'_, Result<PutOutcome, PutError>> {
        async {
            self.put_count.send_modify(|count| *count += 1);
            let mut answering = self.answering.subscribe();
            answering.wait_for(|answering| *answering).await.unwrap();
            self.put_now(packet)
        }
        .boxed()
    }

    fn record(&self, key: &PublicKey) -> Result<Option<Record>, ReadError> {
        let state = self.state.lock().unwrap();
        if state.read_fails {
            return Err(ReadError("page 7 is damaged".into()));
        }
        Ok(state.records.get(key).cloned())
    }

    fn linearize(&self) -> BoxFuture<'_, Result<(), LinearizeError>> {
        async {
            let mut state = self.state.lock().unwrap();
            if state.linearize_fails {
                return Err(LinearizeError);
            }
            if let Some(record) = state.committed.take() {
                state.records.insert(*record.packet.key(), record);
            }
            Ok(())
        }
        .boxed()
    }

    fn status(&self) -> Status {
        let state = self.state.lock().unwrap();
        Status {
            node: "a".into(),
            role: Role::Leader,
            term: 3,
            leader: (!state.linearize_fails).then(|| "a".into()),
            last_log_index: 42,
            committed_index: 42,
            applied_index: 41,
            checkpoint_index: 40,
            purged_index: 7,
            voters: vec!["a".into()],
            record_count: state.records.len() as u64,
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

pub(crate) fn received_now(packet: SignedPacket) -> Record {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Record {
        received: UnixMillis(now.as_millis() as u64),
        packet,
    }
}
