//! Accepts the connections that other nodes open.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Instant};

use futures_util::{SinkExt, StreamExt};
use quorate_http::listener::{
    ConnectionLimits, ConnectionSlot, Connections, Listener, ListenerMetrics, ListenerName,
    ListenerServer, Protocol,
};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    Acknowledgements, Admission, Identity, LinkServerConfig, LogBudget, NodeId, PeerMetrics,
    Service, StreamKind,
    accepted::{AcceptedLink, Origin},
    frame::FrameError,
    greeting::{
        FrameReader, FrameWriter, Greeting, HELLO_SIZE_MAX, Hello, Rejection, greeting_frames,
    },
    handshake_error::HandshakeError,
    handshakes::{Handshake, Handshakes},
    joiner::{Joiner, read_request},
    link_permits::{LinkPermit, LinkPermits},
    message::WIRE_VERSIONS,
    metrics::{HandshakeOutcome, JoinOutcome},
    socket,
};

/// How many log lines unknown nodes can cause in a minute: enough to see them, too few to fill a disk.
const STRANGER_LINE_COUNT_PER_MINUTE_MAX: u32 = 10;

/// How many connections may have ended but not been removed yet, such as a handshake that was
/// evicted and whose task has not run since. The listener has space for them in addition to those
/// that count, so that it refuses no connection before the oldest handshake was evicted for it: its
/// loop accepts at most half as many before other tasks run.
const ENDED_COUNT_MAX: usize = 256;

/// The streams of a peer that has a voucher but is not listed here: those that a leader or
/// candidate needs at a follower.
const STREAMS_OF_VOUCHED: [StreamKind; 3] = [
    StreamKind::Append,
    StreamKind::Control,
    StreamKind::Snapshot,
];

/// A connection whose other end has proved its key and nothing else yet.
struct Caller {
    node: NodeId,
    address: SocketAddr,
    reader: FrameReader<Hello>,
    writer: FrameWriter<Greeting>,
    /// What voters had acknowledged before it sent anything.
    acknowledged: Acknowledgements,
}

/// What a connection is for.
enum Purpose {
    Link(AcceptedLink),
    Join(Joiner),
}

/// Passes the links of peers, and the requests of joiners, to a [`Service`].
pub struct LinkServer {
    config: LinkServerConfig,
    tls: TlsAcceptor,
    handshakes: Handshakes,
    permits: Arc<LinkPermits>,
    joins: Semaphore,
    service: Arc<dyn Service>,
    metrics: PeerMetrics,
    log: Arc<LogBudget>,
}

impl LinkServer {
    /// A server of the node with this identity, for the peers that `service` admits, and for
    /// joiners while it expects any.
    pub fn new(
        config: LinkServerConfig,
        identity: &Identity,
        service: Arc<dyn Service>,
        metrics: PeerMetrics,
    ) -> Self {
        Self {
            tls: crate::server_config(identity).into(),
            permits: Arc::new(LinkPermits::new(&config)),
            handshakes: Handshakes::new(config.handshake_count_max),
            joins: Semaphore::new(config.join_count_max),
            service,
            metrics,
            log: Arc::new(LogBudget::new(STRANGER_LINE_COUNT_PER_MINUTE_MAX)),
            config,
        }
    }

    /// Serves at `listeners` until [`ListenerServer::shutdown`] of each, which answers the requests
    /// that were read and closes the links.
    pub fn serve(self, listeners: Vec<Listener>, metrics: &ListenerMetrics) -> Vec<ListenerServer> {
        let config = &self.config;
        let counted_max = config.handshake_count_max + config.link_count_max;
        let limits = ConnectionLimits {
            connection_count_max: counted_max + ENDED_COUNT_MAX,
            connection_count_per_client_max: None,
            drain_timeout: config.drain_timeout,
        };
        let connections = Connections::new(limits);
        let server = Arc::new(self);
        let serve = |listener: Listener| {
            listener.serve(server.clone(), &connections, ListenerName::Peer, metrics)
        };
        listeners.into_iter().map(serve).collect()
    }

