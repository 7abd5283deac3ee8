//! GET with `wait`: an answer that is held back until there is something new to say.

use std::{mem, net::IpAddr, time::Duration};

use axum::http::{HeaderMap, HeaderValue, Uri, header, request::Parts};
use futures_util::StreamExt;
use quorate_packet::PublicKey;
use tokio::time::timeout;

use crate::{
    conditions,
    metrics::{TooManyWatchers, WatchLabel},
    relay::Relay,
};

/// Why nothing is waited for. The text is the problem's detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`wait` is a number of seconds, as in `wait=30` and `wait=30s`")]
pub(crate) struct InvalidWait;

/// How long the query asks to wait, if it does.
pub(crate) fn wait(uri: &Uri) -> Result<Option<Duration>, InvalidWait> {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    let Some(wait) = pairs.find_map(|pair| pair.strip_prefix("wait=")) else {
        return Ok(None);
    };
    let digits = wait.strip_suffix('s').unwrap_or(wait);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidWait);
    }
    let secs = digits.parse().map_err(|_| InvalidWait)?;
    Ok(Some(Duration::from_secs(secs)))
}

/// Lets go of all of a request but the fields that its answer depends on, which are copied. It stands in
/// a buffer that its connection can read into again as soon as nothing refers to it.
pub(crate) fn let_go_of_buffer(request: &mut Parts) {
    request.uri = Uri::default();
    request.extensions.clear();
    let given = mem::take(&mut request.headers);
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
        let copied = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        for value in given.get_all(&name).iter().filter_map(copied) {
            request.headers.append(&name, value);
        }
    }
}

impl Relay {
    /// Resolves when the answer to a GET with these fields is other than that the client has what is
    /// stored, or, if it names nothing that it has, other than that nothing is. And in any case after
    /// `wait` or the longest time that is allowed, or when the node stops.
    pub(crate) async fn wait_for_news(
        &self,
        key: &PublicKey,
        fields: &HeaderMap,
        client: IpAddr,
        wait: Duration,
    ) -> Result<(), TooManyWatchers> {
        if self.has_news(key, fields) {
            return Ok(());
        }
        let _place = self.watchers.admit(client, WatchLabel::Wait)?;
        // Before the next look, or what changes behind that is missed.
        let mut watch = self.replica.watch(key);
        let news = async { while !self.has_news(key, fields) && watch.next().await.is_some() {} };
        let wait_max = Duration::from_secs(self.config.watch.wait_secs_max);
        // The answer is the same: what is stored by then.
        let _ = timeout(wait.min(wait_max), news).await;
        Ok(())
    }

    /// A store that cannot be read is news too.
    fn has_news(&self, key: &PublicKey, fields: &HeaderMap) -> bool {
        match self.replica.packet(key) {
            Ok(Some(indexed)) => !conditions::reader_has(fields, indexed.compiled.packet()),
            Ok(None) => fields.contains_key(header::IF_NONE_MATCH),
            Err(_) => true,
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "watch_socket_tests.rs"]
mod socket_tests;
