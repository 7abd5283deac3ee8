//! The changes of a packet as they come, as server-sent events (HTML Standard, section 9.2).

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
    watchers::WatcherPlace,
};

/// How often a reader is told that it is still served. Proxies take a connection that is silent for a
/// minute, or half of one, to be lost.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// What a reader that comes back was told last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Has nginx pass on each event as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Tells what is stored, unless the reader was told last time, and then each change.
///
/// Of changes that come faster than the reader reads, it is told the last. The event `stored` has the
/// packet's tag as its id, and as data an object: `key`, `timestamp_micros`, and the `payload` as GET
/// has it, in base64. The event `deleted` has no id and an object with the `key`. A reader that has a
/// tag, of a packet that is gone, is told `deleted`; one that has none, of a key that has no packet,
/// nothing.
pub(crate) async fn events(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let client = relay.client(&parts.extensions, &parts.headers);
    let opened = || -> Result<PacketEvents, GetFailure> {
        let key = key(&parts.uri, 1)?;
        relay.config.rules.limits.check_get(client)?;
        // Now, while it can still be said by the status.
        relay.replica.packet(&key)?;
        Ok(PacketEvents {
            key,
            told: last_told(&parts.headers),
            place: relay.watchers.admit(client, WatchLabel::Events)?,
            watch: relay.replica.watch(&key),
            relay: relay.clone(),
        })
    };
    match opened() {
        Ok(events) => streamed(events),
        Err(failure) => failure.into_problem().1.into_response(),
    }
}

fn streamed(events: PacketEvents) -> Response {
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL);
    let events = stream::unfold(events, PacketEvents::next);
    let stream = Sse::new(events).keep_alive(keep_alive);
    let unbuffered = [(X_ACCEL_BUFFERING, HeaderValue::from_static("no"))];
    uncached((unbuffered, stream))
}

/// An id that is no text is none that a reader was told.
fn last_told(fields: &HeaderMap) -> Option<String> {
    let id = fields.get(LAST_EVENT_ID)?.to_str().ok()?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// The changes of a packet. It ends when the node stops, or cannot read its store: the reader comes
/// back, perhaps to another node.
struct PacketEvents {
    relay: Arc<Relay>,
    key: PublicKey,
    /// Began before anything was read, so that nothing is missed in between.
    watch: Watch,
    /// The tag of the packet that the reader knows, if it knows one.
    told: Option<String>,
    #[expect(dead_code, reason = "held for as long as there are readers")]
    place: WatcherPlace,
}

impl PacketEvents {
    /// The next event, and what comes behind it.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            match self.news() {
                Ok(Some(event)) => return Some((Ok(event), self)),
                Ok(None) => self.watch.next().await?,
                Err(error) => {
                    tracing::debug!(key = %self.key, %error, "a stream of events ended");
                    return None;
                }
            }
        }
    }

    /// What the reader has not been told, if there is something.
    fn news(&mut self) -> Result<Option<Event>, ReadError> {
        let indexed = self.relay.replica.packet(&self.key)?;
        let packet = indexed.as_ref().map(|indexed| indexed.compiled.packet());
        let tag = packet.map(opaque_tag);
        if tag == self.told {
            return Ok(None);
        }
        self.told = tag;
        let (label, event) = match packet {
            Some(packet) => (EventLabel::Stored, stored(packet)),
            None => (EventLabel::Deleted, deleted(&self.key)),
        };
        self.relay.metrics.events_total.of(label).inc();
        Ok(Some(event))
    }
}

// What is put into these objects needs no escaping.

fn stored(packet: &SignedPacket) -> Event {
    let (key, timestamp) = (packet.key(), packet.timestamp());
    let payload = BASE64.encode(packet.payload());
    let data = format!(r#"{{"key":"{key}","timestamp_micros":{timestamp},"payload":"{payload}"}}"#);
    let event = Event::default().event("stored").id(opaque_tag(packet));
    event.data(data)
}

/// With an empty id the reader forgets the one that it had (HTML Standard, section 9.2.6).
fn deleted(key: &PublicKey) -> Event {
    let event = Event::default().event("deleted").id("");
    event.data(format!(r#"{{"key":"{key}"}}"#))
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
