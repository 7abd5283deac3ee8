//! The records of an origin, on the wire.

use hickory_proto::{
    rr::{Name, Record},
    serialize::binary::{BinEncodable, BinEncoder},
};

use crate::{
    message::{SourceRecord, rdata_extent},
    name::{Labels, NameRef, SourceLabels, end_in_place},
    origin::OriginError,
    rdata::Layout,
    target::Apex,
    tree::{OFFSET_MAX, RecordTree},
    tree_builder::TreeBuilder,
};

/// Records one after the other, with all names unpacked: so that each stands by itself, however
/// many there are.
pub(crate) struct ZoneMessage {
    origin: Box<[u8]>,
    bytes: Vec<u8>,
    records: Vec<(SourceRecord, usize)>,
    foreign: Vec<usize>,
}

impl ZoneMessage {
    /// That of the origin of this name.
    pub(crate) fn new(origin: &Name) -> Self {
        let mut wire = Vec::new();
        push_name(&mut wire, &origin.to_lowercase());
        Self {
            origin: wire.into(),
            // Offset 0 is that of no name.
            bytes: vec![0],
            records: Vec::new(),
            foreign: Vec::new(),
        }
    }

    /// The name of the origin.
    pub(crate) fn origin(&self) -> (Box<[u8]>, Labels) {
        let labels = Labels::parse(&self.origin).expect("it was a name");
        (self.origin.clone(), labels)
    }

    /// Adds a record of the origin.
    pub(crate) fn push(&mut self, record: &Record, origin: &Name) -> Result<(), OriginError> {
        let unencodable = || OriginError::Unencodable {
            owner: record.name.to_string(),
            record_type: record.record_type().to_string(),
            origin: origin.to_string(),
        };
        let mut packed = Vec::new();
        let mut encoder = BinEncoder::new(&mut packed);
        record.emit(&mut encoder).map_err(|_| unencodable())?;
        let read = SourceRecord::read(&packed, 0).ok();
        let read = read.and_then(|(read, _)| Some((read, read.unpacked_size(&packed)?)));
        let (read, size) = read.ok_or_else(unencodable)?;
        let length = u16::try_from(size).map_err(|_| unencodable())?;
        if self.bytes.len() + packed.len() + size > OFFSET_MAX {
            return Err(OriginError::TooLarge {
                origin: origin.to_string(),
            });
        }
        let owner_at = self.bytes.len();
        unpack_name(&packed, read.owner_at, &mut self.bytes);
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&length.to_be_bytes());
        unpack_data(&packed, &read, &mut self.bytes);
        let unpacked = SourceRecord {
            owner_at,
            length_at,
            ..read
        };
        self.records.push((unpacked, size));
        Ok(())
    }

    /// Adds the name of an origin inside this one.
    pub(crate) fn push_foreign(&mut self, name: &Name) {
        self.foreign.push(self.bytes.len());
        push_name(&mut self.bytes, name);
    }

    /// The bytes, and the tree of the records in them.
    pub(crate) fn compile(self) -> (Box<[u8]>, RecordTree) {
        let (name, labels) = self.origin();
        let apex = Apex::Origin(NameRef::new(&name, &labels));
        let bytes: Box<[u8]> = self.bytes.into();
        let mut builder = TreeBuilder::new(&bytes, apex, self.records.len());
        for (record, size) in &self.records {
            builder.push(record, *size);
        }
        for owner_at in self.foreign {
            builder.push_foreign(owner_at);
        }
        let tree = builder.build();
        (bytes, tree)
    }
}

fn push_name(out: &mut Vec<u8>, name: &Name) {
    for label in name.iter() {
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
    out.push(0);
}

fn unpack_name(packed: &[u8], at: usize, out: &mut Vec<u8>) {
    for (at, label) in SourceLabels::new(packed, at) {
        out.extend_from_slice(&packed[at..=at + label.len()]);
    }
    out.push(0);
}

fn unpack_data(packed: &[u8], record: &SourceRecord, out: &mut Vec<u8>) {
    let (mut at, end) = rdata_extent(packed, record.length_at);
    if let Some(layout) = Layout::of(record.record_type) {
        let name_at = layout.name_at(packed, at);
        out.extend_from_slice(&packed[at..name_at]);
        at = name_at;
        for _ in 0..layout.name_count() {
            unpack_name(packed, at, out);
            at = end_in_place(packed, at);
        }
    }
    out.extend_from_slice(&packed[at..end]);
}
