//! What the cluster must hold, according to its publishers.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{Node, Nodes, Packet, Publisher, PutAnswer};

/// How many wrong reads are shown.
const SHOWN_COUNT: usize = 20;

/// What may be stored for one key.
///
/// An acknowledged packet, or a newer one, must be there from then on. A packet with an unknown outcome
/// may be there. A rejected packet must not be there.
#[derive(Debug, Default)]
pub struct KeyOracle {
    /// The newest acknowledged timestamp.
    acked: Option<u64>,
    /// Packets by timestamp that may be stored: the newest acknowledged, and unknown ones after it.
    possible: BTreeMap<u64, Bytes>,
    acked_count: u64,
    unknown_count: u64,
}

impl KeyOracle {
    /// Records the answer to a PUT.
    pub fn on_answer(&mut self, packet: &Packet, answer: PutAnswer) {
        match answer {
            PutAnswer::Acked => {
                self.acked_count += 1;
                self.acked = self.acked.max(Some(packet.micros));
            }
            PutAnswer::Unknown => self.unknown_count += 1,
            PutAnswer::Refused(_) | PutAnswer::Unreached => return,
        }
        self.possible.insert(packet.micros, packet.payload.clone());
        let newest_acked = self.acked.unwrap_or(0);
        self.possible = self.possible.split_off(&newest_acked);
    }

    /// Fails if a node must not hold `found`.
    pub fn check(&self, found: Option<&[u8]>) -> Result<(), String> {
        match (found, self.acked) {
            (None, None) => Ok(()),
            (None, Some(acked)) => Err(format!("the packet acknowledged at {acked} is lost")),
            (Some(found), _) if self.possible.values().any(|payload| payload == found) => Ok(()),
            (Some(found), acked) => Err(format!(
                "a packet of {:?} is there, which is none of those that may be: acknowledged \
                 {acked:?}, possible {:?}",
                crate::packet::micros_of(found),
                self.possible.keys(),
            )),
        }
    }

    /// The timestamp of the newest acknowledged packet, in microseconds.
    pub fn acked_micros(&self) -> Option<u64> {
        self.acked
    }

    /// How many PUTs were acknowledged.
    pub fn acked_count(&self) -> u64 {
        self.acked_count
    }

    /// How many PUTs have an unknown outcome.
    pub fn unknown_count(&self) -> u64 {
        self.unknown_count
    }
}

/// What the cluster must hold of many keys.
#[derive(Default)]
pub struct Oracle {
    publishers: Vec<Arc<Publisher>>,
}

impl Oracle {
    pub(crate) fn extend(&mut self, publishers: impl IntoIterator<Item = Arc<Publisher>>) {
        self.publishers.extend(publishers);
    }

    /// Adds the knowledge of another oracle.
    pub fn merge(&mut self, other: Self) {
        self.extend(other.publishers);
    }

    /// Its publishers.
    pub fn publishers(&self) -> &[Arc<Publisher>] {
        &self.publishers
    }

    /// How many PUTs were acknowledged.
    pub fn acked_count(&self) -> u64 {
        self.publishers
            .iter()
            .map(|publisher| publisher.oracle().acked_count())
            .sum()
    }

    /// How many PUTs have an unknown outcome.
    pub fn unknown_count(&self) -> u64 {
        self.publishers
            .iter()
            .map(|publisher| publisher.oracle().unknown_count())
            .sum()
    }

    /// How many keys have an acknowledged packet.
    pub fn acked_key_count(&self) -> u64 {
        let acked = |publisher: &&Arc<Publisher>| publisher.oracle().acked.is_some();
        self.publishers.iter().filter(acked).count() as u64
    }

    /// Reads every key at every node, and panics with all wrong reads.
    ///
    /// A follower applies an entry a little after its PUT is acknowledged elsewhere: after writes, wait
    /// with [`Nodes::expect_converged`] first.
    pub async fn expect_held_by(&self, nodes: &Nodes) {
        let read_count = self.publishers.len() * nodes.len();
        let publishers = Arc::new(self.publishers.clone());
        let mut readers = JoinSet::new();
        for node in nodes.iter() {
            readers.spawn(wrong_reads(node.clone(), publishers.clone()));
        }
        let wrong = readers.join_all().await.concat();
        assert!(
            wrong.is_empty(),
            "{} of {read_count} reads are wrong:\n{}",
            wrong.len(),
            wrong[..wrong.len().min(SHOWN_COUNT)].join("\n")
        );
    }
}

async fn wrong_reads(node: Arc<Node>, publishers: Arc<Vec<Arc<Publisher>>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for publisher in publishers.iter() {
        let answer = node.get(&publisher.key()).await;
        if let Err(reason) = publisher.oracle().check(answer.found()) {
            wrong.push(format!("{} at {}: {reason}", publisher.name(), node.name()));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(micros: u64) -> Packet {
        let payload = [&[0; 64][..], &micros.to_be_bytes()].concat().into();
        Packet {
            key: "y".repeat(52),
            micros,
            payload,
        }
    }

    #[test]
    fn an_acked_packet_must_be_there_or_a_newer_one() {
        let mut oracle = KeyOracle::default();
        oracle.check(None).unwrap();
        oracle.on_answer(&packet(1), PutAnswer::Acked);
        oracle.on_answer(&packet(2), PutAnswer::Acked);
        oracle.check(Some(&packet(2).payload)).unwrap();
        oracle.check(Some(&packet(1).payload)).unwrap_err();
        oracle.check(None).unwrap_err();
    }

    #[test]
    fn an_unknown_packet_may_be_there() {
        let mut oracle = KeyOracle::default();
        oracle.on_answer(&packet(1), PutAnswer::Acked);
        oracle.on_answer(&packet(2), PutAnswer::Unknown);
        oracle.check(Some(&packet(1).payload)).unwrap();
        oracle.check(Some(&packet(2).payload)).unwrap();
        oracle.check(None).unwrap_err();
    }

    #[test]
    fn a_rejected_packet_must_not_be_stored() {
        let mut oracle = KeyOracle::default();
        oracle.on_answer(&packet(1), PutAnswer::Refused(503));
        oracle.check(None).unwrap();
        oracle.check(Some(&packet(1).payload)).unwrap_err();
    }
}
