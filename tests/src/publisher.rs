//! Signs packets and remembers the answers to their PUTs.

use std::sync::{Mutex, MutexGuard};

use pkarr::Keypair;

use crate::{KeyOracle, Node, Packet, packet};

/// The answer to a PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutAnswer {
    /// 204: it is stored until a newer packet replaces it.
    Acked,
    /// A status that means it is not stored.
    Refused(u16),
    /// No connection could be made, so it is not stored.
    Unreached,
    /// 504, or no answer: it may be stored.
    Unknown,
}

impl PutAnswer {
    /// Panics unless the packet is stored.
    #[track_caller]
    pub fn expect_acked(self) {
        assert_eq!(self, Self::Acked);
    }

    /// Panics unless it was rejected with this status.
    #[track_caller]
    pub fn expect_rejected(self, status: u16) {
        assert_eq!(self, Self::Refused(status));
    }
}

/// A key pair that signs newer and newer packets.
pub struct Publisher {
    name: String,
    keys: Keypair,
    /// The timestamp of the last packet.
    last: Mutex<u64>,
    oracle: Mutex<KeyOracle>,
}

impl Publisher {
    /// A new key.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            keys: Keypair::random(),
            last: Mutex::default(),
            oracle: Mutex::default(),
        }
    }

    /// Its name in the test.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public key, in z-base-32.
    pub fn key(&self) -> String {
        self.keys.to_z32()
    }

    /// Its key pair.
    pub fn keys(&self) -> &Keypair {
        &self.keys
    }

    /// The DNS name of its text under `origin`.
    pub fn name_under(&self, origin: &str) -> String {
        format!("_iroh.{}.{origin}", self.key())
    }

    /// The answers to its PUTs so far.
    pub fn oracle(&self) -> MutexGuard<'_, KeyOracle> {
        self.oracle.lock().expect("no holder panics")
    }

    /// Signs a TXT record at `_iroh`, with a newer timestamp than before.
    pub fn packet(&self, text: &str) -> Packet {
        let name = format!("_iroh.{}.", self.key());
        packet::sign_txt(&self.keys, self.tick(), &[(&name, text)])
    }

    /// PUTs a new packet with this text.
    pub async fn put(&self, node: &Node, text: &str) -> PutAnswer {
        self.put_packet(node, &self.packet(text)).await
    }

    /// PUTs a packet and records the answer.
    pub async fn put_packet(&self, node: &Node, packet: &Packet) -> PutAnswer {
        let answer = node.put(packet).await;
        self.oracle().on_answer(packet, answer);
        answer
    }

    fn tick(&self) -> u64 {
        let mut last = self.last.lock().expect("no holder panics");
        *last = packet::now_micros().max(*last + 1);
        *last
    }
}