    /// Authenticates a connection and reads what it is for. Returns `None` if it was rejected.
    async fn receive(
        &self,
        handshake: Handshake,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<Purpose> {
        let purpose = timeout(
            self.config.handshake_timeout,
            self.authenticate(stream, address),
        );
        let purpose = match handshake.run(purpose).await {
            Some(in_time) => in_time.unwrap_or(Err(HandshakeError::TimedOut)),
            None => Err(HandshakeError::Crowded),
        };
        let outcome = match &purpose {
            Ok(Purpose::Link(_)) => HandshakeOutcome::Welcomed,
            Ok(Purpose::Join(_)) => HandshakeOutcome::JoinRequest,
            Err(error) => error.outcome(),
        };
        self.metrics.handshakes_total.of(outcome).inc();
        purpose
            .inspect_err(|error| self.log_turned_away(address, error))
            .ok()
    }

    async fn authenticate(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<Purpose, HandshakeError> {
        socket::prepare(&stream).map_err(HandshakeError::tls)?;
        let acknowledged = self.service.acknowledged();
        let stream = self.tls.accept(stream).await.map_err(HandshakeError::tls)?;
        let key = crate::peer_key(stream.get_ref().1).ok_or(HandshakeError::Protocol)?;
        let (reader, writer) = greeting_frames(stream, HELLO_SIZE_MAX);
        let mut caller = Caller {
            node: NodeId(key),
            address,
            reader,
            writer,
            acknowledged,
        };
        let hello = caller.reader.next().await.ok_or(HandshakeError::Closed)?;
        let vouchers = hello.as_ref().map_or(&[][..], |hello| &hello.vouchers);
        match self.service.admission(caller.node, vouchers) {
            Admission::Stranger => self.receive_stranger(caller, hello).await,
            admission => self.receive_peer(caller, hello, admission).await,
        }
    }

    /// Welcomes a peer, or sends the reason why not.
    async fn receive_peer(
        &self,
        mut caller: Caller,
        hello: Result<Hello, FrameError>,
        admission: Admission,
    ) -> Result<Purpose, HandshakeError> {
        let peer = caller.node;
        let hello_error = |error| HandshakeError::Hello(peer, error);
        let hello = hello.map_err(hello_error)?;
        let admitted = self.admit(&caller, &hello, admission);
        let (stream_kind, version, permit) = match admitted {
            Ok(admitted) => admitted,
            Err(rejection) => {
                // The rejection counts, whether the peer received it or not.
                let _ = caller.writer.send(rejection.greeting()).await;
                let _ = caller.writer.close().await;
                return Err(HandshakeError::Rejected(peer, rejection));
            }
        };
        if stream_kind == StreamKind::Join {
            // It is registered already and did not receive the answer, or it was removed and joins again.
            let request = read_request(caller.reader).await.map_err(hello_error)?;
            return Ok(Purpose::Join(Joiner {
                node: peer,
                address: caller.address,
                request,
                writer: caller.writer,
            }));
        }
        let stated = self.service.introduction().stated;
        let welcome = Greeting::Welcome { version, stated };
        caller.writer.send(welcome).await.map_err(hello_error)?;
        let origin = Origin {
            peer,
            address: caller.address,
            stream_kind,
        };
        let (frames, log) = ((caller.reader, caller.writer), self.log.clone());
        let link = AcceptedLink::new(frames, origin, hello.vouchers, permit, log, &self.metrics);
        Ok(Purpose::Link(link))
    }

    /// The stream kind and the version of a peer's link, and the permit for it.
    fn admit(
        &self,
        caller: &Caller,
        hello: &Hello,
        admission: Admission,
    ) -> Result<(StreamKind, u16, LinkPermit), Rejection> {
        let (stream_kind, version) =
            hello.check(self.service.introduction().cluster, &WIRE_VERSIONS)?;
        let is_vouched = admission == Admission::Vouched;
        if admission == Admission::Listed
            && let Some(loss) =
                self.service
                    .lost_data(caller.node, hello.stated, &caller.acknowledged)
        {
            return Err(Rejection::DataLost(loss));
        }
        match admission {
            Admission::Removed(removal) if stream_kind != StreamKind::Join => {
                return Err(Rejection::Removed(removal));
            }
            Admission::Vouched if !STREAMS_OF_VOUCHED.contains(&stream_kind) => {
                return Err(Rejection::Unlisted);
            }
            _ => {}
        }
        let permit = self.permits.try_acquire(caller.node, is_vouched);
        Ok((stream_kind, version, permit.ok_or(Rejection::LinkCount)?))
    }

    /// Reads whether an unknown node requests to join. If it sends anything else, it gets no byte:
    /// TLS is closed, and that shows a removed node that it is not known here.
    async fn receive_stranger(
        &self,
        caller: Caller,
        hello: Result<Hello, FrameError>,
    ) -> Result<Purpose, HandshakeError> {
        let Caller {
            node,
            address,
            reader,
            mut writer,
            ..
        } = caller;
        let request = async {
            let no_request = |error| HandshakeError::NoJoinRequest(node, error);
            let hello = hello.map_err(no_request)?;
            let cluster = self.service.introduction().cluster;
            match hello.check(cluster, &WIRE_VERSIONS) {
                Ok((StreamKind::Join, _)) if self.service.expects_joiners() => {
                    read_request(reader).await.map_err(no_request)
                }
                Ok(_) => Err(HandshakeError::UnknownKey(node.0)),
                Err(rejection) => Err(HandshakeError::Stranger(node, rejection)),
            }
        };
        match request.await {
            Ok(request) => Ok(Purpose::Join(Joiner {
                node,
                address,
                request,
                writer,
            })),
            Err(error) => {
                let _ = writer.close().await;
                Err(error)
            }
        }
    }

    async fn serve_joiner(&self, mut joiner: Joiner) {
        let outcome = match self.joins.try_acquire() {
            Ok(_permit) => {
                let service = self.service.clone();
                joiner.answer(service, &self.config).await
            }
            Err(_) => JoinOutcome::Crowded,
        };
        self.metrics.joins_total.of(outcome).inc();
        joiner.log(outcome, &self.log);
    }

    fn log_turned_away(&self, address: SocketAddr, error: &HandshakeError) {
        // Health checks connect and close, and a flood that evicts others is counted.
        if matches!(error, HandshakeError::Closed | HandshakeError::Crowded) {
            tracing::debug!(%address, reason = %error, "a connection ended during the handshake");
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
        slot: ConnectionSlot,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        // Not in the task of the connection: the oldest must be evicted before another is accepted.
        let handshake = self.handshakes.begin();
        async move {
            let received = self.receive(handshake, stream, slot.address());
            match stop.run_until_cancelled(received).await.flatten() {
                Some(Purpose::Link(link)) => {
                    let write_timeout = self.config.write_timeout;
                    link.serve(self.service.clone(), write_timeout, stop).await;
                }
                Some(Purpose::Join(joiner)) => {
                    stop.run_until_cancelled(self.serve_joiner(joiner)).await;
                }
                None => {}
            }
        }
    }
}
