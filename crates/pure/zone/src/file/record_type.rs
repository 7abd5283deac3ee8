//! Types of records as they are written.

use std::str::FromStr;

use hickory_proto::rr::RecordType;

/// Parses the name of a type, in any case, or `TYPE` and its number (RFC 3597, section 5). `None` if
/// there is none of this name, or if it is none of data.
pub fn parse_type(text: &str) -> Option<u16> {
    let text = text.to_ascii_uppercase();
    let by_number = text
        .strip_prefix("TYPE")
        .and_then(|number| number.parse().ok());
    let by_name = || RecordType::from_str(&text).ok().map(u16::from);
    let record_type = by_number.or_else(by_name)?;
    quorate_state::is_data_type(record_type).then_some(record_type)
}

/// The name of a type, or `TYPE` and its number.
pub fn type_text(record_type: u16) -> String {
    match RecordType::from(record_type) {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_name_or_number() {
        for (text, number) in [("a", 1), ("Https", 65), ("TYPE65", 65), ("type4711", 4711)] {
            assert_eq!(parse_type(text), Some(number), "{text}");
            assert_eq!(parse_type(&type_text(number)), Some(number));
        }
        for none in [
            "",
            "SOA",
            "TYPE6",
            "ANY",
            "AXFR",
            "OPT",
            "TYPE0",
            "TYPE70000",
            "nonsense",
        ] {
            assert_eq!(parse_type(none), None, "{none}");
        }
    }
}
