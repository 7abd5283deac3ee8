//! The data of records, as it is written and as it stands in messages.

use bytes::Bytes;
use data_encoding::HEXUPPER_PERMISSIVE;
use hickory_proto::{
    rr::{RData, RecordType},
    serialize::{
        binary::{BinDecoder, BinEncodable, BinEncoder, NameEncoding, Restrict},
        txt::ParseError,
    },
};
use quorate_state::WireName;

use super::{
    entry::{entries, quoted, unescape},
    name::{NameError, parse_name},
    type_text,
};

/// The most bytes of a character string (RFC 1035, section 3.3).
const STRING_SIZE_MAX: usize = 255;

/// Why a text is no data of a type.
#[derive(Debug, thiserror::Error)]
pub enum RdataError {
    /// Too few words, or too many.
    #[error("{record_type} takes {expected} words and not {found}")]
    Count {
        record_type: String,
        expected: usize,
        found: usize,
    },
    /// A number is none, or too large.
    #[error("{0:?} is no number from 0 to 65535")]
    Number(String),
    /// A name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An escape is none.
    #[error("{0:?} escapes what cannot be escaped")]
    Escape(String),
    /// RFC 1035, section 3.3.14, has at least one string, of at most 255 bytes.
    #[error("a string has {0} bytes: the most is {STRING_SIZE_MAX}; write several")]
    StringSize(usize),
    /// RFC 3597, section 5.
    #[error("what follows \\# is no number of bytes and as many bytes in hexadecimal")]
    Generic,
    /// The type is not known by its fields.
    #[error(
        "{0} is not known by its fields: write \\#, the number of bytes, and these in hexadecimal"
    )]
    Unknown(String),
    #[error("it is no {record_type}: {reason}")]
    Field { record_type: String, reason: String },
    /// It cannot be split into words.
    #[error("{0}")]
    Words(String),
}

/// What a type has before a name, or instead of one.
enum Form {
    /// So many numbers of 16 bits, and a name.
    Name(usize),
    /// A number, a name, parameters.
    Service,
    /// Fields of which the last one is a name.
    LastIsName(usize),
    Strings,
    Fields(usize),
    Open,
}

fn form(record_type: RecordType) -> Form {
    match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => Form::Name(0),
        RecordType::MX => Form::Name(1),
        RecordType::SRV => Form::Name(3),
        RecordType::SVCB | RecordType::HTTPS => Form::Service,
        RecordType::NAPTR => Form::LastIsName(6),
        RecordType::TXT => Form::Strings,
        RecordType::A | RecordType::AAAA => Form::Fields(1),
        RecordType::HINFO => Form::Fields(2),
        RecordType::CAA => Form::Fields(3),
        _ => Form::Open,
    }
}

/// Parses the data of a record; names in it are relative to `origin`.
///
/// # Errors
/// It is none of this type.
pub fn parse_rdata(record_type: u16, text: &str, origin: &WireName) -> Result<Bytes, RdataError> {
    let words = |reason: String| RdataError::Words(reason);
    let entries = entries(text).map_err(|(_, error)| words(error.to_string()))?;
    match &entries[..] {
        [] => parse_tokens(record_type, &[], origin),
        [entry] => parse_tokens(record_type, &entry.tokens, origin),
        _ => Err(words("a record is one line".to_owned())),
    }
}

