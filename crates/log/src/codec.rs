//! What is written to disk, and in which bytes.
//!
//! Every record of the log crate carries its own checksum, so nothing here does.

use std::{
    cmp::Ordering,
    io::{self, Read, Write},
};

use bytes::Bytes;
use codeq::{Decode, Encode};
use quorate_state::LogPosition;

/// The size of a node's id on disk, in bytes.
pub const NODE_SIZE: usize = 32;

/// The longest payload that is believed when the log is read, in bytes. A group of packets takes
/// 256 KiB and a membership far less: a larger length is damage, not data.
const PAYLOAD_SIZE_MAX: usize = 16 * 1024 * 1024;

/// Who may lead in which term: `votedFor` of the Raft paper, and whether a quorum agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// The term.
    pub term: u64,
    /// Whether a quorum granted it.
    pub committed: bool,
    /// The node voted for.
    pub node: [u8; NODE_SIZE],
}

/// A vote only moves forward: to a higher term, or from asked-for to granted within a term. Two
/// candidates of one term do not compare.
impl PartialOrd for Vote {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let by_progress = (self.term, self.committed).cmp(&(other.term, other.committed));
        (by_progress != Ordering::Equal || self.node == other.node).then_some(by_progress)
    }
}

/// The payload of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload(pub(crate) Bytes);

/// A position on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) LogPosition);

impl Encode for Position {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        Ok(self.0.term.0.encode(&mut w)? + self.0.index.0.encode(&mut w)?)
    }
}

impl Decode for Position {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let (term, index) = (u64::decode(&mut r)?, u64::decode(&mut r)?);
        Ok(Self(LogPosition::new(term, index)))
    }
}

impl Encode for Vote {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let size = self.term.encode(&mut w)? + u8::from(self.committed).encode(&mut w)?;
        w.write_all(&self.node)?;
        Ok(size + NODE_SIZE)
    }
}

impl Decode for Vote {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let term = u64::decode(&mut r)?;
        let committed = u8::decode(&mut r)? != 0;
        let mut node = [0; NODE_SIZE];
        r.read_exact(&mut node)?;
        Ok(Self {
            term,
            committed,
            node,
        })
    }
}

impl Encode for Payload {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let size = u32::try_from(self.0.len())
            .map_err(io::Error::other)?
            .encode(&mut w)?;
        w.write_all(&self.0)?;
        Ok(size + self.0.len())
    }
}

impl Decode for Payload {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let size = usize::try_from(u32::decode(&mut r)?).map_err(io::Error::other)?;
        if size > PAYLOAD_SIZE_MAX {
            let text = format!("an entry of {size} bytes is impossible: the log is damaged");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut payload = vec![0; size];
        r.read_exact(&mut payload)?;
        Ok(Self(payload.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_move_forward_only() {
        let vote = |term, committed, node| Vote {
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
