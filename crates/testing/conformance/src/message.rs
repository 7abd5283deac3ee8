//! A strict parser of responses that shares no code with the server.

use crate::presentation::{Field, fields, is_compressible};

/// The type of an OPT record.
const OPT: u16 = 41;

/// The largest size of a name, in bytes.
const NAME_SIZE_MAX: usize = 255;

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: [u8; 2],
    /// The third and fourth byte.
    pub(crate) flags: [u8; 2],
    /// The question as it is in the message: name, type, class.
    pub(crate) question: Option<Vec<u8>>,
    /// The answer, authority and additional sections, without OPT.
    pub(crate) sections: [Vec<Record>; 3],
    pub(crate) opt: Option<Opt>,
}

/// A record. Names in it are in lower case and uncompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) owner: Vec<u8>,
    pub(crate) record_type: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
}

/// An OPT record (RFC 6891, section 6.1).
#[derive(Debug)]
pub(crate) struct Opt {
    pub(crate) udp_size: u16,
    pub(crate) rcode_high: u8,
    pub(crate) version: u8,
    pub(crate) flags: [u8; 2],
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Message {
    /// The response code, including its high bits in the OPT record.
    pub(crate) fn rcode(&self) -> u16 {
        let high = self.opt.as_ref().map_or(0, |opt| opt.rcode_high);
        u16::from(high) << 4 | u16::from(self.flags[1] & 0x0f)
    }

    /// Parses a message. Fails if it is malformed, or if bytes follow it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        let id = reader.array()?;
        let flags = reader.array()?;
        let counts: [u16; 4] = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let question = match counts[0] {
            0 => None,
            1 => {
                let start = reader.at;
                reader.name(false)?;
                reader.take(4)?;
                Some(bytes[start..reader.at].to_vec())
            }
            count => return Err(format!("{count} questions")),
        };
        let mut sections = <[Vec<Record>; 3]>::default();
        let mut opt = None;
        for (section, count) in sections.iter_mut().zip(&counts[1..]) {
            for _ in 0..*count {
                let record = reader.record()?;
                if record.record_type != OPT {
                    section.push(record);
                } else if opt.replace(Opt::of(&record)?).is_some() {
                    return Err("two OPT records".to_owned());
                }
            }
        }
        match reader.at == bytes.len() {
            true => Ok(Self {
                id,
                flags,
                question,
                sections,
                opt,
            }),
            false => Err(format!("{} bytes after its end", bytes.len() - reader.at)),
        }
    }
}

impl Opt {
    fn of(record: &Record) -> Result<Self, String> {
        if record.owner != [0] {
            return Err("an OPT record whose owner is not the root".to_owned());
        }
        let [rcode_high, version, flags @ ..] = record.ttl.to_be_bytes();
        let mut options = Vec::new();
        let mut reader = Reader {
            bytes: &record.data,
            at: 0,
        };
        while reader.at < record.data.len() {
            let (code, size) = (reader.u16()?, reader.u16()?);
            options.push((code, reader.take(size.into())?.to_vec()));
        }
        Ok(Self {
            udp_size: record.class,
            rcode_high,
            version,
            flags,
            options,
        })
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, size: usize) -> Result<&'b [u8], String> {
        let bytes = self.bytes.get(self.at..self.at + size);
        self.at += size;
        bytes.ok_or_else(|| format!("the message ends before byte {}", self.at))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("it took as many"))
    }

    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Reads a name, and returns it in lower case and uncompressed. Pointers must lead backwards.
    fn name(&mut self, may_be_compressed: bool) -> Result<Vec<u8>, String> {
        let mut name = Vec::new();
        let mut inner = Reader {
            bytes: self.bytes,
            at: self.at,
        };
        let mut end = None;
        loop {
            let at = inner.at;
            let [size] = inner.array()?;
            match size {
                0 => break,
                1..=63 => {
                    name.push(size);
                    name.extend(inner.take(size.into())?.iter().map(u8::to_ascii_lowercase));
                }
                0xc0.. if may_be_compressed => {
                    let [low] = inner.array()?;
                    end.get_or_insert(inner.at);
                    let target = usize::from(u16::from_be_bytes([size & 0x3f, low]));
                    if target >= at {
                        return Err(format!("a pointer at byte {at} that does not lead back"));
                    }
                    inner.at = target;
                }
                _ => return Err(format!("a label of length {size:#x} at byte {at}")),
            }
            if name.len() >= NAME_SIZE_MAX {
                return Err(format!("a name that is too long at byte {}", self.at));
            }
        }
        name.push(0);
        self.at = end.unwrap_or(inner.at);
        Ok(name)
    }

    fn record(&mut self) -> Result<Record, String> {
        let owner = self.name(true)?;
        let (record_type, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let size = self.u16()?;
        let end = self.at + usize::from(size);
        let mut data = Vec::new();
        for field in fields(record_type) {
            match field {
                Field::Name => data.extend(self.name(is_compressible(record_type))?),
                Field::U8 => data.extend(self.take(1)?),
                Field::U16 => data.extend(self.take(2)?),
                Field::U32 | Field::Ip4 => data.extend(self.take(4)?),
                Field::Ip6 => data.extend(self.take(16)?),
                Field::Text => {
                    let size = *self
                        .bytes
                        .get(self.at)
                        .ok_or("the message ends in a string")?;
                    data.extend(self.take(1 + usize::from(size))?);
                }
                Field::Texts | Field::Raw | Field::Hex => {
                    data.extend(self.take(end.saturating_sub(self.at))?);
                }
            }
        }
        match self.at == end && end <= self.bytes.len() {
            true => Ok(Record {
                owner,
                record_type,
                class,
                ttl,
                data,
            }),
            false => Err(format!(
                "data of type {record_type} that is not {size} bytes long"
            )),
        }
    }
}