pub(crate) fn parse_tokens(
    record_type: u16,
    tokens: &[String],
    origin: &WireName,
) -> Result<Bytes, RdataError> {
    if let Some((first, rest)) = tokens.split_first()
        && first == "\\#"
    {
        return parse_generic(record_type, rest);
    }
    let known = RecordType::from(record_type);
    let wire = match form(known) {
        Form::Name(number_count) => {
            check_count(record_type, tokens, number_count + 1)?;
            let (numbers, name) = tokens.split_at(number_count);
            let mut wire = Vec::new();
            for number in numbers {
                let parsed: Result<u16, _> = number.parse();
                let parsed = parsed.map_err(|_| RdataError::Number(number.clone()))?;
                wire.extend(parsed.to_be_bytes());
            }
            wire.extend(parse_name(&name[0], origin)?.as_bytes());
            wire
        }
        Form::Service => {
            let [priority, target, params @ ..] = tokens else {
                return Err(count_error(record_type, 2, tokens.len()));
            };
            let mut fields = vec![priority.clone(), ".".to_owned()];
            fields.extend_from_slice(params);
            let wire = parse_fields(known, &fields)?;
            let target = parse_name(target, origin)?;
            // The root stands in for the target: hickory-proto knows no origin for it.
            [&wire[..2], target.as_bytes(), &wire[3..]].concat()
        }
        Form::LastIsName(count) => {
            check_count(record_type, tokens, count)?;
            let mut fields = unescaped(&tokens[..count - 1])?;
            fields.push(".".to_owned());
            let mut wire = parse_fields(known, &fields)?;
            wire.pop();
            wire.extend(parse_name(&tokens[count - 1], origin)?.as_bytes());
            wire
        }
        Form::Strings => parse_strings(record_type, tokens)?,
        Form::Fields(count) => {
            check_count(record_type, tokens, count)?;
            parse_fields(known, &unescaped(tokens)?)?
        }
        Form::Open => parse_fields(known, tokens)?,
    };
    Ok(wire.into())
}

fn check_count(record_type: u16, tokens: &[String], expected: usize) -> Result<(), RdataError> {
    match tokens.len() == expected {
        true => Ok(()),
        false => Err(count_error(record_type, expected, tokens.len())),
    }
}

fn count_error(record_type: u16, expected: usize, found: usize) -> RdataError {
    RdataError::Count {
        record_type: type_text(record_type),
        expected,
        found,
    }
}

fn unescaped(tokens: &[String]) -> Result<Vec<String>, RdataError> {
    let unescaped = |token: &String| {
        let bytes = unescape(token);
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| RdataError::Escape(token.clone()))
    };
    tokens.iter().map(unescaped).collect()
}

fn parse_strings(record_type: u16, tokens: &[String]) -> Result<Vec<u8>, RdataError> {
    let mut wire = Vec::new();
    for token in tokens {
        let string = unescape(token).ok_or_else(|| RdataError::Escape(token.clone()))?;
        let size = u8::try_from(string.len());
        wire.push(size.map_err(|_| RdataError::StringSize(string.len()))?);
        wire.extend(string);
    }
    match wire.is_empty() {
        true => Err(count_error(record_type, 1, 0)),
        false => Ok(wire),
    }
}

/// Has hickory-proto parse fields that hold no names, or absolute ones.
fn parse_fields(record_type: RecordType, fields: &[String]) -> Result<Vec<u8>, RdataError> {
    let name = || type_text(record_type.into());
    // In quotes and escaped once more, each word reaches the parser of its type as it is.
    let quote = |field: &String| {
        let escaped = field.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    };
    let quoted: Vec<String> = fields.iter().map(quote).collect();
    match RData::try_from_str(record_type, &quoted.join(" ")) {
        Ok(data) => encode(&data).ok_or_else(|| RdataError::Field {
            record_type: name(),
            reason: "it cannot be encoded".to_owned(),
        }),
        Err(ParseError::UnsupportedRecordType(_)) => Err(RdataError::Unknown(name())),
        // Types that name servers of other kinds make by themselves.
        Err(ParseError::Message(text)) if text.contains("dynamically generated") => {
            Err(RdataError::Unknown(name()))
        }
        Err(error) => Err(RdataError::Field {
            record_type: name(),
            reason: error.to_string(),
        }),
    }
}

fn encode(data: &RData) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).ok()?;
    Some(wire)
}

