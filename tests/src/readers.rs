//! Readers that read continuously in the background and check what they see.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{Answer, Load, Node, Nodes, Publisher, load::Keys, packet::micros_of};

/// The pause between reads: readers check the work and are not the load.
const REST: Duration = Duration::from_millis(3);

/// The distance, in order of publishing, between keys that are read one after the other: a prime, so
/// that every key is read.
const STRIDE: usize = 7919;

/// What readers saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Reads of one node, none older than an earlier one at the same node.
    pub stale: u64,
    /// Linearizable reads, each of which showed everything acknowledged before it started.
    pub linearizable: u64,
    /// Rejected linearizable reads.
    pub refused: u64,
}

/// Readers in the background of the keys of a load. At each node one reads what the node holds, and
/// one sends linearizable reads.
pub struct Readers {
    stop: watch::Sender<bool>,
    readers: JoinSet<Reads>,
}

impl Readers {
    /// Starts readers at all of these nodes.
    pub fn start(nodes: &Nodes, load: &Load) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut readers = JoinSet::new();
        for node in nodes.iter() {
            let reader = || Reader {
                node: node.clone(),
                keys: load.keys(),
                stopped: stopped.clone(),
                round: 0,
                reads: Reads::default(),
            };
            readers.spawn(reader().read_what_the_node_holds());
            readers.spawn(reader().read_what_the_cluster_holds());
        }
        Self { stop, readers }
    }

    /// Stops them, and panics if one saw something wrong.
    pub async fn stop(self) -> Reads {
        self.stop.send_replace(true);
        let mut all = Reads::default();
        for reads in self.readers.join_all().await {
            all.stale += reads.stale;
            all.linearizable += reads.linearizable;
            all.refused += reads.refused;
        }
        all
    }
}

struct Reader {
    node: Arc<Node>,
    keys: Keys,
    stopped: watch::Receiver<bool>,
    round: usize,
    reads: Reads,
}

impl Reader {
    /// Pauses, and returns whose key to read next. `None` when it must stop.
    async fn next(&mut self) -> Option<Arc<Publisher>> {
        while !*self.stopped.borrow() {
            sleep(REST).await;
            self.round += 1;
            if let Some(publisher) = self.keys.nth(self.round * STRIDE) {
                return Some(publisher);
            }
        }
        None
    }

    /// Checks that no packet is older than one seen at this node before.
    async fn read_what_the_node_holds(mut self) -> Reads {
        let mut newest: HashMap<String, Option<u64>> = HashMap::new();
        while let Some(publisher) = self.next().await {
            let key = publisher.key();
            let answer = self.node.get_unless_unreached(&key).await;
            let Some(found) = answer.as_ref().and_then(micros_in) else {
                continue;
            };
            let newest = newest.entry(key).or_default();
            assert!(
                found >= *newest,
                "{} at {}: a read went back from {newest:?} to {found:?}",
                publisher.name(),
                self.node.name(),
            );
            *newest = found;
            self.reads.stale += 1;
        }
        self.reads
    }

    /// Checks that no packet is older than one acknowledged at any node before the read started.
    async fn read_what_the_cluster_holds(mut self) -> Reads {
        while let Some(publisher) = self.next().await {
            let acked = publisher.oracle().acked_micros();
            let answer = self.node.get_linearizable(&publisher.key()).await;
            let Some(answer) = answer else {
                continue;
            };
            match micros_in(&answer) {
                Some(found) => {
                    assert!(
                        found >= acked,
                        "{} at {}: a linearizable read showed {found:?}, and {acked:?} was \
                         acknowledged before",
                        publisher.name(),
                        self.node.name(),
                    );
                    self.reads.linearizable += 1;
                }
                None => self.reads.refused += 1,
            }
        }
        self.reads
    }
}

/// The timestamp of the packet that a read found, `Some(None)` if it found none, `None` if it was
/// rejected.
fn micros_in(answer: &Answer) -> Option<Option<u64>> {
    match answer.status {
        503 => None,
        _ => Some(answer.found().and_then(micros_of)),
    }
}
