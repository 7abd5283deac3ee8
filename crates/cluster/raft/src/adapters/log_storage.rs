//! The Raft log as openraft sees it.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use futures_util::{Stream, TryStreamExt, stream};
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use quorate_log::Log;
use quorate_packet::PublicKey;
use quorate_peer::{NodeId, message};
use quorate_state::Term;
use tokio::sync::oneshot;

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    entry_times::{LastEntryTimes, indexes},
    types::{Entry, LogId, TypeConfig, Vote},
};

/// The most bytes of entries in one AppendEntries, except for a single entry that is larger. At
/// this size a round trip costs little compared with the bytes.
const APPEND_SIZE_MAX: usize = 2 * 1024 * 1024;

#[derive(Clone)]
pub(crate) struct LogStorage(pub(crate) Arc<Log>, pub(super) LastEntryTimes);

impl LogStorage {
    /// Reads from `start` to before `end`, about `size_max` bytes and at least one entry. Fails if
    /// an entry is missing.
    fn read(&self, start: u64, end: u64, size_max: usize) -> io::Result<Vec<Entry>> {
        let entries = self.0.read(start..end, size_max)?;
        if let Some(gap) = entries
            .windows(2)
            .find(|pair| pair[0].0.index.next() != pair[1].0.index)
        {
            let (before, after) = (gap[0].0.index, gap[1].0.index);
            let text = format!("entry {after} follows {before}: the log has a gap");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        entries
            .into_iter()
            .map(|(position, bytes)| {
                let payload = message::Payload::decode(&bytes)?;
                Ok(message::Entry { position, payload }.into_openraft()?)
            })
            .collect()
    }
}

impl RaftLogReader<TypeConfig> for LogStorage {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<Entry>> {
        let (start, end) = bounds(&range);
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, APPEND_SIZE_MAX)
    }

    /// Reads piece by piece, so that a restart does not load the complete log into memory.
    async fn entries_stream<R>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let pieces = stream::try_unfold((self.clone(), start), move |(log, next)| async move {
            let entries = match next < end {
                true => log.read(next, end, APPEND_SIZE_MAX)?,
                false => return Ok::<_, io::Error>(None),
            };
            let after = entries.last().map(|last| last.log_id.index() + 1);
            Ok(after.map(|after| (stream::iter(entries.into_iter().map(Ok)), (log, after))))
        });
        Box::pin(pieces.try_flatten())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(saved_vote(&self.0).into_openraft())
    }
}

impl RaftLogStorage<TypeConfig> for LogStorage {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.0.state();
        Ok(LogState {
            last_purged_log_id: state.purged.into_openraft(),
            last_log_id: state.last.into_openraft(),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = vote.into_ours();
        let vote = quorate_log::SavedVote {
            term: vote.term.0,
            committed: vote.committed,
            node: *vote.node.0.as_bytes(),
        };
        flushed(|on_flushed| self.0.save_vote(vote, on_flushed)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        match committed {
            Some(committed) => self.0.save_committed(committed.into_ours()),
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.0.state().committed.into_openraft())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(|entry| {
            let entry = entry.into_ours();
            (entry.position, entry.payload.encode())
        });
        let entries: Vec<_> = entries.collect();
        let indexes = indexes(&entries, |(position, _)| position.index.0);
        let times = self.1.clone();
        times.set_appended(indexes.clone());
        let on_flushed = move |result: io::Result<()>| {
            if result.is_ok() {
                times.set(indexes, |times| &mut times.synced);
            }
            callback.io_completed(result);
        };
        self.0.append(entries, Box::new(on_flushed))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.0.truncate_after(last.into_ours())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.0.purge(upto.into_ours())
    }
}

pub(crate) fn saved_vote(log: &Log) -> Option<message::Vote> {
    log.state().vote.map(|vote| message::Vote {
        term: Term(vote.term),
        node: NodeId(PublicKey::from_bytes(vote.node)),
        committed: vote.committed,
    })
}

/// Queues a write and waits until it is on disk. Fails if the write fails.
pub(crate) async fn flushed(
    write: impl FnOnce(quorate_log::OnFlushed) -> io::Result<()>,
) -> io::Result<()> {
    let (tx, rx) = oneshot::channel();
    // The receiver is gone when the node stops. Then no caller waits for the result.
    write(Box::new(|result| drop(tx.send(result))))?;
    rx.await
        .map_err(|_| io::Error::other("the writer of the Raft log has stopped"))?
}

/// The first index of a range, and the one after its last.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}
