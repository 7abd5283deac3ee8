//! Converts names and records from zone file form (RFC 1035, section 5.1) to wire form.

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::HEXLOWER_PERMISSIVE;

/// A field of record data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Name,
    U8,
    U16,
    U32,
    Ip4,
    Ip6,
    /// A string of at most 255 bytes, after its length.
    Text,
    Texts,
    /// The rest: a text without its length.
    Raw,
    /// The rest: hexadecimal digits.
    Hex,
}

use Field::*;

/// The types that scripts call by name. The types of RFC 1035 that contain names come first: only
/// in these may a server compress names (RFC 3597, section 4).
const TYPES: &[(&str, u16, &[Field])] = &[
    ("NS", 2, &[Name]),
    ("CNAME", 5, &[Name]),
    ("SOA", 6, &[Name, Name, U32, U32, U32, U32, U32]),
    ("MB", 7, &[Name]),
    ("MG", 8, &[Name]),
    ("MR", 9, &[Name]),
    ("PTR", 12, &[Name]),
    ("MINFO", 14, &[Name, Name]),
    ("MX", 15, &[U16, Name]),
    ("RP", 17, &[Name, Name]),
    ("AFSDB", 18, &[U16, Name]),
    ("RT", 21, &[U16, Name]),
    ("PX", 26, &[U16, Name, Name]),
    ("SRV", 33, &[U16, U16, U16, Name]),
    ("NAPTR", 35, &[U16, U16, Text, Text, Text, Name]),
    ("KX", 36, &[U16, Name]),
    ("DNAME", 39, &[Name]),
    ("SVCB", 64, &[U16, Name, Hex]),
    ("HTTPS", 65, &[U16, Name, Hex]),
    ("A", 1, &[Ip4]),
    ("NULL", 10, &[Hex]),
    ("HINFO", 13, &[Text, Text]),
    ("TXT", 16, &[Texts]),
    ("AAAA", 28, &[Ip6]),
    ("OPT", 41, &[Hex]),
    ("DS", 43, &[Hex]),
    ("IXFR", 251, &[Hex]),
    ("AXFR", 252, &[Hex]),
    ("MAILB", 253, &[Hex]),
    ("MAILA", 254, &[Hex]),
    ("ANY", 255, &[Hex]),
    ("CAA", 257, &[U8, Text, Raw]),
];

/// How many of [`TYPES`] are of RFC 1035 and contain names.
const COMPRESSIBLE_COUNT: usize = 9;

/// A part of record data. In a message, names may be compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Name(Vec<u8>),
    Bytes(Vec<u8>),
}

/// Splits a line into words, up to a comment. Strings keep their quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut escaped) = (String::new(), false, false);
    for char in line.chars() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => break,
            _ if char.is_whitespace() && !quoted => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                continue;
            }
            _ => {}
        }
        word.push(char);
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// The number of a type, given by its name or as `TYPE123`.
pub(crate) fn type_number(word: &str) -> Result<u16, String> {
    let known = TYPES.iter().find(|(name, ..)| *name == word);
    let unknown = || word.strip_prefix("TYPE")?.parse().ok();
    let number = known.map(|(_, number, _)| *number).or_else(unknown);
    number.ok_or_else(|| format!("{word:?} is not a type"))
}

/// The fields of a type's data.
pub(crate) fn fields(record_type: u16) -> &'static [Field] {
    let known = TYPES.iter().find(|(_, number, _)| *number == record_type);
    known.map_or(&[Hex], |(_, _, fields)| fields)
}

/// Whether names in data of this type may be compressed.
pub(crate) fn is_compressible(record_type: u16) -> bool {
    let known = TYPES.iter().take(COMPRESSIBLE_COUNT);
    known
        .into_iter()
        .any(|(_, number, _)| *number == record_type)
}

pub(crate) fn class(word: &str) -> Option<u16> {
    match word {
        "IN" => Some(1),
        "CH" => Some(3),
        "HS" => Some(4),
        "NONE" => Some(254),
        "ANYCLASS" => Some(255),
        _ => None,
    }
}

/// Parses a name to wire form. Names without a final dot are below `origin`, which is in wire form;
/// `@` is the origin.
pub(crate) fn name(word: &str, origin: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let below = |labels: Vec<u8>| match origin {
        Some(origin) => Ok([&labels, origin].concat()),
        None => Err(format!("{word:?} has no final dot")),
    };
    match word {
        "." => return Ok(vec![0]),
        "@" => return below(Vec::new()),
        _ => {}
    }
    let (mut labels, mut label, mut absolute) = (Vec::new(), Vec::new(), false);
    for byte in unescape(word)? {
        absolute = byte == Unescaped::Plain(b'.');
        match byte {
            Unescaped::Plain(b'.') => push_label(&mut labels, &mut label)?,
            Unescaped::Plain(byte) | Unescaped::Escaped(byte) => label.push(byte),
        }
    }
    let wire = match absolute {
        true => [&labels[..], &[0]].concat(),
        false => {
            push_label(&mut labels, &mut label)?;
            below(labels)?
        }
    };
    match wire.len() {
        0..=255 => Ok(wire),
        size => Err(format!("{word:?} has {size} bytes")),
    }
}

