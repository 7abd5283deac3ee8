//! TCP connections (RFC 7766).

use std::{io, net::SocketAddr, sync::Arc};

use bytes::{Buf, BytesMut};
use quorate_listener::Protocol;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{Client, Config, DnsTransport, QUERY_SIZE_MAX, Responder};

/// The size of the length before each message, in bytes (RFC 1035, section 4.2.2).
const PREFIX_SIZE: usize = 2;

/// How many bytes of responses are gathered before they are sent: pipelined queries share a
/// packet, and a client that reads nothing makes us keep little.
const FLUSH_SIZE: usize = 16 * 1024;

/// What connections share. One over the cap is closed at once: a client that hears nothing tries
/// elsewhere.
pub(crate) struct TcpProtocol {
    pub(crate) config: Config,
    pub(crate) responder: Arc<Responder>,
}

impl Protocol for TcpProtocol {
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        let connection = Connection {
            protocol: &self,
            client: Client::new(peer.ip(), DnsTransport::Tcp),
            stream,
            received: BytesMut::new(),
            response: Vec::new(),
            unsent: Vec::new(),
        };
        if let Err(error) = connection.run(&stop).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// One connection. Queries are answered in their order, since none waits for anything.
struct Connection<'a> {
    protocol: &'a TcpProtocol,
    client: Client,
    stream: TcpStream,
    /// What was received and not answered yet.
    received: BytesMut,
    /// The last response.
    response: Vec<u8>,
    /// Responses with their lengths, not sent yet.
    unsent: Vec<u8>,
}

impl Connection<'_> {
    /// Serves the connection until the client ends it, brings no query for too long, or sends what
    /// cannot be one.
    async fn run(mut self, stop: &CancellationToken) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut deadline = self.deadline();
        loop {
            self.received.reserve(PREFIX_SIZE + QUERY_SIZE_MAX);
            let read = timeout_at(deadline, self.stream.read_buf(&mut self.received));
            let size = match stop.run_until_cancelled(read).await {
                Some(Ok(size)) => size?,
                Some(Err(_)) | None => return Ok(()),
            };
            if size == 0 {
                return Ok(());
            }
            // Only whole queries count as progress, or a byte a second would hold a connection.
            if self.answer_received().await? {
                deadline = self.deadline();
            }
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.protocol.config.tcp_idle_timeout
    }

    /// Answers every whole query received so far, and says whether there was one. What cannot be
    /// one ends the connection after the responses to those before it.
    async fn answer_received(&mut self) -> io::Result<bool> {
        let unread = self.received.len();
        let result = loop {
            match self.answer_next() {
                Ok(true) if self.unsent.len() >= FLUSH_SIZE => self.flush().await?,
                Ok(true) => {}
                Ok(false) => break Ok(self.received.len() < unread),
                Err(error) => break Err(error),
            }
        };
        self.flush().await?;
        result
    }

    /// Answers the next query, if it was received whole.
    fn answer_next(&mut self) -> io::Result<bool> {
        let Some((length, rest)) = self.received.split_first_chunk::<PREFIX_SIZE>() else {
            return Ok(false);
        };
        let size = usize::from(u16::from_be_bytes(*length));
        if size > QUERY_SIZE_MAX {
            return Err(io::Error::other(
                "a query is longer than any query needs to be",
            ));
        }
        let Some(message) = rest.get(..size) else {
            return Ok(false);
        };
        self.protocol
            .responder
            .respond(message, &self.client, &mut self.response)
            .ok_or_else(|| io::Error::other("a message is not a query"))?;
        let length = u16::try_from(self.response.len()).expect("size_max bounds responses");
        self.unsent.extend_from_slice(&length.to_be_bytes());
        self.unsent.extend_from_slice(&self.response);
        self.received.advance(PREFIX_SIZE + size);
        Ok(true)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let write_timeout = self.protocol.config.tcp_write_timeout;
        timeout(write_timeout, self.stream.write_all(&self.unsent)).await??;
        self.unsent.clear();
        Ok(())
    }
}
