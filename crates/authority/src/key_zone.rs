//! The zone that a packet makes.

use hickory_proto::{
    op::Message,
    rr::{DNSClass, RData, Record, RecordType},
    serialize::binary::DecodeError,
};
use quorate_packet::{PublicKey, SignedPacket};

/// The first and the last of the types that are no data: of questions, and of the protocol itself
/// (RFC 6895, section 3.1).
const META_TYPES: std::ops::RangeInclusive<u16> = 128..=255;

/// The records of a packet that may be served: of class IN, with owner names that end in the
/// signer's key, and of types that a key may decide on.
#[derive(Debug)]
pub(crate) struct KeyZone {
    pub(crate) key: PublicKey,
    pub(crate) records: Vec<Record>,
}

impl KeyZone {
    pub(crate) fn decode(packet: &SignedPacket) -> Result<Self, DecodeError> {
        let mut records = Message::from_vec(packet.dns())?.answers;
        records.retain(|record| {
            record.dns_class == DNSClass::IN
                && is_servable(&record.data)
                && is_key(record.name.iter().next_back(), packet.key())
        });
        let key = *packet.key();
        Ok(Self { key, records })
    }

    /// The records at a name, as [`node`] finds them.
    pub(crate) fn node(&self, labels: &[&[u8]]) -> Option<Vec<&Record>> {
        node(self.records.iter(), labels)
    }
}

/// The records at a name, or `None` when it does not exist. A name with other names below it
/// exists, with no records (RFC 8020); one that does not exist has the records of a wildcard at its
/// closest encloser (RFC 4592, section 3.3.1). Where there are no records at all, not even the key
/// exists.
///
/// `labels` are those of the name left of the key, from the right.
pub(crate) fn node<'a>(
    records: impl Iterator<Item = &'a Record> + Clone,
    labels: &[&[u8]],
) -> Option<Vec<&'a Record>> {
    // Every record makes the names above it exist, up to where it parts from the name asked.
    let shared = |record: &Record| labels_shared(record, labels);
    let encloser = records.clone().map(shared).max()?;
    let closest = records.filter(|record| shared(record) == encloser);
    let mut closest: Vec<&Record> = closest.collect();

    let mut depth = encloser;
    if encloser < labels.len() {
        closest.retain(|record| labels_above_key(record).nth(encloser) == Some(b"*"));
        if closest.is_empty() {
            return None;
        }
        depth += 1;
    }
    closest.retain(|record| labels_above_key(record).len() == depth);
    Some(closest)
}

/// Whether a key may decide on data of this type. SOA belongs to the origin. Records without data
/// mean something only in dynamic updates (RFC 2136, section 2.4).
fn is_servable(data: &RData) -> bool {
    let record_type = data.record_type();
    !matches!(data, RData::Update0(_))
        && !matches!(
            record_type,
            RecordType::SOA | RecordType::OPT | RecordType::ZERO
        )
        && !META_TYPES.contains(&record_type.into())
}

/// The labels of the owner's name left of the key, from the right.
pub(crate) fn labels_above_key(record: &Record) -> impl ExactSizeIterator<Item = &[u8]> {
    record.name.iter().rev().skip(1)
}

/// How many labels the owner's name has in common with `labels`, from the key on.
pub(crate) fn labels_shared(record: &Record, labels: &[&[u8]]) -> usize {
    let pairs = labels_above_key(record).zip(labels);
    pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// Whether a label names this key, in whatever spelling.
pub(crate) fn is_key(label: Option<&[u8]>, key: &PublicKey) -> bool {
    label.is_some_and(|label| PublicKey::parse_z32(label).as_ref() == Ok(key))
}
