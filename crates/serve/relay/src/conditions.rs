//! Conditions on what is stored (RFC 9110, section 13).

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use httpdate::HttpDate;
use quorate_packet::SignedPacket;
use quorate_replica::{Condition, Conditions, TooManyVersions, Version};

use crate::{
    entity_tag::{Element, elements},
    field::Field,
};

/// The latest moment that an HTTP date can say, in seconds since the epoch: the end of 9999.
const HTTP_DATE_SECS_MAX: u64 = 253_402_300_799;

/// The packet's timestamp as the value of a field, if it is a moment that an HTTP date can say.
pub(crate) fn last_modified(packet: &SignedPacket) -> Option<HeaderValue> {
    let date = http_date(packet)?;
    let mut field = Field::new();
    write!(field, "{date}").ok()?;
    Some(field.value())
}

/// The packet's timestamp as an HTTP date, if there is such a date.
pub(crate) fn http_date(packet: &SignedPacket) -> Option<HttpDate> {
    let timestamp = packet.timestamp();
    let has_date = timestamp.as_micros() / 1_000_000 <= HTTP_DATE_SECS_MAX;
    has_date
        .then(|| timestamp.to_system_time())?
        .map(HttpDate::from)
}

/// Whether the reader has `packet` already: `If-None-Match`, and without it `If-Modified-Since`. A
/// list is read as far as it is one.
///
/// A date has seconds only. A packet counts as not modified since a date if its timestamp, to the
/// microsecond, is not later: two packets of one second are never taken for each other.
pub(crate) fn reader_has(headers: &HeaderMap, packet: &SignedPacket) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        let own = Some(Version::of(packet));
        return elements(headers, &header::IF_NONE_MATCH).any(|element| match element {
            Ok(Element::Any) => true,
            Ok(Element::Tag { version, .. }) => version == own,
            Err(_) => false,
        });
    }
    date(headers, header::IF_MODIFIED_SINCE)
        .is_some_and(|date| u128::from(packet.timestamp().as_micros()) <= date.as_micros())
}

/// Why the conditions of a PUT cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConditionError {
    #[error("If-Match is neither * nor a list of entity tags: send the ETag of what was read")]
    IfMatch,
    #[error(
        "If-None-Match is neither * nor a list of entity tags: send *, or the ETag of a packet"
    )]
    IfNoneMatch,
    #[error(transparent)]
    Count(#[from] TooManyVersions),
}

/// On what condition a PUT is made, in the order of RFC 9110, section 13.2.2: `If-Match`, and without
/// it `If-Unmodified-Since`; and `If-None-Match`.
///
/// Tags are ours, or timestamps in microseconds as pkarr up to 6 sends them, in quotes or without.
pub(crate) fn of_put(headers: &HeaderMap) -> Result<Conditions, ConditionError> {
    let mut conditions = Vec::new();
    if headers.contains_key(header::IF_MATCH) {
        // What is replaced must be the very bytes that were read (section 13.1.1).
        let counts = |is_weak: bool| !is_weak;
        let (of_any, of_versions) = (Condition::Stored, Condition::AnyOf);
        let named = named(headers, &header::IF_MATCH, counts, of_any, of_versions);
        conditions.push(named.ok_or(ConditionError::IfMatch)?);
    } else if let Some(date) = date(headers, header::IF_UNMODIFIED_SINCE) {
        conditions.push(Condition::UnmodifiedSince(date.as_secs()));
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        let (of_any, of_versions) = (Condition::NotStored, Condition::NoneOf);
        let named = named(
            headers,
            &header::IF_NONE_MATCH,
            |_| true,
            of_any,
            of_versions,
        );
        conditions.push(named.ok_or(ConditionError::IfNoneMatch)?);
    }
    Ok(Conditions::new(conditions)?)
}

/// What the fields of this name say: `of_any` by `*`, or `of_versions` by tags. Whether a tag
/// `counts` depends on whether it is weak.
fn named(
    headers: &HeaderMap,
    name: &HeaderName,
    counts: fn(bool) -> bool,
    of_any: Condition,
    of_versions: fn(Vec<Version>) -> Condition,
) -> Option<Condition> {
    let elements: Vec<_> = elements(headers, name).collect::<Result<_, _>>().ok()?;
    let mut versions = Vec::new();
    for element in &elements {
        match element {
            Element::Any if elements.len() == 1 => return Some(of_any),
            Element::Any => return None,
            Element::Tag { is_weak, version } => {
                versions.extend(version.filter(|_| counts(*is_weak)));
            }
        }
    }
    (!elements.is_empty()).then(|| of_versions(versions))
}

/// The date in a field, since the epoch. One that cannot be read is as if absent (RFC 9110,
/// sections 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, name: HeaderName) -> Option<Duration> {
    let date = headers.get(name)?.to_str().ok()?;
    let date: SystemTime = httpdate::parse_http_date(date).ok()?;
    date.duration_since(UNIX_EPOCH).ok()
}
