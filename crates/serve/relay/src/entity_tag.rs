//! Entity tags (RFC 9110, section 8.8.3), and the fields that list them.

use std::iter;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use quorate_packet::{SignedPacket, Timestamp};
use quorate_replica::Version;

use crate::field::Field;

/// How many hexadecimal digits of a tag are of the signature.
const SIGNATURE_LEN: usize = 16;

/// The tag of a packet: its timestamp in microseconds, and the first bytes of its signature. No
/// other packet of the key has the same tag.
pub(crate) fn entity_tag(packet: &SignedPacket) -> HeaderValue {
    let (timestamp, signature) = tag_parts(packet);
    let tag = Field::new().text("\"").number(timestamp.as_micros());
    tag.text("-").hex(signature).text("\"").value()
}

/// The tag without its quotes.
pub(crate) fn opaque_tag(packet: &SignedPacket) -> String {
    let (timestamp, signature) = tag_parts(packet);
    format!("{timestamp}-{signature:016x}")
}

/// The timestamp and the signature in the tag of a packet.
fn tag_parts(packet: &SignedPacket) -> (Timestamp, u64) {
    let version = Version::of(packet);
    let signature = version.signature.unwrap_or_default();
    (version.timestamp, u64::from_be_bytes(signature))
}

/// An element of a list of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagListElement {
    /// `*`.
    Any,
    Tag {
        /// Whether it begins with `W/`: a weak tag does not promise identical bytes.
        is_weak: bool,
        /// The packet that it names, if it has the format of this relay's tags.
        version: Option<Version>,
    },
}

/// The text is not a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MalformedTag;

/// The elements that the fields of this name list. The first malformed element ends the list.
pub(crate) fn elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Result<TagListElement, MalformedTag>> + use<'a> {
    let mut values = headers.get_all(name).iter();
    let mut rest: &[u8] = &[];
    iter::from_fn(move || {
        // Elements may be empty (RFC 9110, section 5.6.1.2).
        let begin = loop {
            match rest.iter().position(|byte| !b" \t,".contains(byte)) {
                Some(begin) => break begin,
                None => rest = values.next()?.as_bytes(),
            }
        };
        let parsed = parse(&rest[begin..]);
        rest = parsed.map_or(&[], |(_, rest)| rest);
        Some(parsed.map(|(element, _)| element).ok_or(MalformedTag))
    })
}

/// The first element of `bytes`, and the bytes after it. `None` if it is malformed.
fn parse(bytes: &[u8]) -> Option<(TagListElement, &[u8])> {
    let (element, rest) = match bytes.strip_prefix(b"*") {
        Some(rest) => (TagListElement::Any, rest),
        None => tag(bytes)?,
    };
    let rest = rest.trim_ascii_start();
    matches!(rest.first(), None | Some(b',')).then_some((element, rest))
}

/// Parses a tag in quotes, or a timestamp without quotes, which pkarr up to 6 sends.
fn tag(bytes: &[u8]) -> Option<(TagListElement, &[u8])> {
    let (is_weak, bytes) = match bytes.strip_prefix(b"W/") {
        Some(bytes) => (true, bytes),
        None => (false, bytes),
    };
    let (opaque, rest) = match bytes.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = quoted.iter().position(|byte| *byte == b'"')?;
            (&quoted[..end], &quoted[end + 1..])
        }
        None => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let end = bytes.iter().position(|byte| !is_digit(byte));
            let (digits, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            (!digits.is_empty() && !is_weak).then_some((digits, rest))?
        }
    };
    let is_tag_byte = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
    let version = version(opaque);
    let element = TagListElement::Tag { is_weak, version };
    opaque.iter().all(is_tag_byte).then_some((element, rest))
}

/// The packet that a tag of this relay or a timestamp names. `None` for other tags.
fn version(opaque: &[u8]) -> Option<Version> {
    let opaque = str::from_utf8(opaque).ok()?;
    let (micros, signature) = match opaque.split_once('-') {
        Some((micros, signature)) => (micros, Some(parse_signature(signature)?)),
        None => (opaque, None),
    };
    // `parse` accepts a sign, which a timestamp must not have.
    let is_number = micros.bytes().all(|byte| byte.is_ascii_digit());
    Some(Version {
        timestamp: Timestamp::from_micros(is_number.then(|| micros.parse().ok())??),
        signature,
    })
}

