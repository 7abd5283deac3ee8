//! DNS over TCP (RFC 7766) and over TLS (RFC 7858), which differ only in the stream of bytes.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use quorate_http::{
    ClientStream,
    listener::{ConnectionSlot, Protocol, ProxiedClient},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{ConnectionRules, DnsClient, DnsConfig, DnsTransport, QUERY_SIZE_MAX, Responder};

/// The size of the length before each message, in bytes (RFC 1035, section 4.2.2).
const PREFIX_SIZE: usize = 2;

/// How many bytes of responses are collected before they are sent. So responses to pipelined
/// queries share packets, and a client that reads nothing makes the server keep little.
const FLUSH_SIZE: usize = 16 * 1024;

/// How long a client may take to receive the end of a TLS connection (RFC 8446, section 6.1).
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The state that all connections share. A handshake does not delay others: it has a time limit,
/// and it ends early if its slot is needed for another connection.
pub(crate) struct TcpProtocol {
    pub(crate) config: DnsConfig,
    pub(crate) responder: Arc<Responder>,
    pub(crate) rules: ConnectionRules,
    /// Set for DNS over TLS.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Whether each connection comes from a proxy and begins with a header that names the client.
    pub(crate) is_proxied: bool,
}

impl Protocol for TcpProtocol {
    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        slot: ConnectionSlot,
        stop: CancellationToken,
    ) {
        let address = slot.address();
        if let Err(error) = self.serve_stream(stream, slot, &stop).await {
            tracing::debug!(%address, %error, "a connection ended early");
        }
    }
}

impl TcpProtocol {
    async fn serve_stream(
        &self,
        mut stream: TcpStream,
        slot: ConnectionSlot,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let client = self.client(&mut stream, &slot);
        let Some(client) = stop.run_until_cancelled(client).await else {
            return Ok(());
        };
        let client = client?;
        let mut stream = ClientStream::new(stream, self.rules.throttle(&client));
        let Some(tls) = &self.tls else {
            return Connection::new(self, stream, client, slot).run(stop).await;
        };
        let handshake = async {
            stream.begin_handshake().await;
            timeout(self.config.tls_handshake_timeout, tls.accept(stream)).await?
        };
        let Some(stream) = stop.run_until_cancelled(handshake).await else {
            return Ok(());
        };
        let mut connection = Connection::new(self, stream?, client, slot);
        let ended = connection.run(stop).await;
        // The connection is closed even if the client does not receive this.
        let _ = timeout(CLOSE_TIMEOUT, connection.stream.shutdown()).await;
        ended
    }

    /// The client of the connection: the peer, or the client that the peer names if it is a proxy.
    async fn client(&self, stream: &mut TcpStream, slot: &ConnectionSlot) -> io::Result<DnsClient> {
        let transport = match self.tls {
            Some(_) => DnsTransport::Tls,
            None => DnsTransport::Tcp,
        };
        if !self.is_proxied {
            return Ok(DnsClient::new(slot.address().ip(), transport));
        }
        let client = ProxiedClient::of_connection(stream, slot, &self.rules.is_trusted);
        let client = timeout(self.config.idle_timeout(slot), client).await?;
        let client = client.map_err(io::Error::other)?;
        // The proxy sends the response in a datagram, to an address that may be forged.
        let transport = if client.is_datagram {
            DnsTransport::Udp
        } else {
            transport
        };
        Ok(DnsClient::new(client.address.ip(), transport))
    }
}

