//! The best survivor becomes the first node of a new cluster.

use quorate_peer::message::Payload;
use quorate_state::{ClusterState, LEVEL_MAX, LogPosition};
use quorate_store::PacketsSummary;

use crate::{NewNode, RecoveryError, Survivor, survivor::follow};

/// What the new cluster begins with.
#[derive(Debug)]
pub struct Recovered {
    /// The last entry of the survivor that was applied.
    pub last: Option<LogPosition>,
    /// Why no further entry was applied, if there are more.
    pub stopped: Option<String>,
    pub packets: PacketsSummary,
    /// With what else the new cluster begins.
    pub state: ClusterState,
}

/// Prepares `new` with the packets of a survivor and all entries of its log that can be read, committed or
/// not. `last` is the last position of the old cluster: see [`Assessment`](crate::Assessment).
///
/// Stops at the first entry that is damaged or above the feature level of this program. Memberships are left
/// out, and from the state everything that belongs to the old cluster.
pub fn recover(
    survivor: &Survivor,
    new: &NewNode,
    last: LogPosition,
) -> Result<Recovered, RecoveryError> {
    if let Some(reason) = &survivor.summary.store_damage
        && !survivor.has_first_entry()
    {
        return Err(RecoveryError::Unreadable {
            dir: survivor.dir().to_owned(),
            reason: reason.clone(),
        });
    }
    if let Ok(meta) = &survivor.meta {
        meta.cluster.level.check(LEVEL_MAX)?;
    }
    let store = new.create_store(|config, metrics| survivor.copy_store(config, metrics))?;
    let apply = |position: LogPosition, payload: Payload| {
        let (_, applied) = store.transact(|packets, meta| {
            if let Payload::Command(command) = payload {
                let (cluster, index) = (&mut meta.cluster, position.index);
                quorate_state::apply(packets, cluster, LEVEL_MAX, index, command)
                    .map_err(|error| format!("entry {index} cannot be applied: {error}"))?;
            }
            meta.applied = Some(position);
            Ok(())
        });
        applied
    };
    let applied = store.meta().applied;
    let stopped = match &survivor.log {
        Some(log) => {
            let stopped = follow(log, applied, apply).err();
            // Otherwise nothing after the last entry is damaged.
            let is_short = survivor.summary.unreachable.is_some();
            let damage = log.damage().filter(|_| is_short);
            stopped.or_else(|| damage.map(ToString::to_string))
        }
        None => survivor.summary.log_damage.clone(),
    };
    let reached = store.meta().applied;
    if reached.is_none() {
        return Err(RecoveryError::Nothing);
    }
    Ok(Recovered {
        last: reached,
        stopped,
        packets: new.finish(&store, last)?,
        state: store.meta().cluster,
    })
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
