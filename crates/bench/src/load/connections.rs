//! Requests over many HTTP connections, on each one after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use http_body_util::Full;
use hyper::{Request, StatusCode, body::Bytes};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout_at},
};

use super::{Bounds, Clock, Outcome, Tally};
use crate::{http::Connection, relay::Relay};

/// How long a connection rests after it failed: a server that is gone is not dialled in a spin.
const REST: Duration = Duration::from_millis(10);

/// What the connections of a phase ask for.
pub(crate) trait Requests: Send + Sync + 'static {
    /// The request of this number, from 0; `None` if there are no more.
    fn request(&self, number: u64, relay: &Relay) -> Option<Request<Full<Bytes>>>;

    /// The status of an answer that is as it should be.
    fn status(&self) -> StatusCode;
}

/// Sends requests over `connection_count` connections, spread evenly over `relays`.
pub(crate) async fn drive(
    requests: impl Requests,
    relays: &[Relay],
    connection_count: usize,
    bounds: Bounds,
) -> anyhow::Result<Outcome> {
    let mut connections = Vec::with_capacity(connection_count);
    for relay in relays.iter().cycle().take(connection_count) {
        let connection = Connection::open(relay.address)
            .await
            .with_context(|| format!("{relay} cannot be reached"))?;
        connections.push((relay.clone(), connection));
    }
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicU64::new(0));
    let clock = Clock::start(bounds.time);
    let mut drivers = JoinSet::new();
    for (relay, connection) in connections {
        let driver = Driver {
            requests: requests.clone(),
            next: next.clone(),
            count_max: bounds.count_max,
            clock,
            relay,
            connection,
        };
        drivers.spawn(driver.run());
    }
    let mut tally = Tally::new();
    while let Some(driven) = drivers.join_next().await {
        tally.add(driven.context("a connection's task failed")?);
    }
    Ok(clock.outcome(tally))
}

/// One connection, and what it takes to keep it busy.
struct Driver<R> {
    requests: Arc<R>,
    /// The number of the next request of all connections.
    next: Arc<AtomicU64>,
    count_max: u64,
    clock: Clock,
    relay: Relay,
    connection: Connection,
}

impl<R: Requests> Driver<R> {
    async fn run(mut self) -> Tally {
        let mut tally = Tally::new();
        while let Some(request) = self.next() {
            let begun = Instant::now();
            let give_up = self.clock.give_up().into();
            match timeout_at(give_up, self.connection.exchange(request)).await {
                Ok(Ok(answer)) if answer.status() == self.requests.status() => {
                    tally.on_ok(begun.elapsed());
                }
                Ok(Ok(answer)) => tally.on_error(|| {
                    let reason = String::from_utf8_lossy(answer.body());
                    let status = answer.status().as_u16();
                    format!("{} answered {status}: {}", self.relay, reason.trim_end())
                }),
                Ok(Err(error)) => {
                    tally.on_error(|| format!("{}: {:#}", self.relay, anyhow::Error::new(error)));
                    sleep(REST).await;
                }
                Err(_) => {
                    tally.on_error(|| format!("{} gave no answer", self.relay));
                    break;
                }
            }
        }
        tally
    }

    /// The next request, if there is time and work left.
    fn next(&self) -> Option<Request<Full<Bytes>>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let goes_on = number < self.count_max && Instant::now() < self.clock.end;
        goes_on.then(|| self.requests.request(number, &self.relay))?
    }
}
