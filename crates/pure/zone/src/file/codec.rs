//! The types that the scanner does not know by their fields: hickory-proto reads and shows them.

use hickory_proto::{
    rr::{RData, RecordType},
    serialize::binary::{BinDecoder, BinEncodable, BinEncoder, Restrict},
};

const KNOWN: [RecordType; 3] = [RecordType::CERT, RecordType::CSYNC, RecordType::SMIMEA];

/// The data of a record of these types in wire form; `None` for any other type.
///
/// # Errors
/// It is none of the type.
pub(crate) fn parse(record_type: &str, text: &str) -> Option<Result<Vec<u8>, String>> {
    let is_meant = |known: &RecordType| record_type.eq_ignore_ascii_case(&known.to_string());
    let record_type = KNOWN.into_iter().find(is_meant)?;
    if text.trim_start().starts_with("\\#") {
        return None;
    }
    let data = RData::try_from_str(record_type, text).map_err(|error| error.to_string());
    Some(data.and_then(|data| {
        let mut wire = Vec::new();
        let emitted = data.emit(&mut BinEncoder::new(&mut wire));
        emitted.map_err(|error| error.to_string()).map(|()| wire)
    }))
}

/// Data of these types as a zone file has it.
pub(crate) fn text(record_type: u16, wire: &[u8]) -> Option<String> {
    let record_type = RecordType::from(record_type);
    let size = u16::try_from(wire.len()).ok()?;
    KNOWN.contains(&record_type).then_some(())?;
    let data = RData::read(&mut BinDecoder::new(wire), record_type, Restrict::new(size));
    Some(data.ok()?.to_string())
}
