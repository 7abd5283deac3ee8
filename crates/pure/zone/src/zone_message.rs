//! The configured records of an origin, in wire form.

use quorate_state::WireName;

use crate::{
    message::{CLASS_IN, SourceRecord},
    name::{Labels, NameRef},
    origin::{Origin, OriginError},
    rdata::types,
    target::Apex,
    tree::{OFFSET_MAX, RecordTree},
    tree_builder::TreeBuilder,
};

/// Records one after the other, without compressed names. So no record depends on another,
/// however many there are.
pub(crate) struct ZoneMessage<'o> {
    origin: &'o WireName,
    bytes: Vec<u8>,
    records: Vec<(SourceRecord, usize)>,
    other_origins: Vec<usize>,
}

impl<'o> ZoneMessage<'o> {
    /// The records of an origin. It only notes the names of the origins inside it.
    pub(crate) fn new(origin: &'o Origin, inner: &[&WireName]) -> Result<Self, OriginError> {
        let mut message = Self {
            origin: &origin.name,
            // No name is at offset 0.
            bytes: vec![0],
            records: Vec::new(),
            other_origins: Vec::new(),
        };
        message.push(
            &origin.name,
            types::SOA,
            origin.soa_ttl_secs,
            &origin.soa_data(),
        )?;
        for ((owner, record_type), set) in &origin.sets {
            for data in &set.rdata {
                message.push(owner, *record_type, set.ttl_secs, data)?;
            }
        }
        for inner in inner {
            message.other_origins.push(message.bytes.len());
            message.bytes.extend_from_slice(inner.as_bytes());
        }
        Ok(message)
    }

    fn push(
        &mut self,
        owner: &WireName,
        record_type: u16,
        ttl_secs: u32,
        data: &[u8],
    ) -> Result<(), OriginError> {
        let owner_at = self.bytes.len();
        if owner_at + owner.as_bytes().len() + data.len() > OFFSET_MAX {
            let origin = self.origin.clone();
            return Err(OriginError::TooLarge { origin });
        }
        self.bytes.extend_from_slice(owner.as_bytes());
        let record = SourceRecord {
            owner_at,
            record_type,
            class: CLASS_IN,
            ttl_secs,
            length_at: self.bytes.len(),
        };
        let length = u16::try_from(data.len()).ok();
        let length_bytes = length.unwrap_or_default().to_be_bytes();
        self.bytes.extend_from_slice(&length_bytes);
        self.bytes.extend_from_slice(data);
        let size = record.unpacked_size(&self.bytes);
        // Configured data must have no pointers: they would refer to unrelated bytes here.
        let size = size.filter(|size| length.is_some() && *size == data.len());
        let size = size.ok_or_else(|| OriginError::Unencodable {
            owner: owner.clone(),
            record_type,
            origin: self.origin.clone(),
        })?;
        self.records.push((record, size));
        Ok(())
    }

    /// The bytes, and the tree of the records in them.
    pub(crate) fn compile(self) -> (Box<[u8]>, RecordTree) {
        let name = self.origin.as_bytes();
        let labels = Labels::parse(name).expect("a `WireName` is a valid name");
        let apex = Apex::Origin(NameRef::new(name, &labels));
        let bytes: Box<[u8]> = self.bytes.into();
        let mut builder = TreeBuilder::new(&bytes, apex, self.records.len());
        for (record, size) in &self.records {
            builder.push(record, *size);
        }
        for owner_at in self.other_origins {
            builder.push_other_origin(owner_at);
        }
        let tree = builder.build();
        (bytes, tree)
    }
}
