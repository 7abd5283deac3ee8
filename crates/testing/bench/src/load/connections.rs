//! Sends requests over many HTTP connections, one at a time on each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use http_body_util::Full;
use hyper::{Request, body::Bytes};
use quorate_ctl::RelayUrl;
use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until, timeout_at},
};

use super::{Bounds, Clock, Outcome, Tally, requests::Requests};
use crate::http::Connection;

/// How long a connection waits after a failure, so that it does not dial a dead server in a busy loop.
const REST: Duration = Duration::from_millis(10);

/// Sends requests over `connection_count` connections, spread evenly over `relays`.
pub(crate) async fn drive(
    requests: Requests,
    relays: Vec<RelayUrl>,
    connection_count: usize,
    bounds: Bounds,
) -> anyhow::Result<Outcome> {
    let mut connections = Vec::with_capacity(connection_count);
    for relay in relays.iter().cycle().take(connection_count) {
        let unreached = || format!("{relay} cannot be reached");
        let addresses = relay.url().socket_addrs(|| None).with_context(unreached)?;
        let address = *addresses.first().with_context(unreached)?;
        let connection = Connection::open(address).await.with_context(unreached)?;
        connections.push((relay.clone(), connection));
    }
    let phase = Arc::new(Phase {
        requests,
        next: AtomicU64::new(0),
        count_max: bounds.count.unwrap_or(u64::MAX),
        clock: Clock::start(bounds),
    });
    let mut drivers = JoinSet::new();
    for (relay, connection) in connections {
        drivers.spawn(phase.clone().drive_one(relay, connection));
    }
    phase.clock.outcome(drivers).await
}

struct Phase {
    requests: Requests,
    /// The number of the next request.
    next: AtomicU64,
    count_max: u64,
    clock: Clock,
}

impl Phase {
    async fn drive_one(self: Arc<Self>, relay: RelayUrl, mut connection: Connection) -> Tally {
        let mut tally = Tally::new();
        while let Some((number, request)) = self.next(&relay) {
            let mut started = Instant::now();
            if !self.requests.pause.is_zero() {
                started = self.clock.started + self.requests.pause.mul_f64(number as f64);
                sleep_until(started.into()).await;
            }
            let give_up = self.clock.give_up().into();
            match timeout_at(give_up, connection.exchange(request)).await {
                Ok(Ok(answer)) if answer.status() == self.requests.status => {
                    tally.on_ok(started.elapsed());
                }
                Ok(Ok(answer)) => tally.on_error(|| {
                    let reason = String::from_utf8_lossy(answer.body());
                    let status = answer.status().as_u16();
                    format!("{relay} answered {status}: {}", reason.trim_end())
                }),
                Ok(Err(error)) => {
                    tally.on_error(|| format!("{relay}: {error:#}"));
                    sleep(REST).await;
                }
                Err(_) => {
                    tally.on_error(|| format!("{relay} gave no answer"));
                    break;
                }
            }
        }
        tally
    }

    /// The next request and its number, if time and work are left.
    fn next(&self, relay: &RelayUrl) -> Option<(u64, Request<Full<Bytes>>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let goes_on = number < self.count_max && Instant::now() < self.clock.end;
        let request = goes_on.then(|| self.requests.request(number, relay))?;
        Some((number, request?))
    }
}
