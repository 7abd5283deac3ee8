//! Writes record sets to a response.
//!
//! Names are compressed (RFC 1035, section 4.1.4) by their origin, not by comparison. A pointer can
//! refer to the name in the question or a suffix of it, to the target of the previous alias, or to
//! a label that the packet has at the same offset. So no name is ever searched for, and an answer
//! is at most about as large as the packet's own records, which were compressed too.

use quorate_packet::{DNS_SIZE_MAX, message::HEADER_SIZE};

use crate::{
    Question,
    message::{CLASS_IN, rdata_range},
    name::{NAME_SIZE_MAX, Name, NameRef, POINTER, SourceLabels, SourcePieces, end_in_place},
    rdata::RdataFormat,
    record_set::{ANY_RDATA, Content, Owner, RecordSet},
    target::Target,
    tree::Record,
    zone_data::ZoneData,
};

/// Pointers can hold only offsets below this.
const POINTER_TARGET_END: usize = 1 << 14;

/// Appends record sets to a message that holds its header and question.
pub(crate) struct Writer<'w> {
    out: &'w mut Vec<u8>,
    size_max: usize,
    question: NameRef<'w>,
    /// The offset of the target of the last alias.
    target_at: usize,
    written: Option<WrittenNames>,
}

/// For each offset of a packet: where its label is in the response.
struct WrittenNames {
    /// 0 if it was not written. The high bit marks names that end in the question's origin instead
    /// of ending as in the packet: after the same label these continue differently.
    offsets: [u16; DNS_SIZE_MAX],
}

impl WrittenNames {
    fn none() -> Self {
        Self {
            offsets: [0; DNS_SIZE_MAX],
        }
    }
}

const UNDER_ORIGIN: u16 = 1 << 15;

impl<'w> Writer<'w> {
    pub(crate) fn new(question: &'w Question<'_>, size_max: usize, out: &'w mut Vec<u8>) -> Self {
        debug_assert_eq!(out.len(), HEADER_SIZE + question.wire().len());
        Self {
            out,
            size_max,
            question: question.name_ref(),
            target_at: HEADER_SIZE,
            written: None,
        }
    }

