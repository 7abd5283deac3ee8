//! The vote and its file.
//!
//! The body of its block is empty while there is no vote. Otherwise it has term 8, whether
//! committed 1 and node 32 bytes. Both copies are written at each save, so that damage to one loses
//! nothing.

use std::{cmp::Ordering, io, path::Path};

use bytes::{Buf, BufMut};
use quorate_disk::{Disk, OpenMode};

use crate::{
    LogError,
    block::{BlockKind, BlockPair},
};

/// The size of a node's id on disk, in bytes.
pub const NODE_SIZE: usize = 32;

/// The name of the file.
pub(crate) const VOTE_FILE: &str = "vote";

/// The node that this one voted for, and the term: `currentTerm` and `votedFor` of the Raft paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedVote {
    pub term: u64,
    /// Whether a quorum has granted it.
    pub committed: bool,
    pub node: [u8; NODE_SIZE],
}

/// A vote may only increase: to a higher term, or from requested to granted within a term. Votes
/// for two candidates in one term are not comparable.
impl PartialOrd for SavedVote {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let by_progress = (self.term, self.committed).cmp(&(other.term, other.committed));
        (by_progress != Ordering::Equal || self.node == other.node).then_some(by_progress)
    }
}

impl SavedVote {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u64_le(self.term);
        bytes.put_u8(u8::from(self.committed));
        bytes.put_slice(&self.node);
        bytes
    }

    /// The vote in the body of a block: `Some(None)` for no vote yet, `None` for an invalid body.
    pub(crate) fn parse(mut body: &[u8]) -> Option<Option<Self>> {
        if body.is_empty() {
            return Some(None);
        }
        let term = body.try_get_u64_le().ok()?;
        let committed = body.try_get_u8().ok()? == 1;
        let node = body.try_into().ok()?;
        Some(Some(Self {
            term,
            committed,
            node,
        }))
    }
}

/// The file of the vote.
#[derive(Debug)]
pub(crate) struct VoteFile {
    pub(crate) pair: BlockPair,
}

impl VoteFile {
    /// Creates the file of a new log.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, log_id: u64) -> Result<(), LogError> {
        let path = dir.join(VOTE_FILE);
        BlockPair::create(disk, &path, BlockKind::Vote, log_id, [0, 0], &[])
    }

    /// Opens the file and returns the newest copy. It counts only after [`Self::rewrite`].
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<(Self, Option<SavedVote>), LogError> {
        let path = dir.join(VOTE_FILE);
        let (pair, newest) = BlockPair::open(disk, &path, BlockKind::Vote, OpenMode::Write)?;
        let vote = SavedVote::parse(&newest)
            .ok_or_else(|| LogError::damaged(&path, 0, "the vote cannot be read"))?;
        Ok((Self { pair }, vote))
    }

    /// Writes `vote`, the newest copy, to both copies and syncs: one may be older or unsynced.
    pub(crate) fn rewrite(&self, vote: Option<SavedVote>) -> io::Result<()> {
        self.write(vote)?;
        self.sync()
    }

    /// Writes both copies. The vote counts after [`Self::sync`].
    pub(crate) fn save(&mut self, vote: SavedVote) -> io::Result<()> {
        self.pair.number += 1;
        self.write(Some(vote))
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.pair.file.sync_data()
    }

    fn write(&self, vote: Option<SavedVote>) -> io::Result<()> {
        let body = vote.map_or_else(Vec::new, |vote| vote.encode());
        self.pair.write(0, body.clone())?;
        self.pair.write(1, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_only_increase() {
        let vote = |term, committed, node| SavedVote {
            term,
            committed,
            node: [node; NODE_SIZE],
        };
        assert!(vote(2, false, 1) > vote(1, true, 9));
        assert!(vote(1, true, 9) > vote(1, false, 1));
        assert!(vote(1, false, 1) >= vote(1, false, 1));
        assert_eq!(vote(1, false, 1).partial_cmp(&vote(1, false, 2)), None);
    }
}
