//! Serves one connection of DNS over QUIC, and its streams.

use std::{net::IpAddr, sync::Arc};

use quinn::{Connection, ReadToEndError, RecvStream, SendStream, VarInt};
use quorate_http::listener::ConnectionSlot;
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
    /// Serves a connection until the client ends it, sends no complete query for too long, or
    /// breaks a rule of the protocol.
    pub(super) async fn serve(
        self: Arc<Self>,
        connection: Connection,
        slot: ConnectionSlot,
        stop: &CancellationToken,
    ) {
        let client = connection.remote_address().ip();
        let evicted = slot.evicted().clone();
        let mut streams = JoinSet::new();
        let mut deadline = Instant::now() + self.config.idle_timeout(&slot);
        let error_code = loop {
            tokio::select! {
                opened = connection.accept_bi() => match opened {
                    Ok((send, receive)) => {
                        streams.spawn(self.clone().answer(send, receive, client));
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
                () = sleep_until(deadline) => break NO_ERROR,
                () = evicted.cancelled() => break EXCESSIVE_LOAD,
                () = stop.cancelled() => {
                    while streams.join_next().await.is_some() {}
                    break NO_ERROR;
                }
            }
        };
        connection.close(error_code, b"");
    }

    /// Answers the query of a stream, and waits until the client has the answer.
    async fn answer(
        self: Arc<Self>,
        mut send: SendStream,
        mut receive: RecvStream,
        client: IpAddr,
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
        let queries = &self.rules.queries;
        let wait = queries
            .charge_query(client)
            .max(self.rules.charge(client, received.len()));
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let client = DnsClient::new(client, DnsTransport::Quic);
        let mut response = Vec::new();
        let answered = message(&received)
            .and_then(|message| self.responder.respond(message, &client, &mut response));
        if answered.is_none() {
            return Err(StreamError::Protocol);
        }
        self.rules.charge(client.address, response.len());
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
