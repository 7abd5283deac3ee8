//! The records of a DNS message, by their offsets in it.
//!
//! Only offsets are kept, so the memory for a message is proportional to its size, however often
//! its names point to the same long name.

use quorate_packet::message::{HEADER_SIZE, counts_fit};

use crate::{
    name,
    rdata::{RdataFormat, types},
};

/// The type, class, TTL and length between the name of a record and its data, in bytes.
const FIXED_SIZE: usize = 10;

/// The size of the length of RDATA, in bytes.
const LENGTH_SIZE: usize = 2;

/// The class of the Internet (RFC 1035, section 3.2.4).
pub(crate) const CLASS_IN: u16 = 1;

/// Why the bytes of a packet are not a valid DNS message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The message is shorter than a header, or than its header claims.
    #[error("it is shorter than its header claims")]
    Counts,
    /// A name does not end, is too long, or has a pointer that does not lead backwards.
    #[error("the name at byte {0} is malformed")]
    Name(u16),
    /// The message ends within a question or record.
    #[error("it ends within the question or record at byte {0}")]
    End(u16),
}

/// A record of a message, by offsets in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceRecord {
    pub(crate) owner_at: usize,
    pub(crate) record_type: u16,
    pub(crate) class: u16,
    pub(crate) ttl_secs: u32,
    /// The offset of the length of the data. The data follows the length.
    pub(crate) length_at: usize,
}

/// The start and end of the data whose length is at this offset.
pub(crate) fn rdata_range(message: &[u8], length_at: usize) -> (usize, usize) {
    let start = length_at + LENGTH_SIZE;
    let length = match message.get(length_at..start) {
        Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    (start, start + length)
}

impl SourceRecord {
    /// Reads the record at an offset, and returns it with the offset after it.
    pub(crate) fn read(message: &[u8], at: usize) -> Result<(Self, usize), MessageError> {
        let fixed_at = name_end(message, at)?;
        let fixed = message.get(fixed_at..).unwrap_or_default();
        let Some((fixed, rest)) = fixed.split_first_chunk::<FIXED_SIZE>() else {
            return Err(MessageError::End(offset(at)));
        };
        let record = Self {
            owner_at: at,
            record_type: u16::from_be_bytes([fixed[0], fixed[1]]),
            class: u16::from_be_bytes([fixed[2], fixed[3]]),
            ttl_secs: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            length_at: fixed_at + FIXED_SIZE - LENGTH_SIZE,
        };
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        match length <= rest.len() {
            true => Ok((record, fixed_at + FIXED_SIZE + length)),
            false => Err(MessageError::End(offset(at))),
        }
    }

    /// The size of the data with all names uncompressed, in bytes. `None` if there is no data, or
    /// if its names are not where its type has them.
    pub(crate) fn unpacked_size(&self, message: &[u8]) -> Option<usize> {
        let (start, end) = rdata_range(message, self.length_at);
        match RdataFormat::of(self.record_type) {
            None => (start < end).then_some(end - start),
            Some(format) => format.unpacked_size(message, start, end),
        }
    }
}

/// The answer section of a message, and the smallest TTL of all its records, in seconds.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) answers: Vec<SourceRecord>,
    pub(crate) ttl_secs_min: Option<u32>,
}

impl Records {
    pub(crate) fn read(message: &[u8]) -> Result<Self, MessageError> {
        if !counts_fit(message) {
            return Err(MessageError::Counts);
        }
        let count = |at: usize| usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
        let mut at = HEADER_SIZE;
        for _ in 0..count(4) {
            let end = name_end(message, at)? + 4;
            if end > message.len() {
                return Err(MessageError::End(offset(at)));
            }
            at = end;
        }
        let answer_count = count(6);
        let mut answers = Vec::with_capacity(answer_count);
        let mut ttl_secs_min = None;
        for index in 0..answer_count + count(8) + count(10) {
            let (record, end) = SourceRecord::read(message, at)?;
            at = end;
            if record.record_type != types::OPT {
                let ttl_secs = ttl_secs_min.unwrap_or(u32::MAX).min(record.ttl_secs);
                ttl_secs_min = Some(ttl_secs);
            }
            if index < answer_count {
                answers.push(record);
            }
        }
        Ok(Self {
            answers,
            ttl_secs_min,
        })
    }
}

fn name_end(message: &[u8], at: usize) -> Result<usize, MessageError> {
    let checked = name::check(message, at).ok_or(MessageError::Name(offset(at)))?;
    Ok(checked.end)
}

fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}
