//! Applies commands.

use std::sync::Arc;

use bytes::Bytes;
use quorate_packet::PublicKey;

use crate::{
    ClusterState, Command, FoundingInvite, Import, LastBackup, Level, LogIndex, NodeRegistry,
    Outcome, Rejection, Renewal, SecretKind, SecretState, StoredPackets, UnixMillis,
    UnsupportedLevel, deletion::delete_packet, put_batch::put_batch,
};

/// Applies the command that the `entry` at `index` encodes, in a program that supports `supported`.
/// A command above `supported` is an error, even if its kind is unknown, and so is one that raises the
/// cluster above it: the node must stop, and nothing of the entry was applied.
pub fn apply<R: StoredPackets>(
    packets: &mut R,
    cluster: &mut ClusterState,
    supported: Level,
    index: LogIndex,
    entry: Bytes,
) -> Result<Outcome, UnsupportedLevel> {
    let command = match decode(entry, cluster.level, supported)? {
        Ok(command) => command,
        Err(rejection) => return Ok(Outcome::Rejected(rejection)),
    };
    Ok(match command {
        Command::PutBatch(batch) => put_batch(packets, cluster, batch, None),
        Command::Import(Import { received, batch }) => {
            put_batch(packets, cluster, batch, Some(&received))
        }
        Command::Expire { cutoff, count_max } => {
            Outcome::Expired(expire(packets, cutoff, count_max))
        }
        Command::RaiseLevel(level) => {
            level.check(supported)?;
            cluster.level = cluster.level.max(level);
            Outcome::Agreed
        }
        Command::Found(found) => {
            if cluster.id.is_none() {
                cluster.id = Some(found.id);
                // A restored cluster brings the capacity on which the old one had agreed.
                cluster.capacity.get_or_insert(found.capacity);
                cluster.forming = (found.voters > 1).then_some(found.voters);
                if let Some(FoundingInvite { id, invite }) = found.invite {
                    node_registry(cluster).invites.insert(id, invite);
                }
            }
            Outcome::Agreed
        }
        Command::Invite { id, invite, now } => match node_registry(cluster).invite(id, invite, now)
        {
            true => Outcome::Agreed,
            false => Outcome::Rejected(Rejection::InviteCount),
        },
        Command::Join(join) => Outcome::Joined(node_registry(cluster).join(join, index)),
        Command::Register { node, registration } => {
            match node_registry(cluster).register(node, registration, index) {
                true => Outcome::Agreed,
                false => Outcome::Rejected(Rejection::Registration),
            }
        }
        Command::Deregister(node) => {
            node_registry(cluster).deregister(node, index);
            // The removed node has the key.
            secrets(cluster).key_due = Some(index);
            Outcome::Agreed
        }
        Command::DeregisterCompromised(node) => {
            node_registry(cluster).deregister(node, index);
            let kinds = SecretKind::of_operators();
            secrets(cluster).demand(kinds, Renewal::Compromised, index);
            Outcome::Agreed
        }
        Command::FinishFounding => {
            cluster.forming = None;
            Outcome::Agreed
        }
        Command::Vouch(voucher) => {
            node_registry(cluster).vouch(voucher);
            Outcome::Agreed
        }
        Command::DropVouchers(upto) => {
            node_registry(cluster).vouchers.drop_upto(upto);
            Outcome::Agreed
        }
        Command::ChangeZone(change) => agree(&mut cluster.zones, |zones| change.changed(zones)),
        Command::ChangePublishing(change) => agree(&mut cluster.publishing, |publishing| {
            change.changed(publishing)
        }),
        Command::DeletePacket {
            key,
            blocked_until,
            now,
        } => delete_packet(packets, &mut cluster.publishing, key, blocked_until, now),
        Command::ChangeSettings(change) => match change.apply(cluster) {
            Ok(()) => Outcome::Agreed,
            Err(rejection) => Outcome::Rejected(rejection),
        },
        Command::Tick { now } => {
            cluster.time.advance(now);
            Outcome::Agreed
        }
        Command::RecordBackup(record) => match cluster.last_backup.record(record) {
            Ok(()) => Outcome::Agreed,
            Err(rejection) => Outcome::Rejected(rejection),
        },
        Command::SetBack { now } => {
            set_back(cluster, now);
            Outcome::Agreed
        }
        Command::DemandKey => {
            secrets(cluster).key_due = Some(index);
            Outcome::Agreed
        }
        Command::SwitchKey(switch) => {
            secrets(cluster).switch_key(switch);
            Outcome::Agreed
        }
        Command::StoreSecret(secret) => match secrets(cluster).store(secret, index) {
            Ok(()) => Outcome::Agreed,
            Err(rejection) => Outcome::Rejected(rejection.into()),
        },
        Command::DropSecrets(kinds) => {
            secrets(cluster).drop_lost(&kinds);
            Outcome::Agreed
        }
        Command::DemandSecrets { kinds, renewal } => {
            secrets(cluster).demand(kinds, renewal, index);
            Outcome::Agreed
        }
    })
}

/// Sets time back, and with it times that are wrong: the expiry of tokens created meanwhile, and when
/// secrets were made. Blocks stay: one that ends late can be lifted, and one that ended early would
/// accept what an operator excluded.
fn set_back(cluster: &mut ClusterState, now: UnixMillis) {
    let Some((after, by)) = cluster.time.set_back(now) else {
        return;
    };
    let lower = |time: &mut UnixMillis| {
        if *time >= after {
            *time = time.saturating_sub(by);
        }
    };
    for invite in node_registry(cluster).invites.values_mut() {
        lower(&mut invite.expires);
    }
    for secret in secrets(cluster).stored.values_mut() {
        lower(&mut secret.sealed.made);
    }
    // Otherwise the next backup would be due too late.
    let LastBackup { saved, failed, .. } = &mut cluster.last_backup;
    for record in [saved, failed].into_iter().flatten() {
        lower(&mut record.at);
    }
}

/// Replaces `state` with the result of a change, if it differs.
fn agree<S, E: Into<Rejection>>(
    state: &mut Arc<S>,
    changed: impl FnOnce(&S) -> Result<Option<S>, E>,
) -> Outcome {
    match changed(state) {
        Ok(Some(changed)) => *state = Arc::new(changed),
        Ok(None) => {}
        Err(rejection) => return Outcome::Rejected(rejection.into()),
    }
    Outcome::Agreed
}

fn secrets(cluster: &mut ClusterState) -> &mut SecretState {
    Arc::make_mut(&mut cluster.secrets)
}

fn node_registry(cluster: &mut ClusterState) -> &mut NodeRegistry {
    Arc::make_mut(&mut cluster.node_registry)
}

/// The command, or why all nodes reject it, or why this node must stop.
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

fn expire<R: StoredPackets>(packets: &mut R, cutoff: UnixMillis, count_max: u32) -> usize {
    let mut count = 0;
    let is_old = |oldest: &(UnixMillis, PublicKey)| oldest.0 < cutoff;
    while count < count_max
        && let Some((_, key)) = packets.oldest().filter(is_old)
    {
        packets.remove(&key);
        count += 1;
    }
    count as usize
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
