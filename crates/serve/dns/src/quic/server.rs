//! Accepts connections of DNS over QUIC.

use std::{io, net::UdpSocket, sync::Arc, time::Duration};

use quinn::{
    Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig,
    VarInt, crypto::rustls::QuicServerConfig,
};
use quorate_http::{
    ServerCertificate,
    listener::{ConnectionLimits, Connections, ListenerMetrics, ListenerName, ListenerServer},
};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::connection::{NO_ERROR, QuicProtocol};
use crate::QUERY_SIZE_MAX;

/// The protocol's name in handshakes (RFC 9250, section 4.1.1).
const PROTOCOL: &[u8] = b"doq";

/// The largest number of concurrent handshakes. When more than half are in use, a client must first
/// prove that it receives packets at its address (RFC 9000, section 8.1.2).
const HANDSHAKE_COUNT_MAX: usize = 256;

/// The largest number of concurrent handshakes of one client that has not proved its address: so
/// little is sent to an address that somebody else has forged.
const UNPROVED_HANDSHAKE_COUNT_MAX: usize = 2;

/// The largest number of concurrent handshakes of one client.
const HANDSHAKE_COUNT_PER_CLIENT_MAX: usize = 16;

/// How many queries of a connection may be in progress. With the largest number of connections,
/// their queries need 128 MB.
const STREAM_COUNT_MAX: u32 = 32;

/// The largest size of a query, with the length before it, in bytes.
const STREAM_WINDOW_SIZE: u32 = QUERY_SIZE_MAX as u32 + 2;

/// How many bytes of responses a connection buffers until the client has them: four of the largest.
const SEND_WINDOW_SIZE: u64 = 4 * 65_536;

/// How many bytes are buffered for a handshake before it is accepted, and for all of them: two
/// datagrams of each, because each is accepted or rejected immediately.
const INCOMING_BUFFER_SIZE: u64 = 2 * 1_500;
const INCOMING_BUFFER_SIZE_TOTAL: u64 = HANDSHAKE_COUNT_MAX as u64 * INCOMING_BUFFER_SIZE;

/// How long a shutdown waits until clients have received it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers at `socket`, with as many connections as `connections` allows. A shutdown ends each
/// connection after the responses in progress.
pub(crate) fn serve(
    socket: UdpSocket,
    protocol: QuicProtocol,
    certificate: &ServerCertificate,
    connections: &Connections,
    metrics: &ListenerMetrics,
) -> io::Result<ListenerServer> {
    let tls = certificate.server_config(&[PROTOCOL]);
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    // A connection is counted for the address that has proved itself in the handshake.
    config.migration(false);
    config.transport_config(Arc::new(transport(protocol.config.tcp_idle_timeout)?));
    config
        .max_incoming(HANDSHAKE_COUNT_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_SIZE)
        .incoming_buffer_size_total(INCOMING_BUFFER_SIZE_TOTAL);
    let local_addr = socket.local_addr()?;
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)?;
    let stop = CancellationToken::new();
    let handshakes = ConnectionLimits {
        connection_count_max: HANDSHAKE_COUNT_MAX,
        connection_count_per_client_max: Some(HANDSHAKE_COUNT_PER_CLIENT_MAX),
        drain_timeout: Duration::ZERO,
    };
    let acceptor = Acceptor {
        endpoint,
        protocol: Arc::new(protocol),
        handshakes: Connections::new(handshakes),
        connections: connections.clone(),
        metrics: metrics.clone(),
        stop: stop.clone(),
        tasks: TaskTracker::new(),
    };
    Ok(ListenerServer::spawn(local_addr, stop, acceptor.run()))
}

fn transport(idle_timeout: Duration) -> io::Result<TransportConfig> {
    let mut transport = TransportConfig::default();
    let idle_timeout = IdleTimeout::try_from(idle_timeout).map_err(io::Error::other)?;
    transport
        .max_idle_timeout(Some(idle_timeout))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAM_COUNT_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_SIZE))
        .receive_window(VarInt::from_u32(STREAM_WINDOW_SIZE * STREAM_COUNT_MAX))
        .send_window(SEND_WINDOW_SIZE)
        .datagram_receive_buffer_size(None);
    Ok(transport)
}

struct Acceptor {
    endpoint: Endpoint,
    protocol: Arc<QuicProtocol>,
    handshakes: Connections,
    connections: Connections,
    metrics: ListenerMetrics,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self) {
        while let Some(Some(incoming)) = self.stop.run_until_cancelled(self.endpoint.accept()).await
        {
            self.on_incoming(incoming);
        }
        self.endpoint.set_server_config(None);
        self.tasks.close();
        // Queries that are not answered by then are abandoned.
        let drain_timeout = self.connections.limits().drain_timeout;
        let _ = timeout(drain_timeout, self.tasks.wait()).await;
        self.endpoint.close(NO_ERROR, b"");
        let _ = timeout(CLOSE_TIMEOUT, self.endpoint.wait_idle()).await;
    }

    /// Starts a task for the handshake and the connection. Never waits.
    fn on_incoming(&self, incoming: Incoming) {
        let address = incoming.remote_address();
        let open_count = self.handshakes.count_of(address.ip());
        let must_prove = open_count >= UNPROVED_HANDSHAKE_COUNT_MAX || self.handshakes.is_crowded();
        if must_prove && incoming.may_retry() {
            // A real client tries again and so proves its address; a forged one does not.
            let _ = incoming.retry();
            return;
        }
        // An address that may be forged must not use up the limit of its owner.
        let is_proved = incoming.remote_address_validated();
        let Some(handshake) = self.handshakes.admit(address) else {
            return incoming.refuse();
        };
        let (connections, metrics) = (self.connections.clone(), self.metrics.clone());
        let (protocol, stop) = (self.protocol.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let connected = protocol.connect(incoming, is_proved);
            let connected = handshake.evicted().run_until_cancelled(connected);
            let Some(Some(connection)) = stop.run_until_cancelled(connected).await else {
                return;
            };
            let Some(connection) = connection else {
                // Otherwise datagrams with forged addresses, whose handshakes fail at once, could
                // start any number of them.
                let handshake = handshake
                    .evicted()
                    .run_until_cancelled(sleep(protocol.config.tls_handshake_timeout));
                stop.run_until_cancelled(handshake).await;
                return;
            };
            drop(handshake);
            let Some(slot) = connections.admit(address) else {
                return;
            };
            let _open = metrics.on_admitted(ListenerName::DnsQuic, &slot);
            protocol.serve(connection, slot, &stop).await;
        });
    }
}
