//! GET with `wait`: the answer is delayed until the packet changes.

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

/// The value of `wait` is invalid. The text is the problem's detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`wait` is not a number of seconds: send for example `wait=30` or `wait=30s`")]
pub(crate) struct InvalidWait;

/// The value of `wait` in the query, if there is one.
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

/// Drops everything of a request except copies of the fields that its answer depends on. The rest
/// refers to the read buffer of the connection, which can be reused once nothing refers to it.
pub(crate) fn release_buffer(request: &mut Parts) {
    request.uri = Uri::default();
    request.extensions.clear();
    let all = mem::take(&mut request.headers);
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
        let copied = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        for value in all.get_all(&name).iter().filter_map(copied) {
            request.headers.append(&name, value);
        }
    }
}

impl Relay {
    /// Waits until a GET with these fields has something new to answer: another packet than the
    /// client has, or any packet if the client has none. Also ends after `wait`, after the longest
    /// time that is allowed, when another client needs its place, and when the node stops.
    pub(crate) async fn wait_for_change(
        &self,
        key: &PublicKey,
        fields: &HeaderMap,
        client: IpAddr,
        wait: Duration,
    ) -> Result<(), TooManyWatchers> {
        if self.has_change(key, fields) {
            return Ok(());
        }
        let mut slot = self.watchers.admit(client, WatchLabel::Wait)?;
        // The watch starts before the next read, so that no change after that read is missed.
        let mut watch = self.replica.watch(key);
        let change =
            async { while !self.has_change(key, fields) && watch.next().await.is_some() {} };
        let wait_max = Duration::from_secs(self.config.watch.wait_secs_max);
        let ended = async {
            tokio::select! {
                () = change => {}
                () = slot.displaced() => {}
            }
        };
        // After a timeout too, the answer is the packet that is stored then.
        let _ = timeout(wait.min(wait_max), ended).await;
        Ok(())
    }

    /// Whether the answer would be new to the client. An unreadable store is new too.
    fn has_change(&self, key: &PublicKey, fields: &HeaderMap) -> bool {
        match self.replica.packet(key) {
            Ok(Some(indexed)) => !conditions::client_has(fields, indexed.compiled.packet()),
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
