//! Records and names as the codec has them.

use bytes::Bytes;
use hickory_proto::{
    rr::{Name, Record},
    serialize::binary::{BinDecodable, BinDecoder},
};
use quorate_state::WireName;

const CLASS_IN: u16 = 1;

/// A record of these parts, the data in wire form and without compression. `None` if the data is none of
/// this type.
pub fn record(owner: &WireName, record_type: u16, ttl_secs: u32, rdata: &[u8]) -> Option<Record> {
    let size = u16::try_from(rdata.len()).ok()?;
    let bytes = [
        owner.as_bytes(),
        &record_type.to_be_bytes(),
        &CLASS_IN.to_be_bytes(),
        &ttl_secs.to_be_bytes(),
        &size.to_be_bytes(),
        rdata,
    ];
    let bytes = bytes.concat();
    Record::read(&mut BinDecoder::new(&bytes)).ok()
}

/// A name of the codec in wire form, in lower case. `None` if it is too long.
pub fn wire_name(name: &Name) -> Option<WireName> {
    let mut wire = Vec::new();
    for label in name.iter() {
        wire.push(u8::try_from(label.len()).ok()?);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    wire.push(0);
    WireName::parse(Bytes::from(wire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{parse_name, parse_rdata};

    #[test]
    fn the_codec_has_the_same_names_and_data() {
        let origin = parse_name("Example.", &WireName::root()).unwrap();
        let owner = parse_name("WWW", &origin).unwrap();
        for (record_type, text, shown) in [
            (15, "10 mail", "10 mail.example."),
            (1, "192.0.2.1", "192.0.2.1"),
        ] {
            let rdata = parse_rdata(record_type, text, &origin).unwrap();
            let record = record(&owner, record_type, 60, &rdata).unwrap();
            assert_eq!(record.name.to_string(), "www.example.");
            assert_eq!((record.ttl, record.data.to_string().as_str()), (60, shown));
            assert_eq!(wire_name(&record.name), Some(owner.clone()));
        }
        assert_eq!(record(&owner, 1, 60, b"123"), None);
        assert_eq!(wire_name(&Name::root()), Some(WireName::root()));
    }
}