/// `\#`, the number of bytes, and these in hexadecimal (RFC 3597, section 5).
fn parse_generic(record_type: u16, tokens: &[String]) -> Result<Bytes, RdataError> {
    let (size, hex) = tokens.split_first().ok_or(RdataError::Generic)?;
    let wire = HEXUPPER_PERMISSIVE.decode(hex.concat().as_bytes());
    let wire = wire.map_err(|_| RdataError::Generic)?;
    if size.parse() != Ok(wire.len()) {
        return Err(RdataError::Generic);
    }
    // Of a type that is known it must be what that has.
    match read(record_type, &wire) {
        Some(_) => Ok(wire.into()),
        None => Err(RdataError::Field {
            record_type: type_text(record_type),
            reason: "its fields do not end where it does".to_owned(),
        }),
    }
}

fn read(record_type: u16, wire: &[u8]) -> Option<RData> {
    let size = u16::try_from(wire.len()).ok()?;
    let mut decoder = BinDecoder::new(wire);
    RData::read(&mut decoder, record_type.into(), Restrict::new(size)).ok()
}

/// The data of a record as a zone file has it. What cannot be written by its fields is written as bytes.
pub fn rdata_text(record_type: u16, wire: &[u8]) -> String {
    let root = WireName::root();
    let is_same = |text: &String| {
        let parsed = parse_rdata(record_type, text, &root);
        parsed.is_ok_and(|parsed| parsed == wire)
    };
    let by_fields = fields_text(record_type, wire).filter(is_same);
    by_fields.unwrap_or_else(|| {
        let hex = data_encoding::HEXLOWER.encode(wire);
        format!("\\# {} {hex}", wire.len()).trim_end().to_owned()
    })
}

fn fields_text(record_type: u16, wire: &[u8]) -> Option<String> {
    let name = |bytes: &[u8]| WireName::parse(Bytes::copy_from_slice(bytes));
    match form(record_type.into()) {
        Form::Name(number_count) => {
            let (numbers, target) = wire.split_at_checked(2 * number_count)?;
            let (numbers, _) = numbers.as_chunks();
            let numbers = numbers.iter().map(|bytes| u16::from_be_bytes(*bytes));
            let fields = numbers.map(|number| number.to_string());
            let fields: Vec<_> = fields.chain([name(target)?.to_string()]).collect();
            Some(fields.join(" "))
        }
        Form::Service => {
            let (priority, rest) = wire.split_at_checked(2)?;
            let end = name_size(rest)?;
            let (target, params) = rest.split_at_checked(end)?;
            let without_target = [priority, &[0], params].concat();
            let text = read(record_type, &without_target)?.to_string();
            let target = name(target)?.to_string();
            Some(
                text.replacen(" .", &format!(" {target}"), 1)
                    .trim_end()
                    .to_owned(),
            )
        }
        Form::Strings => strings_text(wire),
        Form::Fields(3) => {
            // CAA: flags, tag and value (RFC 8659, section 4.1).
            let (&[flags, size], rest) = wire.split_first_chunk()?;
            let (tag, value) = rest.split_at_checked(size.into())?;
            let tag = std::str::from_utf8(tag).ok()?;
            Some(format!("{flags} {tag} {}", quoted(value)))
        }
        Form::Fields(_) | Form::LastIsName(_) | Form::Open => {
            Some(read(record_type, wire)?.to_string())
        }
    }
}

/// The size of the name at the front, in bytes.
fn name_size(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        match usize::from(*bytes.get(end)?) {
            0 => return Some(end + 1),
            size => end += size + 1,
        }
    }
}

fn strings_text(mut wire: &[u8]) -> Option<String> {
    let mut strings = Vec::new();
    while let Some((&size, rest)) = wire.split_first() {
        let (string, rest) = rest.split_at_checked(size.into())?;
        strings.push(quoted(string));
        wire = rest;
    }
    Some(strings.join(" "))
}

#[cfg(test)]
#[path = "rdata_tests.rs"]
mod tests;
