//! Splits long lists into pages.

use std::ops::Bound;

use quorate_api::{PACKET_COUNT_DEFAULT, PACKET_COUNT_MAX};
use quorate_http::ProblemResponse;
use quorate_packet::PublicKey;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input::{check_range, parse_key};

/// The query for a page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The page begins after this key, in z-base-32: `next` of the previous page.
    after: Option<String>,
    /// The most keys of the page: 1 to 1000, by default 100.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<usize>,
}

impl PageQuery {
    /// The key after which the page begins, and the most keys that it has.
    pub(crate) fn parse(&self) -> Result<(Option<PublicKey>, usize), ProblemResponse> {
        let after = self.after.as_deref().map(parse_key).transpose()?;
        let count = self.count.unwrap_or(PACKET_COUNT_DEFAULT);
        let count = check_range("count", count, 1..=PACKET_COUNT_MAX)?;
        Ok((after, count))
    }
}

/// The range of keys after this one.
pub(crate) fn after_key(after: Option<PublicKey>) -> (Bound<PublicKey>, Bound<PublicKey>) {
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    (begin, Bound::Unbounded)
}

/// The first `count` elements, and the key of the last of these if there are more.
pub(crate) fn split_page<T>(
    all: impl Iterator<Item = T>,
    count: usize,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let mut page: Vec<T> = all.take(count + 1).collect();
    let has_more = page.len() > count;
    page.truncate(count);
    let next = page.last().filter(|_| has_more).map(key);
    (page, next)
}
