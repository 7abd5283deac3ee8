//! Turns the bytes of a query into the bytes of a response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use quorate_packet::PublicKey;
use quorate_replica::Reader;
use quorate_zone::{Answer, AnswerKind, LookupResult, Origin, OriginError, Question};
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    ConfiguredZones, DnsClient, DnsConfig, DnsDht, DnsMetrics, DnsTransport, SharedLimits,
    answer_error::AnswerError,
    answer_limits::AnswerLimit,
    chaos::{CLASS_CH, Identity},
    cookie::CookieStatus,
    edns::{Edns, UDP_SIZE_MAX},
    extended_error::ExtendedError,
    opt::Opt,
    query::Query,
    query_log::QueryLog,
    rcode::Rcode,
    response::{Response, UDP_SIZE_MIN},
    sample::QueryNumber,
    zones::{ServedZones, Zones},
};

/// How long to wait before zones are built again after a panic.
const BUILD_RETRY: Duration = Duration::from_secs(5);

/// The largest message over anything but UDP, in bytes (RFC 1035, section 4.2.2).
const STREAM_SIZE_MAX: usize = u16::MAX as usize;

/// The unit of the timeout in the option edns-tcp-keepalive (RFC 7828, section 3.1).
const KEEPALIVE_UNIT_MILLIS: u128 = 100;

/// The types of zone transfers: IXFR and AXFR.
const TRANSFER_TYPES: [u16; 2] = [251, 252];

/// What the caller of [`Responder::respond`] must know about the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseSummary {
    /// How long the response may be cached, in seconds; `None` if it may not be.
    pub ttl_secs: Option<u32>,
}

/// Answers queries from the local replica.
///
/// All queries take the same path, from bytes to bytes. An ordinary query allocates nothing, waits
/// for nothing, and reads the clock once, for the rate limit.
pub struct Responder {
    pub(crate) zones: Zones,
    replica: Arc<dyn Reader>,
    /// Where keys are looked up that the replica does not have, if anywhere.
    pub(crate) dht: Option<DnsDht>,
    limits: SharedLimits,
    identity: Identity,
    /// How long an idle connection stays open, in units of 100 ms.
    tcp_keepalive: u16,
    query_log: QueryLog,
    metrics: DnsMetrics,
}

/// Whether a response may wait for the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    MayWait,
    AtOnce,
}

#[derive(Debug, Clone, Copy)]
struct Outcome {
    rcode: Rcode,
    ttl_secs: Option<u32>,
    /// The index of the origin that the question's name is in.
    origin: Option<usize>,
}

impl Responder {
    /// Answers for these origins from their configured records, from packets in the replica, and
    /// from the replicated zone records, within `limits`. Fails if the origins conflict.
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
            dht: None,
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

    /// Answers for keys that the replica does not have from the DHT.
    pub fn with_dht(self, dht: Option<DnsDht>) -> Self {
        Self { dht, ..self }
    }

    /// The zones as they are configured.
    pub fn configured_zones(&self) -> &ConfiguredZones {
        &self.zones.configured
    }

    /// Resolves when queries are answered from this version of the replicated zones
    /// ([`Reader::zone_version`]), or from a later one.
    pub async fn zones_served(&self, version: u64) {
        self.zones.served(version).await;
    }

    /// Builds the zones whose replicated records changed, and serves them. Blocks meanwhile; queries
    /// are answered from the zones before. [`DnsListeners::serve`](crate::DnsListeners::serve)
    /// starts a task that calls it after each change.
    pub fn update_zones(&self) {
        self.zones.update_cookies(&*self.replica);
        self.zones.update(&*self.replica);
    }

    /// Serves the changes of the replicated zones and of the cookie secrets until it is dropped.
    pub(crate) async fn follow_zones(self: Arc<Self>) {
        let cookies = async {
            let mut version = 0;
            loop {
                self.replica.zones_changed_after(version).await;
                version = self.replica.zone_version();
                self.zones.update_cookies(&*self.replica);
            }
        };
        let zones = async {
            let mut version = 0;
            loop {
                self.replica.zones_changed_after(version).await;
                let responder = self.clone();
                // Changes that come during a build are built together after it.
                let updated = spawn_blocking(move || responder.zones.update(&*responder.replica));
                match updated.await {
                    Ok(updated) => version = updated,
                    Err(error) if error.is_panic() => {
                        tracing::error!(%error, "zones could not be built: trying again");
                        sleep(BUILD_RETRY).await;
                    }
                    // The runtime is being shut down.
                    Err(_) => return,
                }
            }
        };
        tokio::join!(cookies, zones);
    }

    /// Writes the response to a client's `message` to `out`, and replaces its content. `None` if
    /// the message must not be answered: it is shorter than a header, is a response, or breaks the
    /// rules of its transport. What only the DHT can tell is SERVFAIL.
    pub fn respond(
        &self,
        message: &[u8],
        client: &DnsClient,
        out: &mut Vec<u8>,
    ) -> Option<ResponseSummary> {
        let responded = self.respond_with(message, client, Patience::AtOnce, out);
        responded.expect("it does not wait")
    }

