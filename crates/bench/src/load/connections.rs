//! Requests over many HTTP connections, on each one after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout_at},
};

use super::{Bounds, Clock, Outcome, Tally};
use crate::{http::Connection, relay_url::RelayUrl};

/// Room for a usual request, in bytes.
const REQUEST_SIZE: usize = 1024;

/// How long a connection rests after it failed: a server that is gone is not dialled in a spin.
const REST: Duration = Duration::from_millis(10);

/// What the connections of a phase ask for.
pub(super) trait Requests: Send + Sync + 'static {
    /// Appends the request of this number, from 0; `false` if there are no more.
    fn write(&self, number: u64, relay: &RelayUrl, request: &mut Vec<u8>) -> bool;

    /// The status of an answer that is as it should be.
    fn status(&self) -> u16;
}

/// Sends requests over `connection_count` connections, spread evenly over `relays`.
pub(super) async fn drive(
    requests: impl Requests,
    relays: &[RelayUrl],
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
    let turn = Arc::new(AtomicU64::new(0));
    let clock = Clock::start(bounds.time);
    let mut drivers = JoinSet::new();
    for (relay, connection) in connections {
        let driver = Driver {
            requests: requests.clone(),
            turn: turn.clone(),
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
    turn: Arc<AtomicU64>,
    count_max: u64,
    clock: Clock,
    relay: RelayUrl,
    connection: Connection,
}

impl<R: Requests> Driver<R> {
    async fn run(mut self) -> Tally {
        let mut tally = Tally::new();
        let mut request = Vec::with_capacity(REQUEST_SIZE);
        while self.next(&mut request) {
            let begun = Instant::now();
            let give_up = self.clock.give_up().into();
            let status = match timeout_at(give_up, self.connection.exchange(&request)).await {
                Ok(Ok(status)) => status,
                Ok(Err(error)) => {
                    tally.on_error(|| format!("{}: {:#}", self.relay, anyhow::Error::new(error)));
                    sleep(REST).await;
                    continue;
                }
                Err(_) => {
                    tally.on_error(|| format!("{} gave no answer", self.relay));
                    break;
                }
            };
            if status == self.requests.status() {
                tally.on_ok(begun.elapsed());
            } else {
                tally.on_error(|| self.describe(status));
            }
        }
        tally
    }

    /// Writes the next request, if there is time and work left.
    fn next(&self, request: &mut Vec<u8>) -> bool {
        let number = self.turn.fetch_add(1, Ordering::Relaxed);
        request.clear();
        number < self.count_max
            && Instant::now() < self.clock.end
            && self.requests.write(number, &self.relay, request)
    }

    fn describe(&self, status: u16) -> String {
        let reason = String::from_utf8_lossy(self.connection.body());
        format!("{} answered {status}: {}", self.relay, reason.trim_end())
    }
}
