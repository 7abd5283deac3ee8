//! Backups for tests.

use ed25519_dalek::{Signer, SigningKey};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_state::{Capacity, ClusterId, ClusterState, LogPosition, StoredPacket, UnixMillis};

use crate::{BackupHeader, BackupMember, BackupWriter};

/// A signed packet of a key that depends on the number.
pub(crate) fn stored(number: u32) -> StoredPacket {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    let key = SigningKey::from_bytes(&seed);
    let micros = 1_700_000_000_000_000 + u64::from(number);
    let dns = [0; 12];
    let mut signable = format!("3:seqi{micros}e1:v{}:", dns.len()).into_bytes();
    signable.extend(dns);
    let signature = key.sign(&signable).to_bytes();
    let payload = [&signature[..], &micros.to_be_bytes(), &dns].concat();
    let public = PublicKey::from_bytes(key.verifying_key().to_bytes());
    StoredPacket {
        received: UnixMillis(1_700_000_000_000 + u64::from(number)),
        packet: SignedPacket::parse(public, payload.into()).unwrap(),
    }
}

/// So many packets in the order of their keys.
pub(crate) fn packets(count: u32) -> Vec<StoredPacket> {
    let mut packets: Vec<_> = (0..count).map(stored).collect();
    packets.sort_by_key(|stored| *stored.packet.key());
    packets
}

pub(crate) fn header(packet_count: u64) -> BackupHeader {
    BackupHeader {
        program: "1".to_owned(),
        cluster: "07".repeat(32),
        node: "n".to_owned(),
        applied: Some(LogPosition::new(2, 9)),
        cluster_time_ms: Some(1_700_000_000_000),
        has_leader: true,
        staleness_ms: Some(3),
        packet_count,
        packets_size: 0,
        packets_hash: "00".to_owned(),
        members: vec![BackupMember {
            node: "n".to_owned(),
            name: "node-1".to_owned(),
            address: "a:1".to_owned(),
            is_voter: true,
        }],
    }
}

pub(crate) fn state() -> ClusterState {
    ClusterState {
        id: Some(ClusterId([7; 32])),
        capacity: Some(Capacity {
            count_max: 9,
            size_max: 99,
        }),
        ..ClusterState::default()
    }
}

pub(crate) fn backup_of(packets: &[StoredPacket]) -> Vec<u8> {
    let mut writer =
        BackupWriter::new(Vec::new(), &header(packets.len() as u64), &state()).unwrap();
    packets
        .iter()
        .for_each(|stored| writer.push(stored).unwrap());
    writer.finish().unwrap().0
}
