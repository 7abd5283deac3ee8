//! Converts names and record types between text and wire form.

use std::str::FromStr;

use domain::base::{
    Rtype, ToName,
    name::{Name, UncertainName},
};
use quorate_state::WireName;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a valid domain name: {reason}; a label has 1 to 63 bytes and a name at most 255; \
     write labels that are not ASCII in their xn-- form"
)]
pub struct NameError {
    text: String,
    reason: String,
}

/// Parses a name. It is relative to `origin` unless it ends in a dot; `@` is the origin.
///
/// # Errors
/// The text is not a valid name.
pub fn parse_name(text: &str, origin: &WireName) -> Result<WireName, NameError> {
    match text {
        "@" => return Ok(origin.clone()),
        "." => return Ok(WireName::root()),
        _ => {}
    }
    let invalid = |reason: String| NameError {
        text: text.to_owned(),
        reason,
    };
    let name =
        UncertainName::<Vec<u8>>::from_str(text).map_err(|error| invalid(error.to_string()))?;
    if text.is_empty() {
        return Err(invalid("it is empty".to_owned()));
    }
    let name = name.chain(domain_name(origin));
    wire_name(&name.map_err(|error| invalid(error.to_string()))?)
        .ok_or_else(|| invalid("it is too long".to_owned()))
}

/// Converts a name to the scanner's type.
pub(crate) fn domain_name(name: &WireName) -> Name<bytes::Bytes> {
    let bytes = bytes::Bytes::copy_from_slice(name.as_bytes());
    Name::from_octets(bytes).expect("a `WireName` is a valid name")
}

/// Converts a name of the scanner, in lower case. `None` if one of its labels is empty.
pub(crate) fn wire_name(name: &impl ToName) -> Option<WireName> {
    let mut wire = Vec::new();
    name.compose_canonical(&mut wire).ok()?;
    WireName::parse(wire.into())
}

/// Parses the name of a type, in any case, or `TYPE` and its number (RFC 3597, section 5). `None`
/// if the type is unknown, or if it is not a type of data.
pub fn parse_type(text: &str) -> Option<u16> {
    let record_type = Rtype::from_str(text).ok()?.to_int();
    quorate_state::is_data_type(record_type).then_some(record_type)
}

/// The name of a type, or `TYPE` and its number.
pub fn type_text(record_type: u16) -> String {
    Rtype::from_int(record_type).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_unless_they_end_in_a_dot() {
        let origin = parse_name("Example.", &WireName::root()).unwrap();
        for (text, name) in [
            ("@", "example."),
            (".", "."),
            ("www", "www.example."),
            ("WWW.Other.", "www.other."),
            ("*", "*.example."),
            ("_a._b", "_a._b.example."),
            ("a\\.b", "a\\.b.example."),
            ("a\\046b.", "a\\.b."),
            ("a\\032", "a\\032.example."),
            ("a\\..", "a\\.."),
        ] {
            assert_eq!(parse_name(text, &origin).unwrap().to_string(), name);
        }
    }

    #[test]
    fn invalid_names_are_rejected() {
        let root = WireName::root();
        let long = "a".repeat(64);
        let longest = vec!["a".repeat(63); 4].join(".");
        for text in [
            "", "..", ".a", "a..b", "é", "a\\300", "a\\", &*long, &*longest,
        ] {
            assert!(parse_name(text, &root).is_err(), "{text:?}");
        }
    }

    #[test]
    fn types_are_known_by_name_or_number() {
        for (text, number) in [("a", 1), ("Https", 65), ("TYPE65", 65), ("type4711", 4711)] {
            assert_eq!(parse_type(text), Some(number), "{text}");
            assert_eq!(parse_type(&type_text(number)), Some(number));
        }
        for unknown in [
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
            assert_eq!(parse_type(unknown), None, "{unknown}");
        }
    }
}