    /// Writes sets and counts their records, up to the first set that does not fit. Returns whether
    /// all of them fit.
    pub(crate) fn write_all<'s>(
        &mut self,
        sets: impl IntoIterator<Item = &'s RecordSet<'s>>,
        count: &mut u16,
    ) -> bool {
        sets.into_iter().all(|set| match self.write_set(set) {
            Some(written) => {
                *count += written;
                true
            }
            None => false,
        })
    }

    /// Writes a complete set and returns its record count; `None` if it does not fit.
    fn write_set(&mut self, set: &RecordSet<'_>) -> Option<u16> {
        let start = self.out.len();
        let mut count = 0;
        let mut owner_at = None;
        let question = self.question;
        let mut write = |write_data: &mut dyn FnMut(&mut Self)| {
            #[cfg(test)]
            crate::work_fixture::step();
            self.write_head(set, &mut owner_at);
            self.write_length_and(write_data);
            count += 1;
            self.out.len() <= self.size_max
        };
        let fits = match &set.content {
            Content::Set(data, of_zone) => {
                let format = RdataFormat::of(set.record_type);
                let apex = question.suffix(data.apex_label_count());
                let records = data.tree.records(*of_zone);
                let mut records = records.filter(|record| !data.is_duplicate(record, apex));
                records.all(|record| {
                    write(&mut |writer| match format {
                        None => writer.write_opaque(data, &record),
                        Some(format) => writer.write_named(data, &record, format),
                    })
                })
            }
            Content::SynthesizedCname(data, target) => {
                write(&mut |writer| writer.write_alias(data, target))
            }
            Content::SynthesizedHinfo => {
                write(&mut |writer| writer.out.extend_from_slice(ANY_RDATA))
            }
        };
        if !fits {
            self.out.truncate(start);
            return None;
        }
        Some(count)
    }

    /// Writes owner, type, class and TTL of a record.
    fn write_head(&mut self, set: &RecordSet<'_>, owner_at: &mut Option<usize>) {
        match *owner_at {
            Some(at) if at < POINTER_TARGET_END => self.write_pointer(at),
            _ => *owner_at = Some(self.write_owner(set)),
        }
        self.out.extend_from_slice(&set.record_type.to_be_bytes());
        self.out.extend_from_slice(&CLASS_IN.to_be_bytes());
        self.out.extend_from_slice(&set.ttl_secs.to_be_bytes());
    }

    /// Writes the length and the data of a record.
    fn write_length_and(&mut self, write_data: &mut dyn FnMut(&mut Self)) {
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0; 2]);
        write_data(self);
        // Uncompressed data had at most 65535 bytes in its message, but may have more here. Then it
        // does not fit anyway.
        let length = u16::try_from(self.out.len() - length_at - 2).unwrap_or(u16::MAX);
        self.out[length_at..][..2].copy_from_slice(&length.to_be_bytes());
    }

    /// Writes the owner of a set, and returns the offset of that name.
    fn write_owner(&mut self, set: &RecordSet<'_>) -> usize {
        match (set.owner, &set.content) {
            (
                Owner::CurrentName {
                    is_question_name,
                    skipped_label_count,
                },
                _,
            ) => {
                let start = match is_question_name {
                    true => HEADER_SIZE,
                    false => self.target_at,
                };
                let mut labels = SourceLabels::new(self.out, start);
                for _ in 0..skipped_label_count {
                    labels.next();
                }
                let at = labels.at;
                self.write_pointer(at);
                at
            }
            (Owner::InRdata { name_at, target }, Content::Set(data, _)) => {
                self.write_name(data, name_at as usize, Some(target), true)
            }
            // Only addresses have an owner from RDATA, and they always are a set of a zone.
            (Owner::InRdata { .. }, _) => {
                self.write_pointer(HEADER_SIZE);
                HEADER_SIZE
            }
        }
    }

    /// Writes a pointer to a name, or the name itself if it is the root, which is smaller.
    fn write_pointer(&mut self, at: usize) {
        match self.out.get(at) {
            Some(0) => self.out.push(0),
            _ => {
                let pointer = at as u16 | u16::from(POINTER) << 8;
                self.out.extend_from_slice(&pointer.to_be_bytes());
            }
        }
    }

    /// Writes data without names.
    fn write_opaque(&mut self, data: &ZoneData<'_>, record: &Record<'_>) {
        let (start, end) = rdata_range(data.message, record.length_at());
        let rdata = data.message.get(start..end).unwrap_or_default();
        self.out.extend_from_slice(rdata);
    }

    /// Writes data that has names.
    fn write_named(&mut self, data: &ZoneData<'_>, record: &Record<'_>, format: RdataFormat) {
        let (start, end) = rdata_range(data.message, record.length_at());
        let mut at = format.name_at(data.message, start);
        let before = data.message.get(start..at).unwrap_or_default();
        self.out.extend_from_slice(before);
        for name in 0..format.name_count() {
            let target = record.target(name);
            let name_at = self.write_name(data, at, target, format.is_compressible);
            if format.is_alias {
                self.target_at = name_at;
            }
            at = end_in_place(data.message, at);
        }
        let after = data.message.get(at..end).unwrap_or_default();
        self.out.extend_from_slice(after);
    }

    /// Writes a name of a message, and returns its offset. If it is in the zone of the question, it
    /// ends in the apex exactly as the question has it.
    fn write_name(
        &mut self,
        data: &ZoneData<'_>,
        name_at: usize,
        target: Option<Target>,
        compressed: bool,
    ) -> usize {
        let apex = self.question.suffix(data.apex_label_count());
        let prefix_size = target.and_then(|target| data.prefix_size(target, apex));
        if compressed && data.is_key_zone {
            return self.write_remembered(data.message, name_at, prefix_size, apex);
        }
        let start = self.out.len();
        let size_max = prefix_size.unwrap_or(NAME_SIZE_MAX);
        for piece in SourcePieces::new(data.message, name_at, size_max) {
            self.out.extend_from_slice(piece);
        }
        match prefix_size {
            None => self.out.push(0),
            Some(0) => return self.write_apex(apex, compressed),
            Some(_) => {
                self.write_apex(apex, compressed);
            }
        }
        start
    }

    /// Writes a name of a packet up to the first label that was written before.
    fn write_remembered(
        &mut self,
        message: &[u8],
        name_at: usize,
        prefix_size: Option<usize>,
        apex: &[u8],
    ) -> usize {
        let mode = prefix_size.map_or(0, |_| UNDER_ORIGIN);
        let mut prefix_left = prefix_size;
        let start = self.out.len();
        let mut labels = SourceLabels::new(message, name_at);
        let end_at = loop {
            if prefix_left == Some(0) {
                break self.write_apex(apex, true);
            }
            let Some((at, label)) = labels.next() else {
                self.out.push(0);
                break start;
            };
            if let Some(known) = self.find_written(at, mode) {
                self.write_pointer(known);
                break known;
            }
            self.remember(at, mode);
            let size = 1 + label.len();
            self.out.extend_from_slice(&message[at..][..size]);
            prefix_left = prefix_left.map(|left| left.saturating_sub(size));
        };
        // A name that is only a pointer is where the pointer leads.
        match self.out.get(start) {
            Some(POINTER..) => end_at,
            _ => start,
        }
    }

    /// Writes the apex of the question's zone, and returns its offset in the question.
    fn write_apex(&mut self, apex: &[u8], compressed: bool) -> usize {
        let at = HEADER_SIZE + self.question.bytes.len() - apex.len();
        match compressed {
            true => self.write_pointer(at),
            false => self.out.extend_from_slice(apex),
        }
        at
    }

    /// Writes the data of a CNAME that was synthesized from a DNAME.
    fn write_alias(&mut self, data: &ZoneData<'_>, target: &Name) {
        let target = target.as_ref();
        let apex = self.question.suffix(data.apex_label_count());
        self.target_at = self.out.len();
        match target.is_within(apex, data.apex_label_count()) {
            true => {
                let bytes = target.bytes;
                let prefix_size = bytes.len() - apex.len();
                self.out.extend_from_slice(&bytes[..prefix_size]);
                let apex_at = self.write_apex(apex, true);
                if prefix_size == 0 {
                    self.target_at = apex_at;
                }
            }
            false => self.out.extend_from_slice(target.bytes),
        }
    }

    /// The offset in the response at which the packet's label at `at` and its rest were written.
    fn find_written(&self, at: usize, mode: u16) -> Option<usize> {
        let offset = *self.written.as_ref()?.offsets.get(at)?;
        let is_known = offset != 0 && offset & UNDER_ORIGIN == mode;
        is_known.then_some(usize::from(offset & !UNDER_ORIGIN))
    }

    /// Stores that the label at this offset of the packet is written next.
    fn remember(&mut self, at: usize, mode: u16) {
        let here = self.out.len();
        if here >= POINTER_TARGET_END {
            return;
        }
        let written = self.written.get_or_insert_with(WrittenNames::none);
        if let Some(offset) = written.offsets.get_mut(at) {
            *offset = here as u16 | mode;
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
