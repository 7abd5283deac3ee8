//! The values that the DHT returns for a key, of which the newest valid one counts.

use std::{
    panic::AssertUnwindSafe,
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt, StreamExt};
use mainline::{GetMutableOutcome, MutableItem};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{TIMESTAMP_AHEAD_MAX, UnixMillis};
use tokio::time::timeout;

use crate::{
    DhtMetrics,
    client::{Client, LOOKUP_TIMEOUT},
    item,
    metrics::InvalidLabel,
};

/// A key is absent only if so many nodes say so, lest one liar can hide a key, and this share of those
/// that were asked, one in so many: on the public network many are gone.
pub(crate) const ANSWERED_MIN: u32 = 8;
const ANSWERED_ONE_IN: u32 = 3;

/// Why a lookup has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFailure {
    /// The DHT cannot be reached, or the client started again meanwhile.
    Disconnected,
    /// The lookup did not end in time.
    Abandoned,
}

/// Reads all values that the DHT returns for a key. `on_newer` gets each packet that is newer than
/// all before it.
pub(crate) async fn read(
    client: &Client,
    key: &PublicKey,
    metrics: &DhtMetrics,
    mut on_newer: impl FnMut(&SignedPacket),
) -> Result<GetMutableOutcome, ReadFailure> {
    let reading = async {
        let mut get = client.get(key)?;
        let mut values = Values::new(*key, metrics.clone());
        while let Some(item) = get.items.next().await {
            if let Some(packet) = values.add(&item) {
                on_newer(packet);
            }
        }
        Some(get.outcome.recv().await)
    };
    // The library panics here if its thread ends meanwhile.
    let reading = AssertUnwindSafe(reading).catch_unwind();
    match timeout(LOOKUP_TIMEOUT, reading).await {
        Ok(Ok(Some(outcome))) => {
            client.on_lookup(outcome.responded() > 0);
            metrics.nodes_asked_total.inc_by(outcome.queried.into());
            metrics
                .nodes_answered_total
                .inc_by(outcome.responded().into());
            Ok(outcome)
        }
        Ok(Ok(None) | Err(_)) => Err(ReadFailure::Disconnected),
        Err(_) => {
            client.on_abandoned();
            Err(ReadFailure::Abandoned)
        }
    }
}

/// Whether enough nodes answered to say that the DHT has no packet.
pub(crate) fn is_full(outcome: &GetMutableOutcome) -> bool {
    let answered = outcome.valid_responses();
    answered >= ANSWERED_MIN && answered >= outcome.queried / ANSWERED_ONE_IN
}

struct Values {
    key: PublicKey,
    newest: Option<SignedPacket>,
    metrics: DhtMetrics,
}

impl Values {
    fn new(key: PublicKey, metrics: DhtMetrics) -> Self {
        Self {
            key,
            newest: None,
            metrics,
        }
    }

    /// Adds a value. Returns it if it is the newest valid one so far.
    fn add(&mut self, value: &MutableItem) -> Option<&SignedPacket> {
        // Most nodes return the same one.
        let is_known = |newest: &SignedPacket| *value == item::item(newest);
        if self.newest.as_ref().is_some_and(is_known) {
            return None;
        }
        let packet = match self.check(value) {
            Ok(packet) => packet,
            Err(reason) => {
                self.metrics.values_invalid_total.of(reason).inc();
                return None;
            }
        };
        let is_newer = |newest: &SignedPacket| packet.recency(newest).is_gt();
        if !self.newest.as_ref().is_none_or(is_newer) {
            return None;
        }
        Some(self.newest.insert(packet))
    }

    fn check(&self, value: &MutableItem) -> Result<SignedPacket, InvalidLabel> {
        let packet = item::packet(self.key, value).map_err(|error| {
            tracing::debug!(key = %self.key, %error, "a value of the DHT is no packet");
            InvalidLabel::Packet
        })?;
        let ahead_max = u64::try_from(TIMESTAMP_AHEAD_MAX.as_micros()).unwrap_or(u64::MAX);
        let latest = now().0.saturating_mul(1000).saturating_add(ahead_max);
        match packet.timestamp().as_micros() > latest {
            true => Err(InvalidLabel::TooFarAhead),
            false => Ok(packet),
        }
    }
}

/// The time of this node's clock.
pub(crate) fn now() -> UnixMillis {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = now.unwrap_or_default().as_millis();
    UnixMillis(u64::try_from(millis).unwrap_or(u64::MAX))
}