fn parse_signature<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let is_ours = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_valid = digits.len() == SIGNATURE_LEN && digits.bytes().all(is_ours);
    let signature = is_valid.then(|| u64::from_str_radix(digits, 16).ok())??;
    signature.to_be_bytes().as_slice().try_into().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::header::IF_MATCH;
    use proptest::{collection::vec, prelude::*};
    use quorate_packet::PublicKey;

    use super::*;

    fn listed(values: &[&str]) -> Vec<Result<TagListElement, MalformedTag>> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(IF_MATCH, value);
        }
        elements(&headers, &IF_MATCH).collect()
    }

    fn tag(
        is_weak: bool,
        version: Option<(u64, Option<u64>)>,
    ) -> Result<TagListElement, MalformedTag> {
        let version = version.map(|(micros, signature)| Version {
            timestamp: Timestamp::from_micros(micros),
            signature: signature.map(u64::to_be_bytes),
        });
        Ok(TagListElement::Tag { is_weak, version })
    }

    #[test]
    fn lists_are_read_over_all_fields() {
        assert_eq!(listed(&[]), []);
        assert_eq!(listed(&["*"]), [Ok(TagListElement::Any)]);
        let ours = r#""17-00000000000000ff""#;
        let elements = [
            tag(false, Some((17, Some(255)))),
            tag(true, Some((17, Some(255)))),
            tag(false, Some((1, None))),
            tag(false, Some((2, None))),
        ];
        let text = format!(r#"{ours}, W/{ours} ,,	"1",2 "#);
        assert_eq!(listed(&[&text]), elements);
        let weak = format!("W/{ours}");
        assert_eq!(listed(&[ours, &weak, "", "\"1\"", "2"]), elements);
    }

    #[test]
    fn tags_of_other_servers_name_no_packet() {
        for other in [
            r#""""#,
            r#""abc""#,
            r#""a,b*""#,
            r#""+5""#,
            r#""5-""#,
            r#""5-00000000000000f""#,
            r#""5-+0000000000000ff""#,
            r#""5-00000000000000FF""#,
            r#""18446744073709551616""#,
            "\"\u{e9}\"",
        ] {
            assert_eq!(listed(&[other]), [tag(false, None)], "{other}");
        }
        let large = u64::MAX.to_string();
        assert_eq!(listed(&[&large]), [tag(false, Some((u64::MAX, None)))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(256)
        })]

        #[test]
        fn the_tag_of_a_packet_identifies_it(bytes in vec(any::<u8>(), 72..100)) {
            let packet = SignedPacket::assume_verified(PublicKey::default(), bytes.into());
            let packet = packet.unwrap();
            let value = entity_tag(&packet);
            let named = TagListElement::Tag { is_weak: false, version: Some(Version::of(&packet)) };
            prop_assert_eq!(listed(&[value.to_str().unwrap()]), [Ok(named)]);
        }

        #[test]
        fn any_field_is_read_to_its_end(value in r#"[W/"* \t,0-9a-f\-x]{0,40}"#) {
            let elements = listed(&[&value]);
            prop_assert!(elements.len() <= value.len());
            let before_last = elements.iter().rev().skip(1);
            prop_assert!(before_last.into_iter().all(Result::is_ok));
        }
    }

    #[test]
    fn a_malformed_tag_ends_the_list() {
        for malformed in [
            "x", "\"", "\"a", "a\"", "\"a\"b", "W/5", "w/\"5\"", "5x", "-5", "5-0", "**", "* x",
            "\"a b\"", "'a'",
        ] {
            assert_eq!(listed(&[malformed]), [Err(MalformedTag)], "{malformed}");
        }
        let before = listed(&["1, x, 2"]);
        assert_eq!(before, [tag(false, Some((1, None))), Err(MalformedTag)]);
    }
}
