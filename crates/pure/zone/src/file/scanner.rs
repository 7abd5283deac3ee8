//! Reads the entries of a zone file one at a time, with the scanner of `domain`.

use domain::{
    base::{
        ParsedName, Rtype,
        iana::Class,
        rdata::{ComposeRecordData, ParseRecordData},
    },
    dep::octseq::Parser,
    rdata::ZoneRecordData,
    zonefile::inplace::{Entry, ScannedRecord, Zonefile},
};
use hickory_proto::serialize::txt::parse_ttl;
use quorate_state::{NamedSet, RecordSet, WireName};

use super::{
    codec,
    entries::check_end,
    name::{domain_name, wire_name},
};
use crate::{name::end_in_place, rdata::RdataFormat};

/// The data of a record, parsed from wire form.
pub(crate) type Data<'w> = ZoneRecordData<&'w [u8], ParsedName<&'w [u8]>>;

/// Reads entries. Origin, owner and TTL of earlier entries apply to later ones.
pub(crate) struct EntryScanner {
    zonefile: Zonefile,
    has_owner: bool,
}

impl EntryScanner {
    pub(crate) fn new(origin: &WireName, ttl_secs: u32) -> Self {
        let mut zonefile = Zonefile::new();
        zonefile.set_origin(domain_name(origin));
        zonefile.set_default_class(Class::IN);
        // The next records inherit the TTL of this one.
        zonefile.extend_from_slice(format!("@ {ttl_secs} TXT x\n").as_bytes());
        zonefile.next_entry().expect("it is a record");
        Self {
            zonefile,
            has_owner: false,
        }
    }

    /// The record of an entry, as a set of one; `None` for a directive or an empty line.
    ///
    /// # Errors
    /// What is wrong, in words for an operator. The scanner must not be used after that.
    pub(crate) fn scan(&mut self, entry: &str) -> Result<Option<NamedSet>, String> {
        let is_indented = entry.starts_with([' ', '\t']);
        check_end(entry)?;
        let entry = to_scanner_syntax(entry)?;
        self.zonefile.extend_from_slice(entry.as_bytes());
        self.zonefile.extend_from_slice(b"\n");
        match self.zonefile.next_entry().map_err(message_without_line)? {
            None => Ok(None),
            Some(Entry::Include { .. }) => {
                Err("$INCLUDE is not supported: copy the records of that file here".to_owned())
            }
            Some(Entry::Record(_)) if is_indented && !self.has_owner => {
                Err("the first record has no owner name".to_owned())
            }
            Some(Entry::Record(record)) => {
                self.has_owner = true;
                self.set_of(&record).map(Some)
            }
        }
    }

    fn set_of(&self, record: &ScannedRecord) -> Result<NamedSet, String> {
        let owner = wire_name(record.owner()).ok_or("a label of its owner name is empty")?;
        let record_type = record.rtype().to_int();
        let mut rdata = Vec::new();
        let composed = record.data().compose_canonical_rdata(&mut rdata);
        composed.map_err(|_| "it is too long")?;
        if parse_wire(record_type, &rdata).is_none() {
            return Err(format!("its data is not valid for {}", record.rtype()));
        }
        let origin = self.zonefile.origin().map_err(|error| error.to_string())?;
        resolve_origin(record_type, &mut rdata, origin.as_slice());
        let records = RecordSet {
            ttl_secs: record.ttl().as_secs(),
            rdata: vec![rdata.into()],
        };
        Ok(NamedSet {
            owner,
            record_type,
            records,
        })
    }
}

/// Parses data in wire form. `None` if it is not valid for the type or has trailing bytes.
pub(crate) fn parse_wire(record_type: u16, wire: &[u8]) -> Option<Data<'_>> {
    let mut parser = Parser::from_ref(wire);
    let data = Data::parse_rdata(Rtype::from_int(record_type), &mut parser);
    data.ok()?.filter(|_| parser.remaining() == 0)
}

/// Replaces `@` in RDATA by the origin (RFC 1035, section 5.1). The scanner reads it as a label.
fn resolve_origin(record_type: u16, rdata: &mut Vec<u8>, origin: &[u8]) {
    let Some(format) = RdataFormat::of(record_type) else {
        return;
    };
    let misread = [b"\x01@", origin].concat();
    let mut at = format.name_at(rdata, 0);
    for _ in 0..format.name_count() {
        let name = rdata.get(at..at + misread.len());
        if name.is_some_and(|name| name.eq_ignore_ascii_case(&misread)) {
            rdata.drain(at..at + 2);
        }
        at = end_in_place(rdata, at);
    }
}

/// The entry with its TTL in seconds, and with data of types that the scanner does not know in hex.
fn to_scanner_syntax(entry: &str) -> Result<String, String> {
    let spaces = [' ', '\t', '\r', '\n'];
    let (first, rest) = entry.split_at(entry.find(spaces).unwrap_or(entry.len()));
    let is_ttl = first.eq_ignore_ascii_case("$TTL");
    if first.starts_with('$') && !is_ttl {
        return Ok(entry.to_owned());
    }
    let mut text = first.to_owned();
    let mut pieces = rest.split_inclusive(spaces);
    for piece in pieces.by_ref() {
        let (word, space) = piece.split_at(piece.trim_end_matches(spaces).len());
        match parse_ttl(word) {
            Ok(secs) if !word.is_empty() => text.push_str(&format!("{secs}{space}")),
            _ if word.is_empty() || word.eq_ignore_ascii_case("IN") => text.push_str(piece),
            _ => {
                text.push_str(piece);
                let data: String = pieces.collect();
                let Some(wire) = codec::parse(word, &data) else {
                    return Ok(text + &data);
                };
                return Ok(text + &generic_text(&wire?));
            }
        }
    }
    Ok(text)
}

/// Data in the generic form of RFC 3597, section 5.
pub(crate) fn generic_text(wire: &[u8]) -> String {
    let hex = data_encoding::HEXLOWER.encode(wire);
    format!("\\# {} {hex}", wire.len()).trim_end().to_owned()
}

/// The scanner's error message without its line number, which counts from the entry.
fn message_without_line(error: domain::zonefile::inplace::Error) -> String {
    let message = error.to_string();
    let message = message.split_once(": ").map_or(&*message, |(_, rest)| rest);
    match message {
        "unknown record type with concrete data" => {
            format!("{message}: write \\#, the number of bytes, and the bytes in hexadecimal")
        }
        _ => message.to_owned(),
    }
}
