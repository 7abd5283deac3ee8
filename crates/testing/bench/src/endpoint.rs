//! What an iroh endpoint sends, and how it retries.
//!
//! An endpoint of iroh 1.4 publishes over HTTP, and again after 1 s, 2 s, 3 s… if it was refused. It
//! looks others up over HTTP, and by DNS with further queries a while later until one is answered.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use hyper::{Method, StatusCode, body::Bytes};
use quorate_tests::Packet;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::http::{self, Connection, connect_from};

/// How long an endpoint waits for a DNS answer before it sends the query again: at 0, 200,
/// 300, 600, 1,000, 2,000 and 3,000 ms.
const QUERY_INTERVALS: [Duration; 7] = [
    Duration::from_millis(200),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(400),
    Duration::from_millis(1_000),
    Duration::from_millis(1_000),
    ANSWER_WITHIN,
];

/// How long it waits for the answer to the last of them, and for each answer over TCP.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long a request over HTTP may take here: a relay answers within 10 s.
const HTTP_WITHIN: Duration = Duration::from_secs(12);

/// The longest answer over UDP that is accepted, in bytes.
const ANSWER_SIZE_MAX: usize = 4096;

/// The bit of a DNS header's third byte that says that an answer was truncated.
const TRUNCATED: u8 = 0x02;

/// Where an endpoint publishes and looks others up, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) source: IpAddr,
    pub(crate) http: SocketAddr,
    pub(crate) dns: SocketAddr,
}

/// How a lookup by DNS was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    /// It was truncated, and asked for again.
    Tcp,
    /// Either, but not to the first query.
    Later,
}

impl Route {
    /// A connection, which stays open between requests.
    pub(crate) fn connection(&self) -> Connection {
        Connection::from(self.source, self.http)
    }

    /// Publishes once.
    pub(crate) async fn put(
        &self,
        connection: &mut Connection,
        packet: &Packet,
    ) -> anyhow::Result<()> {
        let body = packet.payload.clone();
        let answered = self.ask(connection, Method::PUT, &packet.key, body);
        expect(answered.await?, StatusCode::NO_CONTENT)
    }

    /// Reads the packet of a key that is published.
    pub(crate) async fn get(&self, connection: &mut Connection, key: &str) -> anyhow::Result<()> {
        let answered = self.ask(connection, Method::GET, key, Bytes::new());
        expect(answered.await?, StatusCode::OK)
    }

    async fn ask(
        &self,
        connection: &mut Connection,
        method: Method,
        key: &str,
        body: Bytes,
    ) -> anyhow::Result<StatusCode> {
        let path = format!("/pkarr/{key}");
        let request = http::request(method, &self.http.to_string(), &path, body);
        let answer = timeout(HTTP_WITHIN, connection.exchange(request)).await;
        let answer = answer.with_context(|| format!("no answer within {HTTP_WITHIN:?}"))?;
        Ok(answer?.status())
    }

    /// Queries records that are published, until there is an answer.
    pub(crate) async fn resolve(&self, query: &[u8]) -> anyhow::Result<Transport> {
        let socket = UdpSocket::bind((self.source, 0)).await?;
        socket.connect(self.dns).await?;
        let mut until = Instant::now();
        let mut failure = None;
        for (number, interval) in QUERY_INTERVALS.into_iter().enumerate() {
            until += interval;
            socket.send(query).await?;
            match self.answer(&socket, query, until).await {
                Ok(Some(_)) if number > 0 => return Ok(Transport::Later),
                Ok(Some(transport)) => return Ok(transport),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
            sleep_until(until).await;
        }
        match failure {
            Some(error) => Err(error),
            None => bail!("{} queries had no answer", QUERY_INTERVALS.len()),
        }
    }

    /// `None` if nothing came by then.
    async fn answer(
        &self,
        socket: &UdpSocket,
        query: &[u8],
        until: Instant,
    ) -> anyhow::Result<Option<Transport>> {
        let mut answer = [0; ANSWER_SIZE_MAX];
        let Ok(received) = timeout_at(until, socket.recv(&mut answer)).await else {
            return Ok(None);
        };
        let answer = &answer[..received?];
        if answer.get(2).is_some_and(|flags| flags & TRUNCATED != 0) {
            let answer = timeout(ANSWER_WITHIN, self.resolve_over_tcp(query)).await;
            answer.context("no answer over TCP")??;
            return Ok(Some(Transport::Tcp));
        }
        check(answer, query)?;
        Ok(Some(Transport::Udp))
    }

    async fn resolve_over_tcp(&self, query: &[u8]) -> anyhow::Result<()> {
        let mut stream = connect_from(Some(self.source), self.dns).await?;
        let size = u16::try_from(query.len()).context("a query is short")?;
        stream
            .write_all(&[&size.to_be_bytes()[..], query].concat())
            .await?;
        let size = stream.read_u16().await.context("TCP was closed")?;
        let mut answer = vec![0; size.into()];
        stream.read_exact(&mut answer).await?;
        check(&answer, query)
    }
}

fn expect(status: StatusCode, expected: StatusCode) -> anyhow::Result<()> {
    ensure!(status == expected, "it was answered {status}");
    Ok(())
}

/// It answers the query, and has records.
fn check(answer: &[u8], query: &[u8]) -> anyhow::Result<()> {
    let header = answer.first_chunk::<12>().context("it has no header")?;
    ensure!(header[..2] == query[..2], "it answers another query");
    let (rcode, count) = (header[3] & 0x0f, u16::from_be_bytes([header[6], header[7]]));
    ensure!(
        rcode == 0 && count > 0,
        "it has response code {rcode} and {count} records"
    );
    Ok(())
}
