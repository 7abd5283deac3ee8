//! From the bytes of a query to the bytes of a response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use hickory_proto::ProtoError;
use quorate_authority::{Answer, Authority, Located, UndecodableError};
use quorate_replica::{ReadError, Reader};

use crate::{
    Metrics,
    code::Code,
    query::{Query, Unfit},
    response::{self, UDP_SIZE_MAX, UDP_SIZE_MIN},
};

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A datagram. The response has to fit one.
    Udp,
    /// A TCP connection.
    Tcp,
    /// An HTTP request.
    Https,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Https];

    /// Its name in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Https => "https",
        }
    }
}

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
    #[error("the answer cannot be written")]
    Encode(#[from] ProtoError),
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

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Writes the response to `message` in place of what `out` holds. `None` when nothing may be
    /// said: the message is shorter than a header, or a response.
    pub fn respond(
        &self,
        message: &[u8],
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Option<Summary> {
        let (code, ttl_secs) = match Query::parse(message) {
            Ok(query) => self.respond_to_query(&query, transport, out),
            Err(Unfit::Rejected(head, code)) => {
                response::write_rejection(head, code, out);
                (code, None)
            }
            Err(Unfit::NotAQuery) => {
                self.metrics.messages_ignored.inc();
                return None;
            }
        };
        self.metrics.count(transport, code);
        Some(Summary { ttl_secs })
    }

    fn respond_to_query(
        &self,
        query: &Query,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> (Code, Option<u32>) {
        // RFC 6891, section 6.1.3: a later version of EDNS is told the latest that we know, 0.
        if query.edns.is_some_and(|edns| edns.version > 0) {
            response::write_empty(query, Code::BadVers, out);
            return (Code::BadVers, None);
        }
        // Anybody can publish what the codec has to read and write here. Should a packet ever make
        // it panic, that must not end the loop that answers everybody else.
        let attempt = AssertUnwindSafe(|| self.write_answer(query, transport, out));
        match catch_unwind(attempt).unwrap_or(Err(Fault::Panicked)) {
            Ok(answer) => (response::code(&answer), answer.ttl_secs_min()),
            Err(fault) => {
                tracing::debug!(
                    error = &fault as &dyn std::error::Error,
                    "answered SERVFAIL"
                );
                response::write_empty(query, Code::ServFail, out);
                (Code::ServFail, None)
            }
        }
    }

    fn write_answer(
        &self,
        query: &Query,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Fault> {
        let answer = match self.authority.locate(&query.question) {
            Located::Answer(answer) => answer,
            Located::Key(question) => {
                let stored = self.replica.stored_packet(question.key())?;
                question.answer(stored.as_ref().map(|stored| &stored.packet))?
            }
        };
        let size_max = size_max(query, transport);
        if response::write_answer(query, &answer, size_max, out)? {
            self.metrics.responses_truncated.inc();
        }
        Ok(answer)
    }
}

/// The largest response that the client can take, and that should be sent, in bytes.
fn size_max(query: &Query, transport: Transport) -> u16 {
    match (transport, query.edns) {
        (Transport::Udp, None) => UDP_SIZE_MIN,
        (Transport::Udp, Some(edns)) => edns.udp_size.clamp(UDP_SIZE_MIN, UDP_SIZE_MAX),
        (Transport::Tcp | Transport::Https, _) => u16::MAX,
    }
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
