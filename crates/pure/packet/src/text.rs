//! DNS bytes as text (RFC 1035, section 5.1).

/// A label of a name. Characters with a special meaning in names or zone files are escaped.
pub fn label_text(label: &[u8]) -> String {
    escape(label, b".\\\"();@$ ")
}

/// A character string, in quotes.
pub fn quoted(string: &[u8]) -> String {
    format!("\"{}\"", escape(string, b"\"\\"))
}

/// The strings of a TXT record, each in quotes.
pub fn txt_text<S: AsRef<[u8]>>(strings: impl IntoIterator<Item = S>) -> String {
    let quoted = strings.into_iter().map(|string| quoted(string.as_ref()));
    quoted.collect::<Vec<_>>().join(" ")
}

/// A space is `\032` where it is special; a byte that is not printable is always `\DDD`.
fn escape(bytes: &[u8], special: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'!'..=b'~' if special.contains(&byte) => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' if !special.contains(&byte) => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_written_by_its_number() {
        assert_eq!(label_text(b"a.b c\"\xff"), "a\\.b\\032c\\\"\\255");
        assert_eq!(quoted(b"a b;\"\\\0"), "\"a b;\\\"\\\\\\000\"");
        assert_eq!(txt_text(["a b", ""]), "\"a b\" \"\"");
    }
}
