//! Streams the changes of a packet as server-sent events (HTML Standard, section 9.2).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use data_encoding::BASE64;
use futures_util::{StreamExt, stream};
use quorate_http::uncached;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::{ReadError, Watch};

use crate::{
    entity_tag::opaque_tag,
    get::GetFailure,
    metrics::{EventLabel, WatchLabel},
    relay::{Relay, key},
    watchers::WatcherSlot,
};

/// How often a comment is sent when there are no events. Proxies close connections that are silent
/// for a minute or half a minute.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The id of the last event that a reconnecting reader has received.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Makes nginx forward each event immediately.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Sends the stored packet, unless the reader has it already, and then each change.
///
/// The first event is `cluster`, with an object with the id of the `cluster`: a restored or recovered cluster
/// has another one, and may have older packets than the reader knows.
///
/// If changes come faster than the reader reads, it only receives the last one. The event `stored`
/// has the packet's tag as its id, and as data an object with `key`, `timestamp_us`, and in
/// base64 the `payload` that GET returns. The event `deleted` has an empty id and an object with
/// the `key`. If no packet is stored, a reader with a tag receives `deleted`, and a reader without
/// one receives nothing.
pub(crate) async fn events(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let client = relay.config.rules.client(&parts.extensions, &parts.headers);
    let opened = || -> Result<PacketEvents, GetFailure> {
        let key = key(&parts.uri, 1)?;
        relay.config.rules.limits.check_get(client)?;
        // Read once now, while the status can still report an error.
        relay.replica.packet(&key)?;
        Ok(PacketEvents {
            cluster: relay.replica.status().cluster,
            key,
            known_tag: last_event_id(&parts.headers),
            slot: relay.watchers.admit(client, WatchLabel::Events)?,
            watch: relay.replica.watch(&key),
            relay: relay.clone(),
        })
    };
    match opened() {
        Ok(events) => stream_response(events),
        Err(failure) => failure.into_problem().1.into_response(),
    }
}

fn stream_response(events: PacketEvents) -> Response {
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL);
    let events = stream::unfold(events, PacketEvents::next);
    let stream = Sse::new(events).keep_alive(keep_alive);
    let unbuffered = [(X_ACCEL_BUFFERING, HeaderValue::from_static("no"))];
    uncached((unbuffered, stream))
}

/// The id that the reader sends. An id that is not text was not sent by this relay, and is ignored.
fn last_event_id(fields: &HeaderMap) -> Option<String> {
    let id = fields.get(LAST_EVENT_ID)?.to_str().ok()?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// The changes of a packet. The stream ends when the node stops or cannot read its store, or when
/// another client needs its place: then the reader reconnects, perhaps to another node.
struct PacketEvents {
    relay: Arc<Relay>,
    /// The id of the cluster, until it is sent.
    cluster: Option<String>,
    key: PublicKey,
    /// It was started before the first read, so that no change in between is missed.
    watch: Watch,
    /// The tag of the packet that the reader knows, if it knows one.
    known_tag: Option<String>,
    slot: WatcherSlot,
}

impl PacketEvents {
    /// The next event and the rest of the stream, or `None` at the end.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if let Some(id) = self.cluster.take() {
            return Some((Ok(cluster(&id)), self));
        }
        loop {
            match self.changed() {
                Ok(Some(event)) => return Some((Ok(event), self)),
                Ok(None) => tokio::select! {
                    changed = self.watch.next() => changed?,
                    () = self.slot.displaced() => return None,
                },
                Err(error) => {
                    tracing::debug!(key = %self.key, %error, "a stream of events ended");
                    return None;
                }
            }
        }
    }

    /// The event for the stored packet, if the reader does not have it yet.
    fn changed(&mut self) -> Result<Option<Event>, ReadError> {
        let indexed = self.relay.replica.packet(&self.key)?;
        let packet = indexed.as_ref().map(|indexed| indexed.compiled.packet());
        let tag = packet.map(opaque_tag);
        if tag == self.known_tag {
            return Ok(None);
        }
        self.known_tag = tag;
        let (label, event) = match packet {
            Some(packet) => (EventLabel::Stored, stored(packet)),
            None => (EventLabel::Deleted, deleted(&self.key)),
        };
        self.relay.metrics.events_total.of(label).inc();
        Ok(Some(event))
    }
}

// No value in these JSON objects needs escaping.

/// Without an id, the reader keeps the last one.
fn cluster(id: &str) -> Event {
    Event::default()
        .event("cluster")
        .data(format!(r#"{{"cluster":"{id}"}}"#))
}

fn stored(packet: &SignedPacket) -> Event {
    let (key, timestamp) = (packet.key(), packet.timestamp());
    let payload = BASE64.encode(packet.payload());
    let data = format!(r#"{{"key":"{key}","timestamp_us":{timestamp},"payload":"{payload}"}}"#);
    let event = Event::default().event("stored").id(opaque_tag(packet));
    event.data(data)
}

/// An empty id makes the reader forget the last id (HTML Standard, section 9.2.6).
fn deleted(key: &PublicKey) -> Event {
    let event = Event::default().event("deleted").id("");
    event.data(format!(r#"{{"key":"{key}"}}"#))
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