    /// The same, unless the response needs the DHT.
    ///
    /// # Errors
    /// The key to look up first. Nothing was written or counted.
    pub(crate) fn try_respond(
        &self,
        message: &[u8],
        client: &DnsClient,
        out: &mut Vec<u8>,
    ) -> Result<Option<ResponseSummary>, PublicKey> {
        self.respond_with(message, client, Patience::MayWait, out)
    }

    fn respond_with(
        &self,
        message: &[u8],
        client: &DnsClient,
        patience: Patience,
        out: &mut Vec<u8>,
    ) -> Result<Option<ResponseSummary>, PublicKey> {
        let number = QueryNumber::next();
        let started = number.is_timed().then(Instant::now);
        let query =
            Query::parse(message).filter(|query| !breaks_transport_rules(query, client.transport));
        let Some(query) = query else {
            self.metrics.shared.messages_ignored_total.inc();
            return Ok(None);
        };
        let zones = self.zones.current();
        // Anybody can publish what is read here. If a packet ever causes a panic, that must not end
        // the thread that answers all other clients.
        let attempt =
            AssertUnwindSafe(|| self.write_response(&query, client, patience, &zones, out));
        let outcome = catch_unwind(attempt).unwrap_or_else(|_| {
            tracing::error!("answering a query panicked: the client received SERVFAIL");
            let mut response = Response::new(&query, size_max(&query, client.transport));
            response.explain(ExtendedError::Other);
            response.write_empty(Rcode::ServFail, out);
            Ok(Rcode::ServFail.into())
        })?;
        self.count(&outcome, client);
        if self.query_log.is_sampled(number) {
            let question = query.question.as_ref().ok();
            self.query_log
                .log(client, question, outcome.rcode, out.len());
        }
        if let Some(started) = started {
            let durations = &self.metrics.shared.response_duration_seconds;
            let duration = started.elapsed().as_secs_f64();
            durations.of(client.transport).observe(duration);
        }
        let ttl_secs = outcome.ttl_secs;
        Ok(Some(ResponseSummary { ttl_secs }))
    }

    fn count(&self, outcome: &Outcome, client: &DnsClient) {
        let queries = outcome.origin.and_then(|at| self.zones.queries_of(at));
        let queries = queries.unwrap_or(&self.metrics.other_queries);
        queries.of(client.transport).of(outcome.rcode).inc();
    }

    fn write_response(
        &self,
        query: &Query<'_>,
        client: &DnsClient,
        patience: Patience,
        zones: &ServedZones,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, PublicKey> {
        let mut response = Response::new(query, size_max(query, client.transport));
        let mut cookie_status = None;
        if let (Some(edns), Some(opt)) = (&query.edns, &mut response.opt) {
            self.answer_options(edns, client.transport, opt);
            cookie_status = self.check_cookie(edns, client, opt);
        }
        let question = match question_to_answer(query, client.transport, cookie_status) {
            Ok(question) => question,
            Err(rcode) => {
                if rcode == Rcode::NotImp {
                    response.explain(ExtendedError::NotSupported);
                }
                response.write_empty(rcode, out);
                return Ok(rcode.into());
            }
        };
        match self.answer_limit(client, cookie_status) {
            AnswerLimit::Unlimited => {}
            AnswerLimit::Size(size_max) => response.limit(size_max),
            AnswerLimit::RetryOverTcp => {
                self.metrics.shared.responses_rate_limited_total.inc();
                response.write_truncated(out);
                return Ok(Rcode::NoError.into());
            }
        }
        if question.class() == CLASS_CH {
            return Ok(self.write_identity(question, response, out));
        }
        let error = match self.write_answer(question, &mut response, patience, zones, out) {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        if let AnswerError::NotLookedUp(key) = error {
            // Its source may be forged.
            if client.transport.is_datagram() && cookie_status != Some(CookieStatus::Valid) {
                response.write_truncated(out);
                return Ok(Rcode::NoError.into());
            }
            match patience {
                Patience::MayWait => return Err(key),
                Patience::AtOnce => self.metrics.shared.dht_unanswered_total.inc(),
            }
        }
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "answered SERVFAIL"
        );
        response.explain(error.extended_error());
        response.write_empty(Rcode::ServFail, out);
        Ok(Rcode::ServFail.into())
    }

    /// Sets the options that the client requested.
    fn answer_options<'a>(&'a self, edns: &Edns<'_>, transport: DnsTransport, opt: &mut Opt<'a>) {
        let options = &edns.options;
        opt.nsid = self.identity.nsid().filter(|_| options.nsid);
        opt.tcp_keepalive =
            (options.tcp_keepalive && transport.may_stay_idle()).then_some(self.tcp_keepalive);
        opt.padded = options.padding && transport.is_encrypted();
    }