fn push_label(labels: &mut Vec<u8>, label: &mut Vec<u8>) -> Result<(), String> {
    match u8::try_from(label.len()) {
        Ok(size @ 1..=63) => labels.push(size),
        _ => return Err(format!("a label of {} bytes", label.len())),
    }
    labels.append(label);
    Ok(())
}

/// Parses the data of a record.
pub(crate) fn data(
    record_type: u16,
    words: &[String],
    origin: Option<&[u8]>,
) -> Result<Vec<Piece>, String> {
    if let [mark, size, digits @ ..] = words
        && mark == r"\#"
    {
        let bytes = hex(&digits.concat())?;
        return match bytes.len().to_string() == *size {
            true => Ok(vec![Piece::Bytes(bytes)]),
            false => Err(format!("{} bytes, not {size}", bytes.len())),
        };
    }
    let mut words = words.iter();
    let mut pieces = Vec::new();
    for field in fields(record_type) {
        if matches!(field, Texts | Hex) {
            let rest: Vec<&str> = words.by_ref().map(String::as_str).collect();
            let bytes = match field {
                Hex => hex(&rest.concat())?,
                _ => rest
                    .into_iter()
                    .map(text)
                    .collect::<Result<Vec<_>, _>>()?
                    .concat(),
            };
            pieces.push(Piece::Bytes(bytes));
            continue;
        }
        let word = words.next().ok_or("the data ends too early")?;
        pieces.push(match field {
            Name => Piece::Name(name(word, origin)?),
            _ => Piece::Bytes(plain(*field, word)?),
        });
    }
    match words.next() {
        None => Ok(pieces),
        Some(word) => Err(format!("{word:?} follows complete data")),
    }
}

fn plain(field: Field, word: &str) -> Result<Vec<u8>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{word:?}: {error}");
    Ok(match field {
        U8 => vec![
            word.parse()
                .map_err(|e: std::num::ParseIntError| wrong(&e))?,
        ],
        U16 => {
            let value: u16 = word
                .parse()
                .map_err(|e: std::num::ParseIntError| wrong(&e))?;
            value.to_be_bytes().to_vec()
        }
        U32 => {
            let value: u32 = word
                .parse()
                .map_err(|e: std::num::ParseIntError| wrong(&e))?;
            value.to_be_bytes().to_vec()
        }
        Ip4 => {
            let ip: Ipv4Addr = word
                .parse()
                .map_err(|e: std::net::AddrParseError| wrong(&e))?;
            ip.octets().to_vec()
        }
        Ip6 => {
            let ip: Ipv6Addr = word
                .parse()
                .map_err(|e: std::net::AddrParseError| wrong(&e))?;
            ip.octets().to_vec()
        }
        Raw => text(word)?.split_off(1),
        _ => text(word)?,
    })
}

/// Parses a string, and returns it after its length.
fn text(word: &str) -> Result<Vec<u8>, String> {
    let inner = word
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let bytes = unescape(inner.unwrap_or(word))?;
    let bytes = bytes.into_iter().map(|byte| match byte {
        Unescaped::Plain(byte) | Unescaped::Escaped(byte) => byte,
    });
    let mut string = vec![0];
    string.extend(bytes);
    string[0] = u8::try_from(string.len() - 1).map_err(|_| format!("{word:?} is too long"))?;
    Ok(string)
}

#[derive(Debug, PartialEq, Eq)]
enum Unescaped {
    Plain(u8),
    Escaped(u8),
}

/// The bytes of a word, in which `\.` and `\046` are escapes.
fn unescape(word: &str) -> Result<Vec<Unescaped>, String> {
    let mut unescaped = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((byte, rest_after)) = rest.split_first() {
        rest = rest_after;
        if *byte != b'\\' {
            unescaped.push(Unescaped::Plain(*byte));
            continue;
        }
        let digits = rest.split_at_checked(3);
        let digits = digits.filter(|(digits, _)| digits.iter().all(u8::is_ascii_digit));
        let (byte, rest_after) = match digits {
            Some((digits, rest_after)) => {
                let digits = digits.iter().map(|digit| u16::from(digit - b'0'));
                let number = digits.fold(0, |number, digit| 10 * number + digit);
                let byte = u8::try_from(number);
                (
                    byte.map_err(|_| format!("{word:?}: {number} is not a byte"))?,
                    rest_after,
                )
            }
            None => {
                let (byte, rest_after) = rest.split_first().ok_or("the word ends in an escape")?;
                (*byte, rest_after)
            }
        };
        unescaped.push(Unescaped::Escaped(byte));
        rest = rest_after;
    }
    Ok(unescaped)
}

pub(crate) fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let decoded = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
    decoded.map_err(|error| format!("{digits:?}: {error}"))
}
