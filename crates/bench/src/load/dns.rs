//! DNS over UDP: a plain loop for each socket, with a window of queries in flight.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use tokio::task::JoinSet;

use super::{Bounds, Clock, Expect, Outcome, Tally};

/// After how long without any answer those in flight are given up as lost.
const LOST_AFTER: Duration = Duration::from_millis(500);

/// Room for an answer, in bytes: more than any server sends without EDNS.
const MESSAGE_SIZE_MAX: usize = 4096;

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

/// How many queries are in flight unless told otherwise: 100, as dnsperf has.
pub(crate) const SHAPE: Shape = Shape {
    sockets: 4,
    window: 25,
};

/// Asks for TXT at `_iroh.<key>.<origin>`, for `keys` in turn, again and again.
pub(crate) async fn run(
    keys: &[String],
    origin: &str,
    expect: Expect,
    server: SocketAddr,
    shape: Shape,
    bounds: Bounds,
) -> anyhow::Result<Outcome> {
    let queries: Vec<Vec<u8>> = keys
        .iter()
        .map(|key| query(&format!("_iroh.{key}.{origin}")))
        .collect::<Option<_>>()
        .with_context(|| format!("{origin:?} is no name of a zone"))?;
    anyhow::ensure!(!queries.is_empty(), "there are no keys to ask for");
    let queries = Arc::new(queries);
    let socket_count = usize::from(shape.sockets);
    let mut askers = Vec::with_capacity(socket_count);
    for number in 0..socket_count {
        askers.push(Asker {
            socket: connect(server).with_context(|| format!("{server} cannot be reached"))?,
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

fn connect(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
    };
    socket.connect(server)?;
    socket.set_read_timeout(Some(LOST_AFTER))?;
    Ok(socket)
}

/// A query with id 0, or `None` if the name is none.
fn query(name: &str) -> Option<Vec<u8>> {
    let mut query = Message::new(0, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).ok()?, RecordType::TXT));
    query.to_vec().ok()
}

/// Whether the answer is what is expected, or what is wrong with it.
fn check(answer: &[u8], expect: Expect) -> Result<(), String> {
    let Some(header) = answer.first_chunk::<12>() else {
        return Err(format!("an answer has {} bytes", answer.len()));
    };
    let is_truncated = header[2] & 0x02 != 0;
    let rcode = header[3] & 0x0f;
    let answer_count = u16::from_be_bytes([header[6], header[7]]);
    match (expect, rcode) {
        _ if is_truncated => Err("an answer was truncated".to_owned()),
        (Expect::Found, 0) if answer_count > 0 => Ok(()),
        (Expect::Absent, 3) => Ok(()),
        _ => Err(format!(
            "an answer had response code {rcode} and {answer_count} records"
        )),
    }
}

/// A socket and its queries.
struct Asker {
    socket: UdpSocket,
    queries: Arc<Vec<Vec<u8>>>,
    /// Which of them is sent next.
    next: usize,
    /// How many are still sent.
    left: u64,
    expect: Expect,
    window: usize,
    last_id: u16,
    /// When the queries without an answer were sent, by their ids.
    in_flight: HashMap<u16, Instant>,
    tally: Tally,
}

impl Asker {
    fn run(mut self, clock: Clock) -> Tally {
        let mut datagram = [0; MESSAGE_SIZE_MAX];
        loop {
            let now = Instant::now();
            while now < clock.end && self.left > 0 && self.in_flight.len() < self.window {
                self.send(&mut datagram);
            }
            if self.in_flight.is_empty() || now >= clock.give_up() {
                return self.tally;
            }
            match self.socket.recv(&mut datagram) {
                Ok(size) => self.on_answer(&datagram[..size]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    for _lost in self.in_flight.drain() {
                        self.tally.on_error(no_answer);
                    }
                }
                // Such as a port that nobody listens at: told here for what was sent before.
                Err(error) => self.tally.on_error(|| error.to_string()),
            }
        }
    }

    fn send(&mut self, datagram: &mut [u8]) {
        let query = &self.queries[self.next];
        self.next = (self.next + 1) % self.queries.len();
        self.left -= 1;
        self.last_id = self.last_id.wrapping_add(1);
        let datagram = &mut datagram[..query.len()];
        datagram.copy_from_slice(query);
        datagram[..2].copy_from_slice(&self.last_id.to_be_bytes());
        if self
            .in_flight
            .insert(self.last_id, Instant::now())
            .is_some()
        {
            self.tally.on_error(no_answer);
        }
        if let Err(error) = self.socket.send(datagram) {
            self.tally.on_error(|| error.to_string());
        }
    }

    /// An answer that is waited for no more is not counted.
    fn on_answer(&mut self, answer: &[u8]) {
        let id = answer.first_chunk().map(|id| u16::from_be_bytes(*id));
        let Some(sent) = id.and_then(|id| self.in_flight.remove(&id)) else {
            return;
        };
        match check(answer, self.expect) {
            Ok(()) => self.tally.on_ok(sent.elapsed()),
            Err(error) => self.tally.on_error(|| error),
        }
    }
}

fn no_answer() -> String {
    format!("no answer within {LOST_AFTER:?}")
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