    /// Checks the client's cookie, and sets the cookie of the response. `None` if the query has no
    /// cookie, or this server has no secrets.
    fn check_cookie(
        &self,
        edns: &Edns<'_>,
        client: &DnsClient,
        opt: &mut Opt<'_>,
    ) -> Option<CookieStatus> {
        let cookie = edns.options.cookie?;
        let server_cookies = self.zones.cookies();
        let server_cookies = server_cookies.as_ref()?;
        let (status, response_cookie) = server_cookies.check(cookie, client.address, now_secs());
        opt.cookie = Some(response_cookie);
        self.metrics.shared.cookies_total.of(status).inc();
        Some(status)
    }

    /// The limit of the response. Only clients whose address may be forged have one.
    fn answer_limit(&self, client: &DnsClient, cookie_status: Option<CookieStatus>) -> AnswerLimit {
        if !client.transport.is_datagram() || cookie_status == Some(CookieStatus::Valid) {
            return AnswerLimit::Unlimited;
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
        patience: Patience,
        zones: &ServedZones,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, AnswerError> {
        match zones.authority.lookup(question) {
            LookupResult::Answer(answer) => {
                // The zone also has replicated records, so the replica must be up to date.
                if answer.kind() != AnswerKind::Refused {
                    self.replica.check_ready()?;
                    self.check_zones(zones)?;
                }
                Ok(self.write(question, &answer, response, out))
            }
            LookupResult::NeedsPacket(packet_lookup) => {
                let mut indexed = self.replica.packet(packet_lookup.key())?;
                self.check_zones(zones)?;
                if indexed.is_none() && packet_lookup.may_be_in_dht() {
                    indexed = self.known_in_dht(packet_lookup.key(), patience)?;
                }
                let compiled = indexed.as_ref().map(|indexed| &indexed.compiled);
                let answer = packet_lookup.answer(compiled)?;
                Ok(self.write(question, &answer, response, out))
            }
        }
    }

    /// Fails after a start until the zones are built. To be called when the replica is ready.
    fn check_zones(&self, zones: &ServedZones) -> Result<(), AnswerError> {
        match self.zones.are_built(zones, &*self.replica) {
            true => Ok(()),
            false => Err(AnswerError::ZonesNotBuilt),
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
        let shared = &self.metrics.shared;
        match response.write_answer(question, answer, out) {
            true => {}
            false if response.is_limited => {
                shared.responses_size_limited_total.inc();
                response.write_truncated(out);
                return Outcome {
                    origin: answer.origin_index(),
                    ..Rcode::NoError.into()
                };
            }
            false => shared.responses_truncated_total.inc(),
        }
        Outcome {
            rcode,
            ttl_secs: answer.ttl_secs_min(),
            origin: answer.origin_index(),
        }
    }
}

/// A response with only a response code.
impl From<Rcode> for Outcome {
    fn from(rcode: Rcode) -> Self {
        Self {
            rcode,
            ttl_secs: None,
            origin: None,
        }
    }
}

/// Whether the query breaks the rules of its transport, so that the connection must end (RFC 9250,
/// section 4.3.3).
fn breaks_transport_rules(query: &Query<'_>, transport: DnsTransport) -> bool {
    let is_keepalive = |edns: Edns<'_>| edns.options.tcp_keepalive;
    transport == DnsTransport::Quic && query.edns.is_some_and(is_keepalive)
}

/// The largest response to send, in bytes: what the client accepts, within this server's limits.
fn size_max(query: &Query<'_>, transport: DnsTransport) -> usize {
    match query.edns {
        _ if !transport.is_datagram() => STREAM_SIZE_MAX,
        None => UDP_SIZE_MIN.into(),
        Some(edns) => edns.udp_size.clamp(UDP_SIZE_MIN, UDP_SIZE_MAX).into(),
    }
}

/// The question to answer, or the response code of a response without records.
fn question_to_answer<'q, 'm>(
    query: &'q Query<'m>,
    transport: DnsTransport,
    cookie_status: Option<CookieStatus>,
) -> Result<&'q Question<'m>, Rcode> {
    match &query.question {
        Err(rcode @ (Rcode::FormErr | Rcode::NotImp)) => Err(*rcode),
        // RFC 6891, section 6.1.3: the response has the latest version that this server knows, 0.
        _ if query.edns.is_some_and(|edns| edns.version > 0) => Err(Rcode::BadVers),
        // RFC 7873, section 5.2.4. A connection proves the client's address better than a cookie.
        _ if transport.is_datagram() && cookie_status == Some(CookieStatus::Invalid) => {
            Err(Rcode::BadCookie)
        }
        // The client only requests a cookie, and this server has none.
        Err(_) if cookie_status.is_none() => Err(Rcode::FormErr),
        question => question.as_ref().map_err(|rcode| *rcode),
    }
}

/// The low 32 bits of the seconds since the epoch, as cookies have them (RFC 9018, section 4.3).
fn now_secs() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as u32)
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
