//! Zone cuts in a packet: names that its NS records hand to other servers.
//!
//! Below the key a cut is what RFC 1034, section 4.3.2, step 3b, and RFC 2181, section 6, say: at it
//! and below it the packet has no authority, whatever else it holds there. NS records of a
//! wildcard are a cut for its own name alone (RFC 4592, section 4.2, leaves their meaning open).
//!
//! NS records at the key itself would hide the whole packet, `_iroh.<z32>` first, though the same
//! publisher signed both. So there, data in the packet is answered first, and the cut answers what
//! the packet does not have: names that would not exist without the NS records and their glue. A key
//! with other names below it therefore exists, and stays undelegated itself: resolvers that ask for
//! one label at a time (RFC 9156) would never come down to `_iroh`.

use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};

use crate::key_zone::{KeyZone, is_key, labels_above_key, labels_shared, node};

/// A zone cut.
#[derive(Debug)]
pub(crate) struct Cut<'a> {
    /// How many labels its name has left of the key.
    pub(crate) depth: usize,
    /// Its NS records, of which there are some.
    pub(crate) servers: Vec<&'a Record>,
}

impl KeyZone {
    /// The cut that a question about the name of these `labels`, as [`node`] takes them, runs into.
    /// Of several below the key it is the highest.
    pub(crate) fn cut(&self, labels: &[&[u8]], record_type: RecordType) -> Option<Cut<'_>> {
        let depth = |record: &Record| labels_above_key(record).len();
        let servers = self.records.iter().filter(|record| {
            record.record_type() == RecordType::NS && labels_shared(record, labels) == depth(record)
        });
        let below_key = servers.clone().map(depth).filter(|depth| *depth > 0);
        let at_key = || {
            let delegated = servers.clone().next().is_some();
            (delegated && self.leaves_to_key_cut(labels, record_type)).then_some(0)
        };
        let cut_depth = below_key.min().or_else(at_key)?;
        let servers = servers.filter(|record| depth(record) == cut_depth);
        Some(Cut {
            depth: cut_depth,
            servers: servers.collect(),
        })
    }

    /// The records at a name, without those of wildcards.
    pub(crate) fn exactly_at(&self, labels: &[&[u8]]) -> impl Iterator<Item = &Record> + Clone {
        self.records.iter().filter(move |record| {
            labels_above_key(record).len() == labels.len()
                && labels_shared(record, labels) == labels.len()
        })
    }

    /// Whether a cut at the key answers the question. Who asks for the NS records of the key asks
    /// for the cut.
    fn leaves_to_key_cut(&self, labels: &[&[u8]], record_type: RecordType) -> bool {
        let records = self.records.iter();
        let data = records.filter(|record| !self.is_key_cut(record));
        (labels.is_empty() && record_type == RecordType::NS) || node(data, labels).is_none()
    }

    /// Whether a record is part of a cut at the key: one of its NS records, or their glue.
    fn is_key_cut(&self, record: &Record) -> bool {
        let is_server = |record: &Record| {
            record.record_type() == RecordType::NS && labels_above_key(record).len() == 0
        };
        let mut servers = self.records.iter().filter(|record| is_server(record));
        is_server(record)
            || record.record_type().is_ip_addr()
                && servers.any(|ns| self.is_target(ns, &record.name))
    }

    /// Whether a NS record names this owner, under whatever origin.
    fn is_target(&self, ns: &Record, owner: &Name) -> bool {
        let RData::NS(rdata::NS(target)) = &ns.data else {
            return false;
        };
        let above_key = owner.iter().len() - 1;
        let mut pairs = owner.iter().zip(target).take(above_key);
        pairs.all(|(a, b)| a.eq_ignore_ascii_case(b))
            && is_key(target.iter().nth(above_key), &self.key)
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
