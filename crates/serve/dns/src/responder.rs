//! From the bytes of a query to the bytes of a response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use quorate_replica::{ReadError, Reader};
use quorate_zone::{
    Answer, AnswerKind, LookupResult, Origin, OriginError, Question, UndecodableError,
};

use crate::{
    DnsClient, DnsConfig, DnsMetrics, DnsTransport, SharedLimits,
    answer_limits::Limited,
    chaos::{CLASS_CH, Identity},
    cookie::Proof,
    edns::{Edns, UDP_SIZE_MAX},
    extended_error::ExtendedError,
    opt::Opt,
    query::Query,
    query_log::QueryLog,
    rcode::Rcode,
    response::{Response, UDP_SIZE_MIN},
    sample::Nth,
    zones::{Served, Zones},
};

/// The largest message over anything but UDP, in bytes (RFC 1035, section 4.2.2).
const STREAM_SIZE_MAX: usize = u16::MAX as usize;

/// The unit of the timeout in the option edns-tcp-keepalive (RFC 7828, section 3.1).
const KEEPALIVE_UNIT_MILLIS: u128 = 100;

/// The types that ask for a whole zone: IXFR and AXFR.
const TRANSFER_TYPES: [u16; 2] = [251, 252];

/// What a response says, for who passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How long the response may be cached, in seconds; `None` when it may not be.
    pub ttl_secs: Option<u32>,
}

/// Answers queries from the local replica.
///
/// All queries go one way, from bytes to bytes. An ordinary question allocates nothing, waits for
/// nobody, and looks at the clock once, for the rate limit.
pub struct Responder {
    zones: Zones,
    replica: Arc<dyn Reader>,
    limits: SharedLimits,
    identity: Identity,
    /// How long an idle connection stays open, in units of 100 ms.
    tcp_keepalive: u16,
    query_log: QueryLog,
    metrics: DnsMetrics,
}

#[derive(Debug, Clone, Copy)]
struct Outcome {
    rcode: Rcode,
    ttl_secs: Option<u32>,
    /// The origin that has the name asked for, by its index.
    origin: Option<usize>,
}

