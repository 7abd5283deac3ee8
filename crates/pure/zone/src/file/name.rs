//! Domain names as they are written.

use quorate_state::WireName;

use super::entry::unescape;

/// Why a text is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots meet, or one stands in front.
    #[error("{0:?} is no domain name: a label is empty")]
    EmptyLabel(String),
    /// Something is escaped that cannot be, or is not ASCII.
    #[error("{0:?} is no domain name: write other than ASCII in its xn-- form")]
    Character(String),
    /// RFC 1035, section 2.3.4.
    #[error("{0:?} is too long: a label has 63 bytes at the most, and a name 255")]
    Length(String),
}

/// Parses a name, which is relative to `origin` unless it ends in a dot; `@` is the origin.
///
/// # Errors
/// It is none.
pub fn parse_name(text: &str, origin: &WireName) -> Result<WireName, NameError> {
    match text {
        "@" => return Ok(origin.clone()),
        "." => return Ok(WireName::root()),
        _ if !text.is_ascii() => return Err(NameError::Character(text.to_owned())),
        _ => {}
    }
    let (labels, is_absolute) = split(text);
    let mut wire = Vec::new();
    for label in labels {
        let label = unescape(label).ok_or_else(|| NameError::Character(text.to_owned()))?;
        let size = u8::try_from(label.len()).map_err(|_| NameError::Length(text.to_owned()))?;
        if size == 0 {
            return Err(NameError::EmptyLabel(text.to_owned()));
        }
        wire.push(size);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    match is_absolute {
        true => wire.push(0),
        false => wire.extend(origin.as_bytes()),
    }
    WireName::parse(wire.into()).ok_or_else(|| NameError::Length(text.to_owned()))
}

/// The labels, and whether a dot ends them.
fn split(text: &str) -> (Vec<&str>, bool) {
    let mut labels = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (at, char) in text.char_indices() {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '.' => {
                labels.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    let is_absolute = start == text.len() && start > 0;
    if !is_absolute {
        labels.push(&text[start..]);
    }
    (labels, is_absolute)
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
    fn what_is_no_name_is_refused() {
        let root = WireName::root();
        let long = "a".repeat(64);
        let longest = vec!["a".repeat(63); 4].join(".");
        for text in [
            "", "..", ".a", "a..b", "é", "a\\300", "a\\", &*long, &*longest,
        ] {
            assert!(parse_name(text, &root).is_err(), "{text:?}");
        }
    }
}
