//! Conditions on what is stored (RFC 9110, section 13), and the tags they compare.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use quorate_packet::{SignedPacket, Timestamp};

/// How many bytes of the signature are in a tag. Two packets of one key and timestamp that share
/// them were signed with one nonce, which gives the key away.
const TAG_SIGNATURE_SIZE: usize = 8;

/// The latest moment that an HTTP date can say, in seconds since the epoch: the end of 9999.
const HTTP_DATE_SECS_MAX: u64 = 253_402_300_799;

/// The tag of a packet: its timestamp in microseconds, and the begin of its signature. No other
/// packet of the key has it.
pub(crate) fn entity_tag(packet: &SignedPacket) -> HeaderValue {
    let tag = format!("\"{}\"", opaque_tag(packet));
    HeaderValue::try_from(tag).expect("digits and quotes are a field value")
}

fn opaque_tag(packet: &SignedPacket) -> String {
    let mut signature = [0; TAG_SIGNATURE_SIZE];
    signature.copy_from_slice(&packet.payload()[..TAG_SIGNATURE_SIZE]);
    let signature = u64::from_be_bytes(signature);
    format!("{}-{signature:016x}", packet.timestamp())
}

/// The packet's timestamp as an HTTP date, if there is such a date.
pub(crate) fn last_modified(packet: &SignedPacket) -> Option<HeaderValue> {
    let timestamp = packet.timestamp();
    let date = (timestamp.as_micros() / 1_000_000 <= HTTP_DATE_SECS_MAX)
        .then(|| timestamp.to_system_time())?
        .map(httpdate::fmt_http_date)?;
    HeaderValue::try_from(date).ok()
}

/// Whether the reader has `packet` already: `If-None-Match`, and without it `If-Modified-Since`.
///
/// A date has seconds only. A packet counts as not modified since a date if its timestamp, to the
/// microsecond, is not later: two packets of one second are never taken for each other.
pub(crate) fn reader_has(headers: &HeaderMap, packet: &SignedPacket) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        let tag = opaque_tag(packet);
        return tags(headers, header::IF_NONE_MATCH).any(|given| given == "*" || given == tag);
    }
    date(headers, header::IF_MODIFIED_SINCE)
        .is_some_and(|date| u128::from(packet.timestamp().as_micros()) <= date.as_micros())
}

/// Whether a PUT is made on conditions.
pub(crate) fn has_write_conditions(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_UNMODIFIED_SINCE)
}

/// Whether a PUT may replace `stored`: `If-Match`, and without it `If-Unmodified-Since`.
///
/// `If-Match` lists tags of ours, or timestamps in microseconds as pkarr up to 6 sends them, in
/// quotes or without. Where nothing is stored nothing else than what the client knows is replaced,
/// so the PUT may go on; only `*` asks that something be stored.
pub(crate) fn may_replace(headers: &HeaderMap, stored: Option<&SignedPacket>) -> bool {
    if headers.contains_key(header::IF_MATCH) {
        let mut tags = tags(headers, header::IF_MATCH);
        return match stored {
            Some(stored) => tags.any(|given| given == "*" || names(given, stored)),
            None => !tags.any(|given| given == "*"),
        };
    }
    let since = date(headers, header::IF_UNMODIFIED_SINCE);
    since.zip(stored).is_none_or(|(since, stored)| {
        // A date is all the client could tell, so the fraction of the second does not count.
        stored.timestamp().as_micros() / 1_000_000 <= since.as_secs()
    })
}

fn names(tag: &str, packet: &SignedPacket) -> bool {
    tag.parse().map(Timestamp::from_micros) == Ok(packet.timestamp()) || tag == opaque_tag(packet)
}

/// The tags in all fields of this name, without quotes.
fn tags(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
}

/// The date in a field, since the epoch. One that cannot be read is as if absent (RFC 9110,
/// section 13.1.3).
fn date(headers: &HeaderMap, name: HeaderName) -> Option<Duration> {
    let date = headers.get(name)?.to_str().ok()?;
    let date: SystemTime = httpdate::parse_http_date(date).ok()?;
    date.duration_since(UNIX_EPOCH).ok()
}
