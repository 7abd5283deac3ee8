//! A backup as a stream of bytes.

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream};
use quorate_admin::{BackupBytes, Backups};
use quorate_backup::{BackupHeader, BackupMember, BackupWriter};
use quorate_peer::chain;
use quorate_raft::{BackupSource, Node};
use quorate_replica::ReadError;
use quorate_state::millis;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};

/// How many pieces of a backup may wait for its reader: a [`PIECE_SIZE`] each.
const WAITING_PIECES_MAX: usize = 4;

/// The size of a piece, in bytes.
const PIECE_SIZE: usize = 1024 * 1024;

/// How long to work without a pause: less than a publisher waits anyway.
const WORK_MAX: Duration = Duration::from_millis(1);

/// How many times as long as the work before it a pause is.
const PAUSE_PER_WORK: u32 = 3;

/// The longest pause. The work before it includes the time for which the reader was slow.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Makes backups of a node, one at a time.
#[derive(Clone)]
pub(crate) struct NodeBackups {
    node: Arc<Node>,
    gate: Arc<Mutex<()>>,
}

impl NodeBackups {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            gate: Arc::default(),
        }
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// What to make a backup from, when no other one is being made, and the turn to make it.
    pub(super) async fn source(&self) -> Result<(BackupSource, OwnedMutexGuard<()>), ReadError> {
        let turn = self.gate.clone().lock_owned().await;
        Ok((self.node.backup_source().await?, turn))
    }
}

impl Backups for NodeBackups {
    fn start(&self) -> BoxFuture<'_, Result<Option<BackupBytes>, ReadError>> {
        Box::pin(async {
            let Ok(turn) = self.gate.clone().try_lock_owned() else {
                return Ok(None);
            };
            let source = self.node.backup_source().await?;
            Ok(Some(bytes_of(source, turn)))
        })
    }
}

/// The bytes of a backup, written while they are read. Another one can start after the last byte was written.
fn bytes_of(source: BackupSource, turn: OwnedMutexGuard<()>) -> BackupBytes {
    let (sender, pieces) = mpsc::channel(WAITING_PIECES_MAX);
    let writing = background(move || {
        let _turn = turn;
        if let Err(error) = write(source, PieceWriter(sender.clone())) {
            tracing::warn!(error = chain(&error), "a backup was not completed");
            // It fails if the reader has gone.
            let _ = sender.blocking_send(Err(error));
        }
    });
    // The reader sees the end of the pieces.
    drop(writing);
    Box::pin(stream::unfold(pieces, async |mut pieces| {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    }))
}

/// Runs `work` on a thread that leaves the CPU to the requests of the node.
pub(super) fn background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    thread::spawn(move || {
        quorate_ctl::lower_priority();
        // It fails if nobody waits any more.
        let _ = done.send(work());
    });
    result
}

/// Writes a backup, with pauses: even a thread of low priority delays requests that share its caches.
pub(super) fn write(mut source: BackupSource, out: impl Write) -> io::Result<()> {
    let header = header(&source);
    let out = io::BufWriter::with_capacity(PIECE_SIZE, out);
    let mut writer = BackupWriter::new(out, &header, &source.meta.cluster)?;
    let mut started = Instant::now();
    loop {
        let batch = source.packets.next_batch().map_err(io::Error::other)?;
        if batch.is_empty() {
            break;
        }
        for stored in &batch {
            writer.push(stored)?;
            let worked = started.elapsed();
            if worked >= WORK_MAX {
                thread::sleep((worked * PAUSE_PER_WORK).min(PAUSE_MAX));
                started = Instant::now();
            }
        }
    }
    writer.finish().map(drop)
}

fn header(source: &BackupSource) -> BackupHeader {
    let BackupSource {
        meta,
        members,
        has_leader,
        staleness,
        ..
    } = source;
    let cluster = &meta.cluster;
    let member = |(node, address): (&quorate_peer::NodeId, &String)| BackupMember {
        node: node.to_string(),
        name: cluster
            .node_registry
            .registrations
            .get(&node.0)
            .map_or_else(String::new, |registration| registration.name.clone()),
        address: address.clone(),
        is_voter: members.configs.iter().any(|config| config.contains(node)),
    };
    BackupHeader {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: cluster.id.map_or_else(String::new, |id| id.to_string()),
        node: source.node.to_string(),
        applied: meta.applied,
        cluster_time_ms: cluster.time.last_in_log().map(|time| time.0),
        has_leader: *has_leader,
        staleness_ms: staleness.map(millis),
        packet_count: meta.packets.usage.count,
        packets_size: meta.packets.usage.size,
        packets_hash: format!("{:032x}", meta.packets.hash),
        members: members.nodes.iter().map(member).collect(),
    }
}

/// Sends what is written to the reader. Blocks while the reader is slow.
struct PieceWriter(mpsc::Sender<io::Result<Bytes>>);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self(sender) = self;
        let sent = sender.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "its reader has gone"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
