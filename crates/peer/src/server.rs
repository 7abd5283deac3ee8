//! Taking the links that peers open.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Instant};

use futures_util::{SinkExt, StreamExt};
use quorate_listener::{Limits, Listener, Name, Protocol, Server};
use quorate_rpc::{NodeId, Service, message::WIRE_VERSIONS};
use quorate_tls::{Admit, Identity};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    LinkServerConfig, Metrics,
    accepted::{AcceptedLink, Origin},
    greeting::{Greeting, Hello, Rejection, greeting_frames},
    handshake_error::HandshakeError,
    handshakes::{Handshake, Handshakes},
    link_permits::LinkPermits,
    log_budget::LogBudget,
    metrics::HandshakeOutcome,
    socket,
};

/// How many lines of the log others cause in a minute: enough to see who knocks, too few to fill a
/// disk.
const STRANGER_LINE_COUNT_PER_MINUTE_MAX: u32 = 10;

/// How many connections may have ended without being gone yet, as handshakes that gave way have
/// until their task runs again. The listener has room for them beside those that count, so that it
/// refuses none before the oldest handshake has given way to it: its loop accepts at most half as
/// many before other tasks run.
const ENDED_COUNT_MAX: usize = 256;

/// Hands the links that peers open to a [`Service`].
pub struct LinkServer {
    config: LinkServerConfig,
    tls: TlsAcceptor,
    handshakes: Handshakes,
    permits: Arc<LinkPermits>,
    service: Arc<dyn Service>,
    metrics: Metrics,
    log: Arc<LogBudget>,
}

impl LinkServer {
    /// A server of the node with this identity, for the peers that `service` admits.
    pub fn new(
        config: LinkServerConfig,
        identity: &Identity,
        service: Arc<dyn Service>,
        metrics: Metrics,
    ) -> Self {
        let permits = LinkPermits::new(config.link_count_max, config.link_count_per_peer_max);
        let admitting = service.clone();
        let admit: Admit = Arc::new(move |key| admitting.admits(NodeId(*key)));
        Self {
            tls: quorate_tls::server_config(identity, admit).into(),
            handshakes: Handshakes::new(config.handshake_count_max),
            permits: Arc::new(permits),
            service,
            metrics,
            log: Arc::new(LogBudget::new(STRANGER_LINE_COUNT_PER_MINUTE_MAX)),
            config,
        }
    }

    /// Serves at `listener` until [`Server::shutdown`], which answers the requests that were read
    /// and closes the links.
    pub fn serve(self, listener: Listener, metrics: &quorate_listener::Metrics) -> Server {
        let LinkServerConfig {
            handshake_count_max,
            link_count_max,
            drain_timeout,
            ..
        } = self.config;
        let limits = Limits {
            connection_count_max: handshake_count_max + link_count_max + ENDED_COUNT_MAX,
            drain_timeout,
        };
        listener.serve(self, limits, Name::Peer, metrics)
    }

    /// Finds out who connected and what it wants. Returns `None` when it was turned away.
    async fn receive(
        &self,
        handshake: Handshake,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<AcceptedLink> {
        let greeted = timeout(self.config.handshake_timeout, self.greet(stream, address));
        let greeted = match handshake.run(greeted).await {
            Some(in_time) => in_time.unwrap_or(Err(HandshakeError::TimedOut)),
            None => Err(HandshakeError::Crowded),
        };
        let outcomes = &self.metrics.handshakes_total;
        match greeted {
            Ok(link) => {
                outcomes.of(HandshakeOutcome::Welcomed).inc();
                Some(link)
            }
            Err(error) => {
                outcomes.of(error.outcome()).inc();
                self.log_turned_away(address, &error);
                None
            }
        }
    }

    async fn greet(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<AcceptedLink, HandshakeError> {
        socket::prepare(&stream).map_err(HandshakeError::tls)?;
        let stream = self.tls.accept(stream).await.map_err(HandshakeError::tls)?;
        let peer = quorate_tls::peer_key(stream.get_ref().1).ok_or(HandshakeError::Protocol)?;
        let peer = NodeId(peer);
        let (mut reader, mut writer) = greeting_frames::<Hello, Greeting>(stream);
        let hello = match reader.next().await {
            Some(Ok(hello)) => hello,
            Some(Err(error)) => return Err(HandshakeError::Hello(peer, error)),
            None => return Err(HandshakeError::Closed),
        };
        let introduction = self.service.introduction();
        let checked = hello.check(&introduction.names, &WIRE_VERSIONS);
        let admitted = checked.and_then(|(lane, version)| {
            let permit = self.permits.try_acquire(peer);
            Ok((lane, version, permit.ok_or(Rejection::LinkCount)?))
        });
        let (lane, version, permit) = match admitted {
            Ok(admitted) => admitted,
            Err(rejection) => {
                // The rejection counts, whether the peer heard it or not.
                let _ = writer.send(Greeting::Refused(rejection.to_string())).await;
                let _ = writer.close().await;
                return Err(HandshakeError::Rejected(peer, rejection));
            }
        };
        let log = introduction.log;
        let welcomed = writer.send(Greeting::Welcome { version, log }).await;
        welcomed.map_err(|error| HandshakeError::Hello(peer, error))?;
        let origin = Origin {
            peer,
            address,
            lane,
        };
        let log = self.log.clone();
        Ok(AcceptedLink::new(
            (reader, writer),
            origin,
            permit,
            log,
            &self.metrics,
        ))
    }

    fn log_turned_away(&self, address: SocketAddr, error: &HandshakeError) {
        // Health checks connect and go, and the flood that crowds others out is counted.
        if matches!(error, HandshakeError::Closed | HandshakeError::Crowded) {
            tracing::debug!(%address, reason = %error, "a connection ended before it was a link");
            return;
        }
        if let Some(unlogged) = self.log.take(Instant::now()) {
            let source = error.source().map(tracing::field::display);
            tracing::warn!(%address, reason = %error, source, unlogged, "turned a connection away");
        }
    }
}

impl Protocol for LinkServer {
    fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        // Not in the task of the connection: the oldest gives way before another is accepted.
        let handshake = self.handshakes.begin();
        async move {
            let received = self.receive(handshake, stream, address);
            if let Some(Some(link)) = stop.run_until_cancelled(received).await {
                let write_timeout = self.config.write_timeout;
                link.serve(self.service.clone(), write_timeout, stop).await;
            }
        }
    }
}
