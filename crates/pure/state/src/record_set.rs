//! Sets of DNS records.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::WireName;

/// The overhead of a set in bytes: its type, TTL and a count; and of a record: the size of its data.
const RECORD_SET_OVERHEAD: usize = 10;
const RECORD_OVERHEAD: usize = 4;

/// Records of one owner and type (RFC 2181, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// The TTL, in seconds.
    pub ttl_secs: u32,
    /// The data of each record, in wire format without compression. No two are equal.
    pub rdata: Vec<Bytes>,
}

/// Sets by owner and type.
pub type RecordSets = BTreeMap<(WireName, u16), RecordSet>;

/// A record set with its owner and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSet {
    pub owner: WireName,
    /// The type of the records.
    pub record_type: u16,
    pub records: RecordSet,
}

impl RecordSet {
    /// Its size without its owner, in bytes.
    pub(crate) fn size(&self) -> usize {
        let records = self.rdata.iter().map(|data| RECORD_OVERHEAD + data.len());
        RECORD_SET_OVERHEAD + records.sum::<usize>()
    }
}
