//! Applying a command to the packets.

use std::{cmp::Ordering, time::Duration};

use bytes::Bytes;
use quorate_packet::SignedPacket;
use serde::{Deserialize, Serialize};

use crate::{Command, CommandError, PutBatch, StoredPacket, StoredPackets, UnixMillis};

/// How far a packet's timestamp may lie ahead of the leader's clock.
///
/// A packet of the year 2500 would win against every later one for ever. Ten minutes forgive a
/// signer's clock that is set by hand. A constant and no setting: nodes that differed in it would
/// come to different packets.
pub const TIMESTAMP_AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// What applying a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// For each packet of a `PutBatch`, in its order.
    Put(Vec<PutOutcome>),
    /// How many packets `Expire` removed.
    Expired(usize),
    /// The command could not be decoded and changed nothing.
    Rejected(CommandError),
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
    /// Its timestamp lies further ahead of the leader's clock than [`TIMESTAMP_AHEAD_MAX`].
    TooFarAhead,
}

/// Applies the command that `entry` encodes.
///
/// Fails only when the packets do.
pub fn apply<R: StoredPackets>(packets: &mut R, entry: Bytes) -> Result<Outcome, R::Error> {
    match Command::decode(entry) {
        Ok(Command::PutBatch(batch)) => put_batch(packets, batch),
        Ok(Command::Expire { cutoff, count_max }) => {
            let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
            Ok(Outcome::Expired(
                packets.remove_received_before(cutoff, count_max)?,
            ))
        }
        Err(error) => Ok(Outcome::Rejected(error)),
    }
}

fn put_batch<R: StoredPackets>(packets: &mut R, batch: PutBatch) -> Result<Outcome, R::Error> {
    let outcomes = batch
        .packets
        .into_iter()
        .map(|packet| put(packets, batch.now, packet));
    Ok(Outcome::Put(outcomes.collect::<Result<_, _>>()?))
}

fn put<R: StoredPackets>(
    packets: &mut R,
    now: UnixMillis,
    packet: SignedPacket,
) -> Result<PutOutcome, R::Error> {
    let latest = now.saturating_add(TIMESTAMP_AHEAD_MAX);
    if packet.timestamp().as_micros() / 1000 > latest.0 {
        return Ok(PutOutcome::TooFarAhead);
    }
    let old = packets.stored_packet(packet.key())?;
    let (packet, outcome) = match &old {
        None => (packet, PutOutcome::Stored),
        Some(old) => match packet.recency(&old.packet) {
            Ordering::Greater => (packet, PutOutcome::Stored),
            Ordering::Equal => (old.packet.clone(), PutOutcome::Unchanged),
            Ordering::Less => return Ok(PutOutcome::Superseded),
        },
    };
    // A leader whose clock is behind its predecessor's must not make a packet look older.
    let received = old.as_ref().map_or(now, |old| now.max(old.received));
    packets.put(&StoredPacket { received, packet })?;
    Ok(outcome)
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
