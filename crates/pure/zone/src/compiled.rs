//! A packet, parsed and indexed for queries.

use quorate_packet::SignedPacket;
use quorate_state::is_data_type;

use crate::{
    message::{CLASS_IN, MessageError, Records},
    target::Apex,
    tree::RecordTree,
    tree_builder::TreeBuilder,
};

/// A signed packet, parsed and checked once, so that no query parses it again.
///
/// It serves the records of class IN whose owner names end in the signer's key, whose types a key
/// may publish, and whose data has its names where the type has them. It shares the bytes of the
/// packet, and needs little more memory than the packet itself.
#[derive(Debug, Clone)]
pub struct CompiledPacket {
    packet: SignedPacket,
    ttl_secs_min: Option<u32>,
    tree: Result<RecordTree, MessageError>,
}

impl CompiledPacket {
    /// Compiles a packet. If it cannot be decoded, every answer from it is an
    /// [`UndecodableError`](crate::UndecodableError).
    pub fn compile(packet: &SignedPacket) -> Self {
        let packet = packet.clone();
        match Records::read(packet.dns()) {
            Ok(records) => Self {
                tree: Ok(tree(&packet, &records)),
                ttl_secs_min: records.ttl_secs_min,
                packet,
            },
            Err(error) => Self {
                packet,
                ttl_secs_min: None,
                tree: Err(error),
            },
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

    /// The records that may be served.
    pub(crate) fn tree(&self) -> Result<&RecordTree, MessageError> {
        self.tree.as_ref().map_err(|error| *error)
    }
}

fn tree(packet: &SignedPacket, records: &Records) -> RecordTree {
    let apex = Apex::Key(packet.key());
    let mut builder = TreeBuilder::new(packet.dns(), apex, records.answers.len());
    for record in &records.answers {
        // Records without data mean something only in dynamic updates (RFC 2136, section 2.4).
        if record.class == CLASS_IN
            && is_data_type(record.record_type)
            && let Some(size) = record.unpacked_size(packet.dns())
        {
            builder.push(record, size);
        }
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{packet, record};

    /// The usual packet of an endpoint. There may be a million of them.
    #[test]
    fn a_compiled_packet_is_small() {
        let records = [
            "_iroh.KEY. 30 TXT relay=https://relay.test",
            "_iroh.KEY. 30 TXT addr=192.0.2.1:1234",
        ];
        let packet = CompiledPacket::compile(&packet(records.map(record).to_vec()));
        let heap_size = packet.tree().unwrap().heap_size();
        assert_eq!(heap_size, 52);
        assert!(size_of::<CompiledPacket>() + heap_size <= 140);
    }

    #[test]
    fn the_bytes_of_the_packet_are_shared() {
        let packet = packet(vec![record("KEY. 30 TXT x")]);
        let compiled = CompiledPacket::compile(&packet);
        let bytes = |packet: &SignedPacket| packet.payload().as_ptr();
        assert_eq!(bytes(compiled.packet()), bytes(&packet));
    }

    #[test]
    fn every_record_counts_for_the_smallest_ttl() {
        let records = [
            "KEY. 30 TXT x",
            "outside. 20 TXT x",
            "KEY. 40 SOA a. b. 1 2 3 4 5",
        ];
        let of = |records: &[&str]| {
            let records = records.iter().map(|text| record(text)).collect();
            CompiledPacket::compile(&packet(records)).ttl_secs_min()
        };
        assert_eq!(of(&records), Some(20));
        assert_eq!(of(&[]), None);
    }
}
