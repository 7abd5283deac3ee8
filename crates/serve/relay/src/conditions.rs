//! Conditional requests (RFC 9110, section 13).

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use httpdate::HttpDate;
use quorate_packet::SignedPacket;
use quorate_replica::{Condition, Conditions, TooManyVersions, Version};

use crate::{
    entity_tag::{TagListElement, elements},
    field::Field,
};

/// The latest time that an HTTP date can express, in seconds since the epoch: the end of 9999.
const HTTP_DATE_SECS_MAX: u64 = 253_402_300_799;

/// The packet's timestamp as the value of a header field, if an HTTP date can express it.
pub(crate) fn last_modified(packet: &SignedPacket) -> Option<HeaderValue> {
    let date = http_date(packet)?;
    let mut field = Field::new();
    write!(field, "{date}").ok()?;
    Some(field.value())
}

/// The packet's timestamp as an HTTP date, if an HTTP date can express it.
pub(crate) fn http_date(packet: &SignedPacket) -> Option<HttpDate> {
    let timestamp = packet.timestamp();
    let has_date = timestamp.as_micros() / 1_000_000 <= HTTP_DATE_SECS_MAX;
    has_date
        .then(|| timestamp.to_system_time())?
        .map(HttpDate::from)
}

/// Whether the client has `packet` already, by `If-None-Match`, or without it by
/// `If-Modified-Since`. A list of tags is read up to the first malformed element.
///
/// A date only has seconds. A packet counts as not modified since a date only if its timestamp in
/// microseconds is not later. So two packets of the same second are never confused.
pub(crate) fn client_has(headers: &HeaderMap, packet: &SignedPacket) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        let own = Some(Version::of(packet));
        return elements(headers, &header::IF_NONE_MATCH).any(|element| match element {
            Ok(TagListElement::Any) => true,
            Ok(TagListElement::Tag { version, .. }) => version == own,
            Err(_) => false,
        });
    }
    date(headers, header::IF_MODIFIED_SINCE)
        .is_some_and(|date| u128::from(packet.timestamp().as_micros()) <= date.as_micros())
}

/// Why the conditions of a PUT cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConditionError {
    #[error(
        "If-Match is neither * nor a list of entity tags: send the ETag of the packet that you read"
    )]
    IfMatch,
    #[error(
        "If-None-Match is neither * nor a list of entity tags: send *, or the ETag of a packet"
    )]
    IfNoneMatch,
    #[error(transparent)]
    Count(#[from] TooManyVersions),
}

/// The conditions of a PUT, in the order of RFC 9110, section 13.2.2: `If-Match`, or without it
/// `If-Unmodified-Since`; then `If-None-Match`.
///
/// A tag is one that this relay has sent, or a timestamp in microseconds, with or without quotes:
/// pkarr up to 6 sends those.
pub(crate) fn put_conditions(headers: &HeaderMap) -> Result<Conditions, ConditionError> {
    let mut conditions = Vec::new();
    if headers.contains_key(header::IF_MATCH) {
        // Only exactly the bytes that were read may be replaced (section 13.1.1).
        let is_compared = |is_weak: bool| !is_weak;
        let (any, versions) = (Condition::Stored, Condition::AnyOf);
        let condition = tag_condition(headers, &header::IF_MATCH, is_compared, any, versions);
        conditions.push(condition.ok_or(ConditionError::IfMatch)?);
    } else if let Some(date) = date(headers, header::IF_UNMODIFIED_SINCE) {
        conditions.push(Condition::UnmodifiedSince(date.as_secs()));
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        let (any, versions) = (Condition::NotStored, Condition::NoneOf);
        let condition = tag_condition(headers, &header::IF_NONE_MATCH, |_| true, any, versions);
        conditions.push(condition.ok_or(ConditionError::IfNoneMatch)?);
    }
    Ok(Conditions::new(conditions)?)
}

/// The condition in the fields of this name: `of_any` for `*`, or `of_versions` for tags.
/// `is_compared` gets whether a tag is weak, and returns whether to use it. `None` if a field is
/// malformed.
fn tag_condition(
    headers: &HeaderMap,
    name: &HeaderName,
    is_compared: fn(bool) -> bool,
    of_any: Condition,
    of_versions: fn(Vec<Version>) -> Condition,
) -> Option<Condition> {
    let elements: Vec<_> = elements(headers, name).collect::<Result<_, _>>().ok()?;
    let mut versions = Vec::new();
    for element in &elements {
        match element {
            TagListElement::Any if elements.len() == 1 => return Some(of_any),
            TagListElement::Any => return None,
            TagListElement::Tag { is_weak, version } => {
                versions.extend(version.filter(|_| is_compared(*is_weak)));
            }
        }
    }
    (!elements.is_empty()).then(|| of_versions(versions))
}

/// The date in a field, since the epoch. A malformed date counts as absent (RFC 9110, sections
/// 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, name: HeaderName) -> Option<Duration> {
    let date = headers.get(name)?.to_str().ok()?;
    let date: SystemTime = httpdate::parse_http_date(date).ok()?;
    date.duration_since(UNIX_EPOCH).ok()
}
