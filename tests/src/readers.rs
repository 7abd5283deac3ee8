//! Readers that read all the time, while something else happens, and know what they may see.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{Answer, Load, Node, Nodes, Publisher, load::Keys, packet::micros_of};

/// How long a reader rests between reads: it watches the work and is not the load.
const REST: Duration = Duration::from_millis(3);

/// How far the keys lie apart, in the order of their publishing, that are read one after the other:
/// a prime, so that all of them have their turn.
const STRIDE: usize = 7919;

/// What readers saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Reads of what a node held, none of which was older than one before it at the same node.
    pub stale: u64,
    /// Linearizable reads, each of which showed all that was acknowledged when it began.
    pub linearizable: u64,
    /// Linearizable reads that were refused.
    pub refused: u64,
}

/// Readers in the background, of the keys that a load publishes. At each node one reads what the
/// node holds, and one what the cluster holds.
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

    /// Ends them, and panics if one saw what it must not see.
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
    /// Rests, and says whose key to read then. `None` once it shall stop.
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

    /// No packet is older than one that was seen here before.
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

    /// No packet is older than one that was acknowledged, anywhere, before the read began.
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

/// The timestamp of the packet that a read found, `Some(None)` if it found none; `None` if it was
/// refused.
fn micros_in(answer: &Answer) -> Option<Option<u64>> {
    match answer.status {
        503 => None,
        _ => Some(answer.found().and_then(micros_of)),
    }
}
