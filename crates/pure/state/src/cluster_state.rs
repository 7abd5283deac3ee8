//! What the cluster has agreed on beside its packets.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey};

use crate::{
    Capacity, ClusterId, ClusterNames, Invite, InviteId, Level, PublishState, Registration, Roll,
    UnixMillis, ZoneState, zone_state::Secrecy,
};

/// What the cluster has agreed on beside its packets: equal on all nodes that have applied the same
/// entries. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterState {
    /// The feature level in use. A command above it is rejected by all nodes.
    pub level: Level,
    /// The capacity, if one is set: without, everything is taken.
    pub capacity: Option<Capacity>,
    /// Who the cluster is, once that is agreed on.
    pub names: ClusterNames,
    pub roll: Arc<Roll>,
    /// What DNS serves beside packets. Default below [`Level::ZONES`].
    pub zones: Arc<ZoneState>,
    /// Who may publish, and what was deleted. Default below [`Level::PUBLISHING`].
    pub publishing: Arc<PublishState>,
}

impl ClusterState {
    /// Level (u16), whether there is a capacity (u8), its count and size (u64 each); then the size
    /// (u32) of what was added since: the names, each 32 bytes behind a u8 that says whether it is
    /// there; the number (u16) of registrations and they, the number of invites and they; from
    /// [`Level::ZONES`] on, the zones; from [`Level::PUBLISHING`] on, who may publish. Integers are big-endian; a text is its size (u16) and its bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(Secrecy::Whole)
    }

    /// The same without any secret, to be digested and shown. Nobody can read it back.
    pub fn encode_public(&self) -> Vec<u8> {
        self.encode_with(Secrecy::Public)
    }

    /// Programs that do not know zones, or who may publish, write the same at their levels: what they
    /// send each other, and its digest, must not differ.
    fn encode_with(&self, secrecy: Secrecy) -> Vec<u8> {
        let capacity = self.capacity.unwrap_or(Capacity {
            count_max: 0,
            size_max: 0,
        });
        let mut added = Vec::new();
        encode_id(&mut added, self.names.id);
        encode_id(&mut added, self.names.founding);
        encode_roll(&mut added, &self.roll);
        if self.level >= Level::ZONES {
            self.zones.encode(&mut added, secrecy);
        }
        if self.level >= Level::PUBLISHING {
            self.publishing.encode(&mut added, secrecy);
        }
        let mut out = Vec::with_capacity(32 + added.len());
        out.put_u16(self.level.0);
        out.put_u8(self.capacity.is_some().into());
        out.put_u64(capacity.count_max);
        out.put_u64(capacity.size_max);
        out.put_u32(u32::try_from(added.len()).expect("what is counted above has bounds"));
        out.put_slice(&added);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote, and returns what follows it.
    pub fn decode(mut bytes: &[u8]) -> Option<(Self, &[u8])> {
        let level = Level(bytes.try_get_u16().ok()?);
        let has_capacity = bytes.try_get_u8().ok()? != 0;
        let capacity = Capacity {
            count_max: bytes.try_get_u64().ok()?,
            size_max: bytes.try_get_u64().ok()?,
        };
        let added_size = bytes.try_get_u32().ok()?;
        let (mut added, rest) = bytes.split_at_checked(usize::try_from(added_size).ok()?)?;
        let names = ClusterNames {
            id: decode_id(&mut added)?,
            founding: decode_id(&mut added)?,
        };
        let roll = Arc::new(decode_roll(&mut added)?);
        let mut added = Bytes::copy_from_slice(added);
        let zones = match level >= Level::ZONES {
            true => ZoneState::decode(&mut added)?,
            false => ZoneState::default(),
        };
        let publishing = match level >= Level::PUBLISHING {
            true => PublishState::decode(&mut added)?,
            false => PublishState::default(),
        };
        let state = Self {
            level,
            capacity: has_capacity.then_some(capacity),
            names,
            roll,
            zones: Arc::new(zones),
            publishing: Arc::new(publishing),
        };
        Some((state, rest))
    }
}

