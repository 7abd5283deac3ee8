//! Logs a sample of the queries, so that operators can see what clients ask for.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use quorate_zone::Question;

use crate::{DnsClient, rcode::Rcode, sample::QueryNumber};

/// The target of the log lines, for log filters.
pub(crate) const TARGET: &str = "quorate::queries";

/// The largest number of logged queries a second: more than anybody reads, and so few that a flood
/// neither fills a disk nor slows down other queries.
const LOGGED_PER_SEC_MAX: u64 = 100;

/// Logs one of every `one_in` queries.
#[derive(Debug)]
pub(crate) struct QueryLog {
    /// 0 logs none.
    one_in: u32,
    started: Instant,
    /// The current second since the start (the high 32 bits), and how many were logged in it.
    logged: AtomicU64,
}

impl QueryLog {
    pub(crate) fn new(one_in: u32) -> Self {
        Self {
            one_in,
            started: Instant::now(),
            logged: AtomicU64::new(0),
        }
    }

    /// Whether the query with this number is in the sample.
    pub(crate) fn is_sampled(&self, number: QueryNumber) -> bool {
        self.one_in != 0 && number.0.is_multiple_of(self.one_in)
    }

    /// Logs a query of the sample, unless too many were logged in this second. `question` is `None`
    /// if it could not be parsed.
    pub(crate) fn log(
        &self,
        client: &DnsClient,
        question: Option<&Question<'_>>,
        rcode: Rcode,
        response_size: usize,
    ) {
        if !tracing::enabled!(target: TARGET, tracing::Level::INFO)
            || !self.admits(self.started.elapsed())
        {
            return;
        }
        let transport: &'static str = client.transport.into();
        let rcode: &'static str = rcode.into();
        tracing::info!(
            target: TARGET,
            client = %client.address,
            transport,
            question = question.map(tracing::field::display),
            rcode,
            size = response_size,
            "answered"
        );
    }

    fn admits(&self, since_start: Duration) -> bool {
        let second = since_start.as_secs() << 32;
        let count_one = |logged: u64| {
            let logged = if logged & !u64::from(u32::MAX) == second {
                logged
            } else {
                second
            };
            (logged - second < LOGGED_PER_SEC_MAX).then_some(logged + 1)
        };
        let counted = self
            .logged
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_one);
        counted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use hickory_proto::rr::RecordType;

    use super::*;
    use crate::{DnsConfig, fixture::*};

    #[test]
    fn a_query_of_the_sample_is_a_line() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Lines(writer.clone()))
            .finish();
        let config = DnsConfig {
            query_log_one_in: 1,
            ..DnsConfig::default()
        };
        let fixture = Fixture::with(&config, None);
        let mut message = query("a-b.test.", RecordType::TXT);
        message[14] = b'\n';
        tracing::subscriber::with_default(subscriber, || fixture.ask(&message));
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        let (_, line) = text.split_once("INFO quorate::queries: ").expect(&text);
        assert_eq!(
            line.trim_end(),
            "answered client=192.0.2.9 transport=\"udp\" question=a\\010b.test. TXT \
             rcode=\"refused\" size=26"
        );
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_of_n_queries_is_sampled_and_none_by_default() {
        let taken = |one_in| {
            let log = QueryLog::new(one_in);
            (0..1000)
                .filter(|number| log.is_sampled(QueryNumber(*number)))
                .count()
        };
        assert_eq!([taken(0), taken(1), taken(10)], [0, 1000, 100]);
    }

    #[test]
    fn a_flood_is_logged_at_the_limited_rate() {
        let log = QueryLog::new(1);
        let admitted = |millis| log.admits(Duration::from_millis(millis));
        assert_eq!((0..1000).filter(|_| admitted(10)).count(), 100);
        assert!(!admitted(999));
        assert_eq!((0..1000).filter(|_| admitted(5_000)).count(), 100);
    }
}
