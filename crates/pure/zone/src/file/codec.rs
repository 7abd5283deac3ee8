//! Types whose fields the scanner does not know: hickory-proto parses and formats them.

use hickory_proto::{
    rr::{RData, RecordType},
    serialize::binary::{BinDecoder, BinEncodable, BinEncoder, Restrict},
};

const TYPES: [RecordType; 3] = [RecordType::CERT, RecordType::CSYNC, RecordType::SMIMEA];

/// Parses the data of a record of these types to wire form; `None` for any other type.
///
/// # Errors
/// The text is not valid for the type.
pub(crate) fn parse(record_type: &str, text: &str) -> Option<Result<Vec<u8>, String>> {
    let is_type = |known: &RecordType| record_type.eq_ignore_ascii_case(&known.to_string());
    let record_type = TYPES.into_iter().find(is_type)?;
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

/// Data of these types in zone file form; `None` for any other type, and if it is not valid.
pub(crate) fn text(record_type: u16, wire: &[u8]) -> Option<String> {
    let record_type = RecordType::from(record_type);
    let size = u16::try_from(wire.len()).ok()?;
    TYPES.contains(&record_type).then_some(())?;
    let data = RData::read(&mut BinDecoder::new(wire), record_type, Restrict::new(size));
    Some(data.ok()?.to_string())
}
