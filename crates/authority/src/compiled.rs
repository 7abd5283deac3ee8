//! A packet, made ready to be asked.

use hickory_proto::op::Message;
use quorate_packet::SignedPacket;

/// A signed packet, parsed and checked once, so that no question parses it again.
#[derive(Debug, Clone)]
pub struct CompiledPacket {
    packet: SignedPacket,
    ttl_secs_min: Option<u32>,
}

impl CompiledPacket {
    /// Compiles a packet. One that cannot be decoded makes every answer an
    /// [`UndecodableError`](crate::UndecodableError).
    pub fn compile(packet: &SignedPacket) -> Self {
        let message = Message::from_vec(packet.dns()).ok();
        Self {
            packet: packet.clone(),
            ttl_secs_min: message
                .and_then(|message| message.all_sections().map(|record| record.ttl).min()),
        }
    }

    /// The packet as it was signed.
    pub fn packet(&self) -> &SignedPacket {
        &self.packet
    }

    /// The smallest TTL of all records in the packet, in seconds, whether they are served or not.
    pub fn ttl_secs_min(&self) -> Option<u32> {
        self.ttl_secs_min
    }
}
