//! DNS over UDP: a plain loop for each socket, with a window of queries in flight.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};

use super::{Bounds, Clock, Outcome, Tally, get::Expect};

/// After how long without any answer those in flight are given up as lost.
const LOST_AFTER: Duration = Duration::from_millis(500);

/// Room for an answer, in bytes: more than any server sends without EDNS.
const ANSWER_SIZE_MAX: usize = 4096;

/// How many queries a socket can have in flight: one for each value of an id's lower half.
pub(crate) const WINDOW_MAX: usize = 256;

/// How queries are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) socket_count: usize,
    /// Queries in flight on each socket, at most [`WINDOW_MAX`].
    pub(crate) window: usize,
}

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
    let mut askers = Vec::with_capacity(shape.socket_count);
    for number in 0..shape.socket_count {
        askers.push(Asker {
            socket: connect(server).with_context(|| format!("{server} cannot be reached"))?,
            first: number * queries.len() / shape.socket_count,
            queries: queries.clone(),
            expect,
            count_max: bounds.count_max / u64::try_from(shape.socket_count)?,
            slots: vec![Slot::default(); shape.window.clamp(1, WINDOW_MAX)],
            tally: Tally::new(),
        });
    }
    tokio::task::spawn_blocking(move || {
        let clock = Clock::start(bounds.time);
        clock.outcome(run_all(askers, clock))
    })
    .await
    .context("a socket's thread failed")
}

fn run_all(askers: Vec<Asker>, clock: Clock) -> Tally {
    thread::scope(|scope| {
        let threads: Vec<_> = askers
            .into_iter()
            .map(|asker| scope.spawn(move || asker.run(clock)))
            .collect();
        let mut tally = Tally::new();
        for thread in threads {
            tally.add(thread.join().expect("a socket's loop does not panic"));
        }
        tally
    })
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

/// A place for a query in flight.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// How many queries have had this place: the upper half of the id, so that an answer that comes
    /// after it was given up is not taken for another.
    round: u8,
    sent: Option<Instant>,
}

/// A socket and its queries.
struct Asker {
    socket: UdpSocket,
    /// The query it begins with.
    first: usize,
    queries: Arc<Vec<Vec<u8>>>,
    expect: Expect,
    count_max: u64,
    slots: Vec<Slot>,
    tally: Tally,
}

impl Asker {
    fn run(mut self, clock: Clock) -> Tally {
        let mut next = self.first;
        let mut left = self.count_max;
        let mut free: Vec<u8> = (0..=u8::MAX).take(self.slots.len()).collect();
        let mut datagram = [0; ANSWER_SIZE_MAX];
        loop {
            let now = Instant::now();
            let ends = now >= clock.end;
            while !ends
                && left > 0
                && let Some(slot) = free.pop()
            {
                self.send(slot, next, &mut datagram);
                next = (next + 1) % self.queries.len();
                left -= 1;
            }
            if free.len() == self.slots.len() || now >= clock.give_up() {
                return self.tally;
            }
            match self.socket.recv(&mut datagram) {
                Ok(size) => free.extend(self.on_answer(&datagram[..size])),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.give_up_all(&mut free);
                }
                // Such as a port that nobody listens at: told here for what was sent before.
                Err(error) => self.tally.on_error(|| error.to_string()),
            }
        }
    }

    fn send(&mut self, slot: u8, number: usize, datagram: &mut [u8]) {
        let place = &mut self.slots[usize::from(slot)];
        place.round = place.round.wrapping_add(1);
        place.sent = Some(Instant::now());
        let query = &self.queries[number];
        let datagram = &mut datagram[..query.len()];
        datagram.copy_from_slice(query);
        datagram[0] = place.round;
        datagram[1] = slot;
        if let Err(error) = self.socket.send(datagram) {
            self.tally.on_error(|| error.to_string());
        }
    }

    /// The place that is free now; `None` if the answer was waited for no more.
    fn on_answer(&mut self, answer: &[u8]) -> Option<u8> {
        let &[round, slot, ..] = answer else {
            return None;
        };
        let place = self.slots.get_mut(usize::from(slot))?;
        let sent = place.sent.filter(|_| place.round == round)?;
        place.sent = None;
        match check(answer, self.expect) {
            Ok(()) => self.tally.on_ok(sent.elapsed()),
            Err(error) => self.tally.on_error(|| error),
        }
        Some(slot)
    }

    fn give_up_all(&mut self, free: &mut Vec<u8>) {
        for (slot, place) in (0..=u8::MAX).zip(&mut self.slots) {
            if place.sent.take().is_some() {
                self.tally
                    .on_error(|| format!("no answer within {LOST_AFTER:?}"));
                free.push(slot);
            }
        }
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