/// Why there is no answer. All of it is SERVFAIL to clients: saying that there is no data would make
/// resolvers believe it.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the replica was asked in vain")]
    Read(#[from] ReadError),
    #[error("the replica gave a packet that cannot be served")]
    Undecodable(#[from] UndecodableError),
}

impl Responder {
    /// Answers for these origins from this replica, and for what its cluster has agreed on beside
    /// them, as far as `limits` let them.
    pub fn new(
        config: &DnsConfig,
        origins: Vec<Origin>,
        limits: SharedLimits,
        replica: Arc<dyn Reader>,
        metrics: DnsMetrics,
    ) -> Result<Self, OriginError> {
        let keepalive = config.tcp_idle_timeout.as_millis() / KEEPALIVE_UNIT_MILLIS;
        Ok(Self {
            zones: Zones::new(origins, config.cookies, metrics.clone(), &*replica)?,
            replica,
            limits,
            identity: Identity {
                id: config.server_id.clone(),
                version: config.server_version.clone(),
            },
            tcp_keepalive: keepalive.try_into().unwrap_or(u16::MAX),
            query_log: QueryLog::new(config.query_log_one_in),
            metrics,
        })
    }

    /// Writes the response to the `message` of a client in place of what `out` holds. `None` when
    /// nothing may be said: the message is shorter than a header, or a response, or breaks the rules
    /// of its transport.
    pub fn respond(
        &self,
        message: &[u8],
        client: &DnsClient,
        out: &mut Vec<u8>,
    ) -> Option<Summary> {
        let nth = Nth::next();
        let started = nth.is_timed().then(Instant::now);
        let query = Query::parse(message).filter(|query| !is_fatal(query, client.transport));
        let Some(query) = query else {
            self.metrics.figures.messages_ignored_total.inc();
            return None;
        };
        let zones = self.zones.current(&*self.replica);
        // Anybody can publish what is read here. Should a packet ever cause a panic, that must not
        // end the loop that answers everybody else.
        let attempt = AssertUnwindSafe(|| self.write_response(&query, client, &zones, out));
        let outcome = catch_unwind(attempt).unwrap_or_else(|_| {
            tracing::error!("a panic was answered with SERVFAIL");
            let mut response = Response::new(&query, size_max(&query, client.transport));
            response.explain(ExtendedError::Other);
            response.write_empty(Rcode::ServFail, out);
            Rcode::ServFail.into()
        });
        self.count(&outcome, client, &zones);
        if self.query_log.takes(nth) {
            let question = query.question.as_ref().ok();
            self.query_log
                .log(client, question, outcome.rcode, out.len());
        }
        if let Some(started) = started {
            let durations = &self.metrics.figures.response_duration_seconds;
            let duration = started.elapsed().as_secs_f64();
            durations.of(client.transport).observe(duration);
        }
        let ttl_secs = outcome.ttl_secs;
        Some(Summary { ttl_secs })
    }

    fn count(&self, outcome: &Outcome, client: &DnsClient, zones: &Served) {
        let queries = outcome.origin.and_then(|origin| zones.queries.get(origin));
        let queries = queries.unwrap_or(&self.metrics.other_queries);
        queries.of(client.transport).of(outcome.rcode).inc();
    }

    fn write_response(
        &self,
        query: &Query<'_>,
        client: &DnsClient,
        zones: &Served,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let mut response = Response::new(query, size_max(query, client.transport));
        let mut proof = None;
        if let (Some(edns), Some(opt)) = (&query.edns, &mut response.opt) {
            self.answer_options(edns, client.transport, opt);
            proof = self.check_cookie(edns, client, zones, opt);
        }
        let question = match checked_question(query, client.transport, proof) {
            Ok(question) => question,
            Err(rcode) => {
                if rcode == Rcode::NotImp {
                    response.explain(ExtendedError::NotSupported);
                }
                response.write_empty(rcode, out);
                return rcode.into();
            }
        };
        match self.limited(client, proof) {
            Limited::No => {}
            Limited::To(size_max) => response.limit(size_max),
            Limited::Refused => {
                self.metrics.figures.responses_rate_limited_total.inc();
                response.write_truncated(out);
                return Rcode::NoError.into();
            }
        }
        if question.class() == CLASS_CH {
            return self.write_identity(question, response, out);
        }
        let answered = self.write_answer(question, &mut response, zones, out);
        answered.unwrap_or_else(|fault| {
            tracing::debug!(
                error = &fault as &dyn std::error::Error,
                "answered SERVFAIL"
            );
            response.explain(fault.extended_error());
            response.write_empty(Rcode::ServFail, out);
            Rcode::ServFail.into()
        })
    }

    /// Says what the client's options ask for.
    fn answer_options<'a>(&'a self, edns: &Edns<'_>, transport: DnsTransport, opt: &mut Opt<'a>) {
        let options = &edns.options;
        opt.nsid = self.identity.nsid().filter(|_| options.nsid);
        opt.tcp_keepalive =
            (options.tcp_keepalive && transport.may_stay_idle()).then_some(self.tcp_keepalive);
        opt.padded = options.padding && transport.is_encrypted();
    }

    /// What the client's cookie proves, which is answered with one. `None` if it has none, or we
    /// have nothing to make any with.
    fn check_cookie(
        &self,
        edns: &Edns<'_>,
        client: &DnsClient,
        zones: &Served,
        opt: &mut Opt<'_>,
    ) -> Option<Proof> {
        let (jar, cookie) = zones.cookies.as_ref().zip(edns.options.cookie)?;
        let (proof, answered) = jar.check(cookie, client.address, now_secs());
        opt.cookie = Some(answered);
        self.metrics.figures.cookies_total.of(proof).inc();
        Some(proof)
    }

    /// How the answer to a client is limited that may be somebody else.
    fn limited(&self, client: &DnsClient, proof: Option<Proof>) -> Limited {
        if !client.transport.is_datagram() || proof == Some(Proof::Valid) {
            return Limited::No;
        }
        self.limits.next(client.address)
    }

    fn write_identity(
        &self,
        question: &Question<'_>,
        mut response: Response<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        match self.identity.text(question) {
            Some(text) => {
                response.write_chaos(text, out);
                Rcode::NoError.into()
            }
            None => {
                response.explain(ExtendedError::Prohibited);
                response.write_empty(Rcode::Refused, out);
                Rcode::Refused.into()
            }
        }
    }

    fn write_answer(
        &self,
        question: &Question<'_>,
        response: &mut Response<'_>,
        zones: &Served,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Fault> {
        match zones.authority.lookup(question) {
            LookupResult::Answer(answer) => {
                // Beside keys stand records that the cluster has agreed on.
                if answer.kind() != AnswerKind::Refused {
                    self.replica.check_ready()?;
                }
                Ok(self.write(question, &answer, response, out))
            }
            LookupResult::NeedsPacket(question_of_key) => {
                let indexed = self.replica.packet(question_of_key.key())?;
                let compiled = indexed.as_ref().map(|indexed| &indexed.compiled);
                let answer = question_of_key.answer(compiled)?;
                Ok(self.write(question, &answer, response, out))
            }
        }
    }

    fn write(
        &self,
        question: &Question<'_>,
        answer: &Answer<'_>,
        response: &mut Response<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let rcode = Rcode::from(answer.kind());
        if rcode == Rcode::Refused {
            response.explain(match TRANSFER_TYPES.contains(&question.record_type()) {
                true => ExtendedError::Prohibited,
                false => ExtendedError::NotAuthoritative,
            });
        }
        let figures = &self.metrics.figures;
        match response.write_answer(question, answer, out) {
            true => {}
            false if response.is_limited => {
                figures.responses_size_limited_total.inc();
                response.write_truncated(out);
                return Outcome {
                    origin: answer.origin_index(),
                    ..Rcode::NoError.into()
                };
            }
            false => figures.responses_truncated_total.inc(),
        }
        Outcome {
            rcode,
            ttl_secs: answer.ttl_secs_min(),
            origin: answer.origin_index(),
        }
    }
}

impl Fault {
    fn extended_error(&self) -> ExtendedError {
        match self {
            Self::Read(ReadError::NotReady(_)) => ExtendedError::NotReady,
            Self::Read(ReadError::Failed(_)) => ExtendedError::Other,
            Self::Undecodable(_) => ExtendedError::InvalidData,
        }
    }
}

/// Nothing but a response code was said.
impl From<Rcode> for Outcome {
    fn from(rcode: Rcode) -> Self {
        Self {
            rcode,
            ttl_secs: None,
            origin: None,
        }
    }
}

/// Whether the client breaks the rules of its transport, so that its connection ends (RFC 9250,
/// section 4.3.3).
fn is_fatal(query: &Query<'_>, transport: DnsTransport) -> bool {
    let is_keepalive = |edns: Edns<'_>| edns.options.tcp_keepalive;
    transport == DnsTransport::Quic && query.edns.is_some_and(is_keepalive)
}

/// The largest response that the client can take, and that should be sent, in bytes.
fn size_max(query: &Query<'_>, transport: DnsTransport) -> usize {
    match query.edns {
        _ if !transport.is_datagram() => STREAM_SIZE_MAX,
        None => UDP_SIZE_MIN.into(),
        Some(edns) => edns.udp_size.clamp(UDP_SIZE_MIN, UDP_SIZE_MAX).into(),
    }
}

/// The question, if it is to be answered, or else all that is said.
fn checked_question<'q, 'm>(
    query: &'q Query<'m>,
    transport: DnsTransport,
    proof: Option<Proof>,
) -> Result<&'q Question<'m>, Rcode> {
    match &query.question {
        Err(rcode @ (Rcode::FormErr | Rcode::NotImp)) => Err(*rcode),
        // RFC 6891, section 6.1.3: a later version is told the latest that we know, 0.
        _ if query.edns.is_some_and(|edns| edns.version > 0) => Err(Rcode::BadVers),
        // RFC 7873, section 5.2.4. Whoever has a connection has proved more than a cookie does.
        _ if transport.is_datagram() && proof == Some(Proof::Invalid) => Err(Rcode::BadCookie),
        // Nothing was asked but a cookie, and we have none.
        Err(_) if proof.is_none() => Err(Rcode::FormErr),
        question => question.as_ref().map_err(|rcode| *rcode),
    }
}

/// Seconds since the epoch, of which cookies hold the low 32 bits (RFC 9018, section 4.3).
fn now_secs() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as u32)
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
