//! Entity tags (RFC 9110, section 8.8.3), and the fields that list them.

use std::iter;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use quorate_packet::{SignedPacket, Timestamp};
use quorate_replica::Version;

use crate::field::Field;

/// How many hexadecimal digits of a tag are of the signature.
const SIGNATURE_LEN: usize = 16;

/// The tag of a packet: its timestamp in microseconds, and the begin of its signature. No other
/// packet of the key has it.
pub(crate) fn entity_tag(packet: &SignedPacket) -> HeaderValue {
    let (timestamp, signature) = parts(packet);
    let tag = Field::new().text("\"").number(timestamp.as_micros());
    tag.text("-").hex(signature).text("\"").value()
}

/// The tag without its quotes.
pub(crate) fn opaque_tag(packet: &SignedPacket) -> String {
    let (timestamp, signature) = parts(packet);
    format!("{timestamp}-{signature:016x}")
}

/// What a tag is made of.
fn parts(packet: &SignedPacket) -> (Timestamp, u64) {
    let version = Version::of(packet);
    let signature = version.signature.unwrap_or_default();
    (version.timestamp, u64::from_be_bytes(signature))
}

/// An element of a list of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// `*`.
    Any,
    Tag {
        /// It begins with `W/`: what it names is only as good as what is compared.
        is_weak: bool,
        /// What it names, if that can be a packet of ours.
        version: Option<Version>,
    },
}

/// What is no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What the fields of this name list. Nothing behind what is malformed is read.
pub(crate) fn elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Result<Element, Malformed>> + use<'a> {
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
        Some(parsed.map(|(element, _)| element).ok_or(Malformed))
    })
}

/// The element that `bytes` begin with, and what is behind it.
fn parse(bytes: &[u8]) -> Option<(Element, &[u8])> {
    let (element, rest) = match bytes.strip_prefix(b"*") {
        Some(rest) => (Element::Any, rest),
        None => tag(bytes)?,
    };
    let rest = rest.trim_ascii_start();
    matches!(rest.first(), None | Some(b',')).then_some((element, rest))
}

/// A tag in quotes, or a timestamp without, as pkarr up to 6 sends it.
fn tag(bytes: &[u8]) -> Option<(Element, &[u8])> {
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
    let element = Element::Tag { is_weak, version };
    opaque.iter().all(is_tag_byte).then_some((element, rest))
}

/// What a tag of ours names, or a timestamp. Tags of others name nothing here.
fn version(opaque: &[u8]) -> Option<Version> {
    let opaque = str::from_utf8(opaque).ok()?;
    let (micros, signature) = match opaque.split_once('-') {
        Some((micros, signature)) => (micros, Some(parse_signature(signature)?)),
        None => (opaque, None),
    };
    // A number may begin with a sign, and a timestamp may not.
    let is_number = micros.bytes().all(|byte| byte.is_ascii_digit());
    Some(Version {
        timestamp: Timestamp::from_micros(is_number.then(|| micros.parse().ok())??),
        signature,
    })
}

fn parse_signature<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let is_ours = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = digits.len() == SIGNATURE_LEN && digits.bytes().all(is_ours);
    let signature = fits.then(|| u64::from_str_radix(digits, 16).ok())??;
    signature.to_be_bytes().as_slice().try_into().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::header::IF_MATCH;
    use proptest::{collection::vec, prelude::*};
    use quorate_packet::PublicKey;

    use super::*;

    fn listed(values: &[&str]) -> Vec<Result<Element, Malformed>> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(IF_MATCH, value);
        }
        elements(&headers, &IF_MATCH).collect()
    }

    fn tag(is_weak: bool, version: Option<(u64, Option<u64>)>) -> Result<Element, Malformed> {
        let version = version.map(|(micros, signature)| Version {
            timestamp: Timestamp::from_micros(micros),
            signature: signature.map(u64::to_be_bytes),
        });
        Ok(Element::Tag { is_weak, version })
    }

    #[test]
    fn lists_are_read_over_all_fields() {
        assert_eq!(listed(&[]), []);
        assert_eq!(listed(&["*"]), [Ok(Element::Any)]);
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
    fn tags_of_others_name_nothing() {
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
        fn the_tag_of_a_packet_names_it(bytes in vec(any::<u8>(), 72..100)) {
            let packet = SignedPacket::assume_verified(PublicKey::default(), bytes.into());
            let packet = packet.unwrap();
            let value = entity_tag(&packet);
            let named = Element::Tag { is_weak: false, version: Some(Version::of(&packet)) };
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
    fn what_is_no_tag_ends_the_list() {
        for malformed in [
            "x", "\"", "\"a", "a\"", "\"a\"b", "W/5", "w/\"5\"", "5x", "-5", "5-0", "**", "* x",
            "\"a b\"", "'a'",
        ] {
            assert_eq!(listed(&[malformed]), [Err(Malformed)], "{malformed}");
        }
        let before = listed(&["1, x, 2"]);
        assert_eq!(before, [tag(false, Some((1, None))), Err(Malformed)]);
    }
}
