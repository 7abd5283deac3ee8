//! Applying a command.

use bytes::Bytes;
use quorate_packet::PublicKey;

use crate::{
    ClusterState, Command, Level, Outcome, Rejection, StoredPackets, UnixMillis, UnsupportedLevel,
    put_batch::put_batch,
};

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
