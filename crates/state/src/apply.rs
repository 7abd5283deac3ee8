//! Applying a command.

use bytes::Bytes;
use quorate_packet::PublicKey;
use serde::{Deserialize, Serialize};

use crate::{
    ClusterState, Command, CommandError, Level, StoredPackets, UnixMillis, UnsupportedLevel,
    put_batch::put_batch,
};

/// What applying a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a `PutBatch`.
    Put {
        /// For each packet, in the order of the batch.
        outcomes: Vec<PutOutcome>,
        /// How many packets gave way to them.
        evicted_count: u64,
    },
    /// How many packets `Expire` removed.
    Expired(usize),
    /// What the cluster has agreed on now: of `RaiseLevel` and `SetCapacity`.
    Agreed(ClusterState),
    /// The entry was no command to apply, and changed nothing.
    Rejected(Rejection),
}

/// What became of one packet. Nodes tell it each other, so its variants are never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PutOutcome {
    /// It is stored now.
    Stored,
    /// It was stored before; the cluster has received it again.
    Unchanged,
    /// A newer one is stored.
    Superseded,
    /// Its timestamp lies too far ahead of the cluster's time:
    /// [`PutBatch::latest_timestamp`](crate::PutBatch::latest_timestamp).
    TooFarAhead,
    /// Its key is unknown, the [`Capacity`](crate::Capacity) is reached, and no stored packet is old
    /// enough to give way.
    Full,
}

/// Why all nodes reject an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is no command.
    #[error("it cannot be decoded")]
    NoCommand(#[from] CommandError),
    /// The cluster does not use it yet.
    #[error("it needs feature level {needed}, and the cluster is at {agreed}")]
    AboveCluster {
        /// The level of the command.
        needed: Level,
        /// The level in use.
        agreed: Level,
    },
}

/// Why an entry cannot be applied: always fatal to the node. Nothing of the entry was applied, unless
/// the packets failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError<E> {
    /// It is beyond this program.
    #[error(transparent)]
    Level(#[from] UnsupportedLevel),
    /// The packets cannot be read or written.
    #[error("the packets failed")]
    Packets(E),
}

/// Applies the command that `entry` encodes, in a program that supports `supported`.
///
/// A command above `supported` is an error, be its kind unknown, and so is one that raises the
/// cluster above it.
pub fn apply<R: StoredPackets>(
    packets: &mut R,
    cluster: &mut ClusterState,
    supported: Level,
    entry: Bytes,
) -> Result<Outcome, ApplyError<R::Error>> {
    let command = match decode(entry, cluster.level, supported)? {
        Ok(command) => command,
        Err(rejection) => return Ok(Outcome::Rejected(rejection)),
    };
    let outcome = match command {
        Command::PutBatch(batch) => put_batch(packets, cluster.capacity, batch),
        Command::Expire { cutoff, count_max } => {
            expire(packets, cutoff, count_max).map(Outcome::Expired)
        }
        Command::RaiseLevel(level) => {
            level.check(supported)?;
            cluster.level = cluster.level.max(level);
            Ok(Outcome::Agreed(*cluster))
        }
        Command::SetCapacity(capacity) => {
            cluster.capacity = Some(capacity);
            Ok(Outcome::Agreed(*cluster))
        }
    };
    outcome.map_err(ApplyError::Packets)
}

/// The command, or why all nodes reject it, or why this one must stop.
fn decode(
    entry: Bytes,
    agreed: Level,
    supported: Level,
) -> Result<Result<Command, Rejection>, UnsupportedLevel> {
    let needed = match Command::encoded_level(&entry) {
        Ok(needed) => needed,
        Err(error) => return Ok(Err(error.into())),
    };
    needed.check(supported)?;
    Ok(match needed > agreed {
        true => Err(Rejection::AboveCluster { needed, agreed }),
        false => Command::decode(entry).map_err(Rejection::NoCommand),
    })
}

fn expire<R: StoredPackets>(
    packets: &mut R,
    cutoff: UnixMillis,
    count_max: u32,
) -> Result<usize, R::Error> {
    let mut count = 0;
    let is_old = |oldest: &(UnixMillis, PublicKey)| oldest.0 < cutoff;
    while count < count_max
        && let Some((_, key)) = packets.oldest()?.filter(is_old)
    {
        packets.remove(&key)?;
        count += 1;
    }
    Ok(count as usize)
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
