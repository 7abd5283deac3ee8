//! Applying a command.

use std::sync::Arc;

use bytes::Bytes;
use quorate_packet::PublicKey;

use crate::{
    ClusterState, Command, Level, Outcome, REGISTRATION_COUNT_MAX, Registration, Rejection, Roll,
    StoredPackets, UnixMillis, UnsupportedLevel, deletion::delete_packet, put_batch::put_batch,
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
        Command::PutBatch(batch) => put_batch(packets, cluster, batch),
        Command::Expire { cutoff, count_max } => {
            expire(packets, cutoff, count_max).map(Outcome::Expired)
        }
        Command::RaiseLevel(level) => {
            level.check(supported)?;
            cluster.level = cluster.level.max(level);
            Ok(Outcome::Agreed)
        }
        Command::Found(found) => {
            if cluster.names.id.is_none() {
                cluster.names = found.names;
                cluster.capacity = Some(found.capacity);
            }
            Ok(Outcome::Agreed)
        }
        Command::Invite { id, invite, now } => Ok(match roll(cluster).invite(id, invite, now) {
            true => Outcome::Agreed,
            false => Outcome::Rejected(Rejection::InviteCount),
        }),
        Command::Join(join) => Ok(Outcome::Joined(roll(cluster).join(join))),
        Command::Register { node, registration } => Ok(register(cluster, node, registration)),
        Command::Deregister(node) => {
            roll(cluster).registrations.remove(&node);
            Ok(Outcome::Agreed)
        }
        Command::ChangeZone(change) => Ok(match change.changed(&cluster.zones) {
            Ok(Some(zones)) => {
                cluster.zones = Arc::new(zones);
                Outcome::Agreed
            }
            Ok(None) => Outcome::Agreed,
            Err(rejection) => Outcome::Rejected(rejection.into()),
        }),
        Command::RotateCookies { secret, now } => {
            let zones = Arc::make_mut(&mut cluster.zones);
            zones.cookie_secrets.rotate(secret, now);
            Ok(Outcome::Agreed)
        }
        Command::ChangePublishing(change) => Ok(match change.changed(&cluster.publishing) {
            Ok(Some(publishing)) => {
                cluster.publishing = Arc::new(publishing);
                Outcome::Agreed
            }
            Ok(None) => Outcome::Agreed,
            Err(rejection) => Outcome::Rejected(rejection.into()),
        }),
        Command::DeletePacket {
            key,
            blocked_until,
            now,
        } => delete_packet(packets, &mut cluster.publishing, key, blocked_until, now),
    };
    outcome.map_err(ApplyError::Packets)
}

fn roll(cluster: &mut ClusterState) -> &mut Roll {
    Arc::make_mut(&mut cluster.roll)
}

fn register(cluster: &mut ClusterState, node: PublicKey, registration: Registration) -> Outcome {
    let registrations = &cluster.roll.registrations;
    let has_room =
        registrations.len() < REGISTRATION_COUNT_MAX || registrations.contains_key(&node);
    if !registration.fits() || !has_room {
        return Outcome::Rejected(Rejection::Registration);
    }
    roll(cluster).registrations.insert(node, registration);
    Outcome::Agreed
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
