//! Publishers that write continuously in the background.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{Nodes, Oracle, Publisher, PutAnswer, wait::until};

/// The most keys of one writer: the oracle reads each of them at every node.
const KEYS_PER_WRITER_MAX: usize = 256;

/// How long a publisher waits after an answer other than an acknowledgement.
const BACKOFF: Duration = Duration::from_millis(10);

/// How long a test waits for acknowledgements of a running load.
const ACKS_WITHIN: Duration = Duration::from_secs(20);

/// Writers in the background. Each writes to one node, and moves to the next one after an answer other
/// than an acknowledgement.
pub struct Load {
    stop: watch::Sender<bool>,
    nodes: watch::Sender<Nodes>,
    writers: JoinSet<()>,
    keys: Keys,
    counts: Arc<Counts>,
}

/// Counts of answers to PUTs.
#[derive(Default)]
struct Counts {
    acked: AtomicU64,
    failed: AtomicU64,
}

/// The keys that a load publishes, in the order of their first PUTs.
#[derive(Clone, Default)]
pub(crate) struct Keys(Arc<Mutex<Vec<Arc<Publisher>>>>);

impl Keys {
    /// Publisher `number` modulo their count; `None` if there is none yet.
    pub(crate) fn nth(&self, number: usize) -> Option<Arc<Publisher>> {
        let publishers = self.lock();
        let at = number.checked_rem(publishers.len())?;
        Some(publishers[at].clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Publisher>>> {
        // Adding a key cannot panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    /// Starts `writer_count` writers, spread over `nodes`.
    pub fn start(nodes: &Nodes, writer_count: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (sender, nodes) = watch::channel(nodes.clone());
        let (keys, counts) = (Keys::default(), Arc::<Counts>::default());
        let mut writers = JoinSet::new();
        for writer in 0..writer_count {
            let (nodes, stopped) = (nodes.clone(), stopped.clone());
            let (keys, counts) = (keys.clone(), counts.clone());
            writers.spawn(write(writer, nodes, stopped, keys, counts));
        }
        Self {
            stop,
            nodes: sender,
            writers,
            keys,
            counts,
        }
    }

    /// Writes to these nodes from now on.
    pub fn turn_to(&self, nodes: Nodes) {
        self.nodes.send_replace(nodes);
    }

    /// The keys that it publishes.
    pub(crate) fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// PUTs of all writers that were acknowledged so far.
    pub fn acked_count(&self) -> u64 {
        self.counts.acked.load(Ordering::Relaxed)
    }

    /// PUTs of all writers with any other answer.
    pub fn failed_count(&self) -> u64 {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// Waits for `count` more acknowledgements, and returns how long they took.
    pub async fn wait_for_acks(&self, count: u64) -> Duration {
        let started = Instant::now();
        let goal = self.acked_count() + count;
        until(
            &format!("{count} more acknowledged PUTs"),
            ACKS_WITHIN,
            async || {
                let acked = self.acked_count();
                if acked >= goal {
                    Ok(())
                } else {
                    Err(format!("{acked} of {goal}"))
                }
            },
        )
        .await;
        started.elapsed()
    }

    /// Stops after every PUT in progress has its answer. Returns what the cluster must hold.
    pub async fn stop(mut self) -> Oracle {
        self.stop.send_replace(true);
        while let Some(ended) = self.writers.join_next().await {
            ended.expect("a writer does not panic");
        }
        let mut oracle = Oracle::default();
        oracle.extend(self.keys.lock().drain(..));
        oracle
    }
}

async fn write(
    writer: usize,
    nodes: watch::Receiver<Nodes>,
    stopped: watch::Receiver<bool>,
    keys: Keys,
    counts: Arc<Counts>,
) {
    let mut publishers: Vec<Arc<Publisher>> = Vec::new();
    let mut at = writer;
    for round in 0.. {
        if *stopped.borrow() {
            break;
        }
        // Every other PUT is of a new key, so that no later packet hides its loss.
        if round % 2 == 0 && publishers.len() < KEYS_PER_WRITER_MAX {
            let name = format!("writer {writer} key {}", publishers.len());
            let publisher = Arc::new(Publisher::new(name));
            keys.lock().push(publisher.clone());
            publishers.push(publisher);
        }
        let publisher = match round % 2 {
            0 => &publishers[publishers.len() - 1],
            _ => &publishers[round / 2 % publishers.len()],
        };
        let node = {
            let nodes = nodes.borrow();
            nodes[at % nodes.len()].clone()
        };
        match publisher.put(&node, &format!("round {round}")).await {
            PutAnswer::Acked => {
                counts.acked.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                at += 1;
                sleep(BACKOFF).await;
            }
        }
    }
}

/// PUTs one packet for each of `key_count` new keys over `connection_count` connections.
pub async fn publish_many(nodes: &Nodes, key_count: usize, connection_count: usize) -> Oracle {
    let mut tasks = JoinSet::new();
    for connection in 0..connection_count {
        let node = nodes[connection % nodes.len()].clone();
        tasks.spawn(async move {
            let mut publishers = Vec::new();
            for key in (connection..key_count).step_by(connection_count) {
                let publisher = Arc::new(Publisher::new(format!("key {key}")));
                publisher.put(&node, &format!("text of {key}")).await;
                publishers.push(publisher);
            }
            publishers
        });
    }
    let mut oracle = Oracle::default();
    while let Some(publishers) = tasks.join_next().await {
        oracle.extend(publishers.expect("a writer does not panic"));
    }
    oracle
}
