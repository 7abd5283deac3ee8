//! Serves one connection of DNS over QUIC, and its streams.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use quinn::{
    Connection, ConnectionError, Incoming, ReadToEndError, RecvStream, SendStream, VarInt,
};
use quorate_http::{HANDSHAKE_COST, listener::ConnectionSlot};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{ConnectionRules, DnsClient, DnsConfig, DnsTransport, QUERY_SIZE_MAX, Responder};

/// DOQ_NO_ERROR: the connection ends without an error (RFC 9250, section 4.3).
pub(super) const NO_ERROR: VarInt = VarInt::from_u32(0);

const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);

const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// The size of the length before each message, in bytes (RFC 9250, section 4.2).
const PREFIX_SIZE: usize = 2;

pub(crate) struct QuicProtocol {
    pub(crate) config: DnsConfig,
    pub(crate) responder: Arc<Responder>,
    pub(crate) rules: ConnectionRules,
}

/// Why a query was not answered.
enum StreamError {
    /// The client broke a rule of the protocol. The connection must end.
    Protocol,
    /// The client canceled the query, took too long, or is gone.
    Gone,
}

impl QuicProtocol {
    /// Completes a handshake within its time limit, and counts it. A client that has proved its
    /// address waits first if the limits require that; others are counted when they prove it by the
    /// handshake.
    pub(super) async fn connect(&self, incoming: Incoming, is_proved: bool) -> Option<Connection> {
        let client = incoming.remote_address().ip();
        if is_proved {
            sleep(self.rules.charge(client, HANDSHAKE_COST)).await;
        }
        let connecting = incoming.accept().ok()?;
        let connected = timeout(self.config.tls_handshake_timeout, connecting).await;
        let connection = connected.ok()?.ok()?;
        if !is_proved {
            self.rules.charge(client, HANDSHAKE_COST);
        }
        Some(connection)
    }

    /// Serves a connection until the client ends it, sends no complete query for too long, or
    /// breaks a rule of the protocol.
    pub(super) async fn serve(
        self: Arc<Self>,
        connection: Connection,
        slot: ConnectionSlot,
        stop: &CancellationToken,
    ) {
        let client = DnsClient::new(slot.address().ip(), DnsTransport::Quic);
        let evicted = slot.evicted().clone();
        let mut streams = JoinSet::new();
        let is_waiting = AtomicBool::new(false);
        let mut deadline = Instant::now() + self.config.idle_timeout(&slot);
        let mut next = Box::pin(self.next_stream(&connection, &client, &is_waiting));
        let error_code = loop {
            tokio::select! {
                opened = &mut next => match opened {
                    Ok((send, receive)) => {
                        streams.spawn(self.clone().answer(send, receive, client));
                        next.set(self.next_stream(&connection, &client, &is_waiting));
                    }
                    // It is closed already.
                    Err(_) => break NO_ERROR,
                },
                Some(answered) = streams.join_next() => match answered {
                    // Only complete queries count as progress.
                    Ok(Ok(())) => {
                        slot.touch();
                        deadline = Instant::now() + self.config.idle_timeout(&slot);
                    }
                    Ok(Err(StreamError::Protocol)) => break PROTOCOL_ERROR,
                    Ok(Err(StreamError::Gone)) => {}
                    Err(error) => tracing::error!(%error, "a query was not answered"),
                },
                () = sleep_until(deadline) => match is_waiting.load(Ordering::Relaxed) {
                    // The client has sent a query, and waits for the limits.
                    true => deadline = Instant::now() + self.config.idle_timeout(&slot),
                    false => break NO_ERROR,
                },
                () = evicted.cancelled() => break EXCESSIVE_LOAD,
                () = stop.cancelled() => {
                    while streams.join_next().await.is_some() {}
                    break NO_ERROR;
                }
            }
        };
        connection.close(error_code, b"");
    }

    /// Waits for the next stream of the client, and then as long as the limits require. All streams
    /// of the connection wait together, so that a client with many is not faster.
    async fn next_stream(
        &self,
        connection: &Connection,
        client: &DnsClient,
        is_waiting: &AtomicBool,
    ) -> Result<(SendStream, RecvStream), ConnectionError> {
        let streams = connection.accept_bi().await?;
        let wait = self.rules.charge_query(client);
        let wait = wait.max(self.rules.charge(client.address, 0));
        if !wait.is_zero() {
            is_waiting.store(true, Ordering::Relaxed);
            sleep(wait).await;
            is_waiting.store(false, Ordering::Relaxed);
        }
        Ok(streams)
    }

    /// Answers the query of a stream, and waits until the client has the answer.
    async fn answer(
        self: Arc<Self>,
        mut send: SendStream,
        mut receive: RecvStream,
        client: DnsClient,
    ) -> Result<(), StreamError> {
        let received = receive.read_to_end(PREFIX_SIZE + QUERY_SIZE_MAX);
        let received = match timeout(self.config.tcp_idle_timeout, received).await {
            Ok(Ok(received)) => received,
            Ok(Err(ReadToEndError::TooLong)) => return Err(StreamError::Protocol),
            // Dropping the stream would finish it, and the client would see an empty response.
            Ok(Err(ReadToEndError::Read(_))) | Err(_) => {
                let _ = send.reset(EXCESSIVE_LOAD);
                return Err(StreamError::Gone);
            }
        };
        let mut response = Vec::new();
        let message = message(&received).ok_or(StreamError::Protocol)?;
        self.responder
            .respond_in_time(message, &client, &mut response)
            .await
            .ok_or(StreamError::Protocol)?;
        let byte_count = received.len() + response.len();
        self.rules.charge(client.address, byte_count);
        let length = u16::try_from(response.len()).expect("size_max bounds responses");
        let sent = async {
            send.write_all(&length.to_be_bytes()).await.ok()?;
            send.write_all(&response).await.ok()?;
            send.finish().ok()?;
            send.stopped().await.ok()
        };
        match timeout(self.config.tcp_write_timeout, sent).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(StreamError::Gone),
        }
    }
}

/// The message of a stream. `None` if its length is wrong, or its ID is not 0: each stream has one
/// message, so IDs are not needed (RFC 9250, section 4.2.1).
fn message(received: &[u8]) -> Option<&[u8]> {
    let (length, message) = received.split_first_chunk::<PREFIX_SIZE>()?;
    let is_complete = message.len() == usize::from(u16::from_be_bytes(*length));
    (is_complete && message.starts_with(&[0, 0])).then_some(message)
}