/// One connection. Queries are answered in order, because none waits for anything but the limits of
/// its client and the DHT, which few need.
struct Connection<'a, S> {
    protocol: &'a TcpProtocol,
    stream: S,
    client: DnsClient,
    slot: ConnectionSlot,
    /// Received bytes that are not answered yet.
    received: BytesMut,
    /// The last response.
    response: Vec<u8>,
    /// Responses with their lengths, not sent yet.
    unsent: Vec<u8>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    fn new(protocol: &'a TcpProtocol, stream: S, client: DnsClient, slot: ConnectionSlot) -> Self {
        Self {
            protocol,
            stream,
            client,
            slot,
            received: BytesMut::new(),
            response: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Serves the connection until the client ends it, sends no complete query for too long, or
    /// sends something that is not a query.
    async fn run(&mut self, stop: &CancellationToken) -> io::Result<()> {
        let mut deadline = Instant::now() + self.protocol.config.idle_timeout(&self.slot);
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
            // Only complete queries count as progress, or one byte a second would suffice.
            // A client that is gone must not hold its place while its queries wait.
            let within = self.protocol.config.tcp_idle_timeout;
            if timeout(within, self.answer_received(stop)).await?? {
                self.slot.touch();
                deadline = Instant::now() + self.protocol.config.idle_timeout(&self.slot);
            }
        }
    }

    /// Answers every complete query received so far, and returns whether there was one. Bytes that
    /// are not a query end the connection after the responses to the queries before them.
    async fn answer_received(&mut self, stop: &CancellationToken) -> io::Result<bool> {
        let unread = self.received.len();
        let result = loop {
            match self.next_size() {
                Ok(Some(size)) => {
                    self.wait_for_limits(stop).await?;
                    if let Err(error) = self.answer_next(size).await {
                        break Err(error);
                    }
                    if self.unsent.len() >= FLUSH_SIZE {
                        self.flush().await?;
                    }
                }
                Ok(None) => break Ok(self.received.len() < unread),
                Err(error) => break Err(error),
            }
        };
        self.flush().await?;
        result
    }

    /// The size of the next query, if it was received completely.
    fn next_size(&self) -> io::Result<Option<usize>> {
        let Some((length, rest)) = self.received.split_first_chunk::<PREFIX_SIZE>() else {
            return Ok(None);
        };
        let size = usize::from(u16::from_be_bytes(*length));
        if size > QUERY_SIZE_MAX {
            return Err(io::Error::other(format!(
                "a query has more than {QUERY_SIZE_MAX} bytes"
            )));
        }
        Ok((rest.len() >= size).then_some(size))
    }

    /// Waits as long as the client must before its next response, unless the server stops. The
    /// connection is idle meanwhile.
    async fn wait_for_limits(&mut self, stop: &CancellationToken) -> io::Result<()> {
        let wait = self.protocol.rules.charge_query(&self.client);
        if !wait.is_zero() {
            self.flush().await?;
            stop.run_until_cancelled(sleep(wait)).await;
        }
        Ok(())
    }

    /// Answers the next query, which has this size. If it must wait for the DHT, the responses before it
    /// are sent first.
    async fn answer_next(&mut self, size: usize) -> io::Result<()> {
        let responder = self.protocol.responder.clone();
        let query = PREFIX_SIZE..PREFIX_SIZE + size;
        let message = &self.received[query.clone()];
        let mut responded = responder.try_respond(message, &self.client, &mut self.response);
        if let Err(key) = responded {
            self.flush().await?;
            responder.look_up(&key, &self.client).await;
            let message = &self.received[query];
            responded = Ok(responder.respond(message, &self.client, &mut self.response));
        }
        let responded = responded.ok().flatten();
        responded.ok_or_else(|| io::Error::other("a message is not a query"))?;
        let length = u16::try_from(self.response.len()).expect("size_max bounds responses");
        self.unsent.extend_from_slice(&length.to_be_bytes());
        self.unsent.extend_from_slice(&self.response);
        self.received.advance(PREFIX_SIZE + size);
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let written = async {
            self.stream.write_all(&self.unsent).await?;
            // TLS buffers bytes until it is flushed.
            self.stream.flush().await
        };
        timeout(self.protocol.config.tcp_write_timeout, written).await??;
        self.unsent.clear();
        Ok(())
    }
}
