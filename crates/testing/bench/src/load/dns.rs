//! DNS over UDP: a plain loop for each socket, with a window of queries in flight.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use tokio::task::JoinSet;

use super::{
    Bounds, Clock, Expect, Outcome, Tally,
    datagrams::{BATCH_COUNT_MAX, Datagrams},
    queries::Queries,
};

/// After how long without any answer those in flight count as lost.
const LOST_AFTER: Duration = Duration::from_millis(500);

/// How queries are sent.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Shape {
    /// How many sockets, each with a thread.
    #[arg(long, default_value_t = SHAPE.sockets, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) sockets: u16,
    /// How many queries are in flight on each.
    // Few enough that one is answered, or lost, long before its id comes again.
    #[arg(long, default_value_t = SHAPE.window, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) window: u16,
}

/// How many queries are in flight by default: 100, as in dnsperf.
pub(crate) const SHAPE: Shape = Shape {
    sockets: 4,
    window: 25,
};

/// Whom to ask, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) server: SocketAddr,
    /// The address of ours that queries come from, if it is not left to the system.
    pub(crate) source: Option<IpAddr>,
}

impl From<SocketAddr> for Route {
    fn from(server: SocketAddr) -> Self {
        Self {
            server,
            source: None,
        }
    }
}

impl Route {
    /// A socket that is connected to the server.
    pub(crate) fn connect(self) -> anyhow::Result<UdpSocket> {
        let unspecified = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let connect = || {
            let socket = UdpSocket::bind((self.source.unwrap_or(unspecified), 0))?;
            socket.connect(self.server)?;
            socket.set_read_timeout(Some(LOST_AFTER))?;
            Ok::<_, std::io::Error>(socket)
        };
        connect().with_context(|| format!("{} cannot be reached", self.server))
    }

    /// The answer to one query.
    pub(crate) fn ask(self, query: &[u8]) -> anyhow::Result<Vec<u8>> {
        let socket = self.connect()?;
        let mut datagrams = Datagrams::new(socket);
        datagrams.send(&[(None, query)])?;
        let mut answers = datagrams.receive()?;
        let (_, answer) = answers.next().context("nothing came")?;
        Ok(answer.to_vec())
    }
}

/// Sends the queries in turn, again and again. Unless something is expected of them, any answers will
/// do.
pub(crate) async fn run(
    queries: Queries,
    expect: impl Into<Option<Expect>>,
    route: impl Into<Route>,
    shape: Shape,
    bounds: Bounds,
) -> anyhow::Result<Outcome> {
    let (route, expect) = (route.into(), expect.into());
    let Queries(queries) = queries;
    let socket_count = usize::from(shape.sockets);
    let mut askers = Vec::with_capacity(socket_count);
    for number in 0..socket_count {
        askers.push(Asker {
            datagrams: Datagrams::new(route.connect()?),
            next: number * queries.len() / socket_count,
            queries: queries.clone(),
            expect,
            left: bounds.count.unwrap_or(u64::MAX) / u64::from(shape.sockets),
            window: shape.window.into(),
            last_id: 0,
            in_flight: HashMap::new(),
            tally: Tally::new(),
        });
    }
    let clock = Clock::start(bounds);
    let mut threads = JoinSet::new();
    for asker in askers {
        threads.spawn_blocking(move || asker.run(clock));
    }
    clock.outcome(threads).await
}

/// Whether the answer is what is expected, if anything is, or what is wrong with it.
fn check(answer: &[u8], expect: Option<Expect>) -> Result<(), String> {
    let Some(header) = answer.first_chunk::<12>() else {
        return Err(format!("an answer has {} bytes", answer.len()));
    };
    let is_truncated = header[2] & 0x02 != 0;
    let rcode = header[3] & 0x0f;
    let answer_count = u16::from_be_bytes([header[6], header[7]]);
    match (expect, rcode) {
        (None, _) => Ok(()),
        _ if is_truncated => Err("an answer was truncated".to_owned()),
        (Some(Expect::Found), 0) if answer_count > 0 => Ok(()),
        (Some(Expect::Absent), 3) => Ok(()),
        _ => Err(format!(
            "an answer had response code {rcode} and {answer_count} records"
        )),
    }
}

/// A socket and its queries.
struct Asker {
    datagrams: Datagrams,
    queries: Arc<Vec<Vec<u8>>>,
    /// Which of them is sent next.
    next: usize,
    /// How many are still to send.
    left: u64,
    expect: Option<Expect>,
    window: usize,
    last_id: u16,
    /// When the queries without an answer were sent, by their ids.
    in_flight: HashMap<u16, Instant>,
    tally: Tally,
}

impl Asker {
    fn run(mut self, clock: Clock) -> Tally {
        loop {
            let now = Instant::now();
            if now < clock.end {
                self.send(now);
            }
            if self.in_flight.is_empty() || now >= clock.give_up() {
                return self.tally;
            }
            self.receive();
        }
    }

    /// Fills the window.
    fn send(&mut self, now: Instant) {
        let free_count = self.window - self.in_flight.len();
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let mut batch = Vec::with_capacity(BATCH_COUNT_MAX);
        for _ in 0..free_count.min(left).min(BATCH_COUNT_MAX) {
            let mut query = self.queries[self.next].clone();
            self.next = (self.next + 1) % self.queries.len();
            self.left -= 1;
            self.last_id = self.last_id.wrapping_add(1);
            query[..2].copy_from_slice(&self.last_id.to_be_bytes());
            if self.in_flight.insert(self.last_id, now).is_some() {
                self.tally.on_error(no_answer);
            }
            batch.push(query);
        }
        let batch: Vec<_> = batch.iter().map(|query| (None, &query[..])).collect();
        let mut sent = 0;
        while sent < batch.len() {
            match self.datagrams.send(&batch[sent..]) {
                Ok(count) => sent += count,
                // The query that this is about counts as lost later.
                Err(error) => {
                    sent += 1;
                    self.tally.on_error(|| error.to_string());
                }
            }
        }
    }

    fn receive(&mut self) {
        match self.datagrams.receive() {
            Ok(answers) => {
                let now = Instant::now();
                for (_, answer) in answers {
                    let id = answer.first_chunk().map(|id| u16::from_be_bytes(*id));
                    // An answer that is waited for no more is not counted.
                    let Some(sent) = id.and_then(|id| self.in_flight.remove(&id)) else {
                        continue;
                    };
                    match check(answer, self.expect) {
                        Ok(()) => self.tally.on_ok(now - sent),
                        Err(error) => self.tally.on_error(|| error),
                    }
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                for _lost in self.in_flight.drain() {
                    self.tally.on_error(no_answer);
                }
            }
            // For example a port without a listener: reported here for an earlier send.
            Err(error) => self.tally.on_error(|| error.to_string()),
        }
    }
}

fn no_answer() -> String {
    format!("no answer within {LOST_AFTER:?}")
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
