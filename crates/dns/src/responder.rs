//! From the bytes of a query to the bytes of a response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use quorate_authority::{Authority, Located, UndecodableError};
use quorate_replica::{ReadError, Reader};

use crate::{
    Client, DnsTransport, Metrics,
    query::{ParseError, Query},
    rcode::Rcode,
    response::{Response, UDP_SIZE_MAX, UDP_SIZE_MIN},
};

/// What a response says, for who passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How long the response may be cached, in seconds; `None` when it may not be.
    pub ttl_secs: Option<u32>,
}

/// Answers queries from the local replica.
pub struct Responder {
    authority: Authority,
    replica: Arc<dyn Reader>,
    metrics: Metrics,
}

/// Why there is no answer. All of it is SERVFAIL to clients: saying that there is no data would make
/// resolvers believe it.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the replica was asked in vain")]
    Read(#[from] ReadError),
    #[error("the replica gave a packet that cannot be served")]
    Undecodable(#[from] UndecodableError),
    #[error("a panic ended the attempt")]
    Panicked,
}

impl Responder {
    /// Answers for these origins from this replica.
    pub fn new(authority: Authority, replica: Arc<dyn Reader>, metrics: Metrics) -> Self {
        Self {
            authority,
            replica,
            metrics,
        }
    }

    /// Writes the response to the `message` of a client in place of what `out` holds. `None` when nothing may be
    /// said: the message is shorter than a header, or a response.
    pub fn respond(&self, message: &[u8], client: &Client, out: &mut Vec<u8>) -> Option<Summary> {
        let transport = client.transport;
        let (rcode, ttl_secs) = match Query::parse(message) {
            Ok(query) => self.respond_to_query(&query, transport, out),
            Err(ParseError::Rejected(header, rcode)) => {
                Response::rejection(header, rcode).write_empty(out);
                (rcode, None)
            }
            Err(ParseError::NotAQuery) => {
                self.metrics.messages_ignored_total.inc();
                return None;
            }
        };
        self.metrics.queries_total.of(transport).of(rcode).inc();
        Some(Summary { ttl_secs })
    }

    fn respond_to_query(
        &self,
        query: &Query<'_>,
        transport: DnsTransport,
        out: &mut Vec<u8>,
    ) -> (Rcode, Option<u32>) {
        // RFC 6891, section 6.1.3: a later version of EDNS is told the latest that we know, 0.
        if query.edns.is_some_and(|edns| edns.version > 0) {
            Response::empty(query, Rcode::BadVers).write_empty(out);
            return (Rcode::BadVers, None);
        }
        // Anybody can publish what the codec has to read and write here. Should a packet ever make
        // it panic, that must not end the loop that answers everybody else.
        let attempt = AssertUnwindSafe(|| self.write_answer(query, transport, out));
        match catch_unwind(attempt).unwrap_or(Err(Fault::Panicked)) {
            Ok(outcome) => outcome,
            Err(fault) => {
                tracing::debug!(
                    error = &fault as &dyn std::error::Error,
                    "answered SERVFAIL"
                );
                Response::empty(query, Rcode::ServFail).write_empty(out);
                (Rcode::ServFail, None)
            }
        }
    }

    fn write_answer(
        &self,
        query: &Query<'_>,
        transport: DnsTransport,
        out: &mut Vec<u8>,
    ) -> Result<(Rcode, Option<u32>), Fault> {
        let indexed;
        let answer = match self.authority.locate(&query.question) {
            Located::Answer(answer) => answer,
            Located::Key(question) => {
                indexed = self.replica.packet(question.key())?;
                question.answer(indexed.as_ref().map(|indexed| &indexed.compiled))?
            }
        };
        let response = Response::answer(query, &answer);
        if !response.write(size_max(query, transport), out) {
            self.metrics.responses_truncated_total.inc();
        }
        Ok((response.rcode, answer.ttl_secs_min()))
    }
}

/// The largest response that the client can take, and that should be sent, in bytes.
fn size_max(query: &Query<'_>, transport: DnsTransport) -> u16 {
    match (transport, query.edns) {
        (DnsTransport::Udp, None) => UDP_SIZE_MIN,
        (DnsTransport::Udp, Some(edns)) => edns.udp_size.clamp(UDP_SIZE_MIN, UDP_SIZE_MAX),
        (_, _) => u16::MAX,
    }
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
