//! Spans of time and dates, as typed and printed.

use std::time::{Duration, UNIX_EPOCH};

/// The units and their seconds, the largest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// The last millisecond of a year with four digits.
const DATE_MS_MAX: u64 = 253_402_300_799_999;

/// Parses a span such as `90s`, `10m`, `1h30m` or `7d`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut parts = text.trim().split_inclusive(|c: char| !c.is_ascii_digit());
    match parts.try_fold(0_u64, |secs, part| secs.checked_add(part_secs(part)?)) {
        None => Err("write it like 90s, 10m, 1h30m or 7d".to_owned()),
        Some(0) => Err("a span must not be zero".to_owned()),
        Some(secs) => Ok(Duration::from_secs(secs)),
    }
}

/// The seconds of a number and its unit.
fn part_secs(part: &str) -> Option<u64> {
    let parsed = |(unit, unit_secs)| Some((part.strip_suffix(unit)?, unit_secs));
    let (number, unit_secs): (&str, u64) = UNITS.into_iter().find_map(parsed)?;
    number.parse::<u64>().ok()?.checked_mul(unit_secs)
}

/// Formats a span as [`parse`] reads it, in whole seconds.
pub(crate) fn shown(span: Duration) -> String {
    let mut rest = span.as_secs();
    let mut text = String::new();
    for (unit, unit_secs) in UNITS {
        if rest >= unit_secs {
            text.push_str(&format!("{}{unit}", rest / unit_secs));
            rest %= unit_secs;
        }
    }
    match text.is_empty() {
        true => "0s".to_owned(),
        false => text,
    }
}

/// Formats milliseconds since 1970 as an HTTP date (RFC 9110, section 5.6.7).
pub fn date(unix_ms: u64) -> String {
    match unix_ms <= DATE_MS_MAX {
        true => httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(unix_ms)),
        false => format!("{unix_ms} ms after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_typed() {
        for (text, secs) in [("90s", 90), ("10m", 600), ("1h30m", 5_400), ("7d", 604_800)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(secs)), "{text}");
            assert_eq!(parse(&shown(Duration::from_secs(secs))), parse(text));
        }
    }

    #[test]
    fn invalid_spans_are_rejected() {
        for text in [
            "",
            "90",
            "h",
            "1w",
            "1h30",
            "-1s",
            "1 h",
            "0s",
            "99999999999999999999d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("{}s1s", u64::MAX)).is_err());
    }

    #[test]
    fn spans_are_shown_in_their_largest_units() {
        for (secs, text) in [(0, "0s"), (59, "59s"), (600, "10m"), (90_061, "1d1h1m1s")] {
            assert_eq!(shown(Duration::from_secs(secs)), text);
        }
    }

    #[test]
    fn dates_are_http_dates_up_to_the_year_9999() {
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(DATE_MS_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(date(u64::MAX), "18446744073709551615 ms after 1970");
    }
}