fn encode_id(out: &mut Vec<u8>, id: Option<ClusterId>) {
    out.put_u8(id.is_some().into());
    out.put_slice(&id.map_or([0; 32], |id| id.0));
}

fn decode_id(bytes: &mut &[u8]) -> Option<Option<ClusterId>> {
    let is_there = bytes.try_get_u8().ok()? != 0;
    let id = decode_array(bytes)?;
    Some(is_there.then_some(ClusterId(id)))
}

fn encode_roll(out: &mut Vec<u8>, roll: &Roll) {
    let count = |count: usize| u16::try_from(count).expect("the roll has bounds");
    out.put_u16(count(roll.registrations.len()));
    for (node, registration) in &roll.registrations {
        out.put_slice(node.as_bytes());
        encode_registration(out, registration);
    }
    out.put_u16(count(roll.invites.len()));
    for (id, invite) in &roll.invites {
        out.put_slice(&id.0);
        out.put_slice(invite.key.as_bytes());
        out.put_u64(invite.expires.0);
        out.put_u8(invite.stays_learner.into());
        out.put_u8(invite.used_by.is_some().into());
        out.put_slice(
            &invite
                .used_by
                .map_or([0; PUBLIC_KEY_SIZE], |node| *node.as_bytes()),
        );
    }
}

fn decode_roll(bytes: &mut &[u8]) -> Option<Roll> {
    let mut roll = Roll::default();
    for _ in 0..bytes.try_get_u16().ok()? {
        let node = PublicKey::from_bytes(decode_array(bytes)?);
        let registration = decode_registration(bytes)?;
        roll.registrations.insert(node, registration);
    }
    for _ in 0..bytes.try_get_u16().ok()? {
        let id = InviteId(decode_array(bytes)?);
        let key = PublicKey::from_bytes(decode_array(bytes)?);
        let expires = UnixMillis(bytes.try_get_u64().ok()?);
        let stays_learner = bytes.try_get_u8().ok()? != 0;
        let is_used = bytes.try_get_u8().ok()? != 0;
        let user = PublicKey::from_bytes(decode_array(bytes)?);
        let invite = Invite {
            key,
            expires,
            stays_learner,
            used_by: is_used.then_some(user),
        };
        roll.invites.insert(id, invite);
    }
    Some(roll)
}

pub(crate) fn encode_registration(out: &mut impl BufMut, registration: &Registration) {
    encode_text(out, &registration.name);
    encode_text(out, &registration.address);
    out.put_u8(registration.stays_learner.into());
    out.put_u8(registration.has_data.into());
}

pub(crate) fn decode_registration(bytes: &mut impl Buf) -> Option<Registration> {
    Some(Registration {
        name: decode_text(bytes)?,
        address: decode_text(bytes)?,
        stays_learner: bytes.try_get_u8().ok()? != 0,
        has_data: bytes.try_get_u8().ok()? != 0,
    })
}

pub(crate) fn encode_text(out: &mut impl BufMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).expect("names and addresses have bounds"));
    out.put_slice(text.as_bytes());
}

pub(crate) fn decode_text(bytes: &mut impl Buf) -> Option<String> {
    let size = usize::from(bytes.try_get_u16().ok()?);
    if size > bytes.remaining() {
        return None;
    }
    let mut text = vec![0; size];
    bytes.copy_to_slice(&mut text);
    String::from_utf8(text).ok()
}

pub(crate) fn decode_array<const SIZE: usize>(bytes: &mut impl Buf) -> Option<[u8; SIZE]> {
    let mut array = [0; SIZE];
    bytes.try_copy_to_slice(&mut array).ok()?;
    Some(array)
}

#[cfg(test)]
#[path = "cluster_state_tests.rs"]
mod tests;
