//! HTTP/1.1 for any router.
//!
//! A client can hold a connection only while it makes progress: the head of each request, its body
//! and the taking of the answer have a timeout each, and an idle connection is closed after the
//! first of them. So the cap on connections bounds memory without shutting anyone out for long.
//! HTTP/2 is not offered: without TLS no client of a relay asks for it.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tower::Service;

use crate::{
    ServerMetrics,
    impatient::{ImpatientBody, ImpatientStream},
};

/// How much of a request's head, and of what follows it, is kept for a connection, in bytes. Twice
/// what common servers take for a head.
const BUFFER_SIZE_MAX: usize = 16 * 1024;

/// How many connections over the cap are told so at one time. Those beyond are closed unheard.
const REFUSAL_COUNT_MAX: usize = 64;

/// How long a refused client is given to read the refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What a connection over the cap gets.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Access-Control-Allow-Origin: *\r\n\
    Connection: close\r\n\
    Content-Length: 46\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Retry-After: 1\r\n\
    \r\n\
    too many connections are open: try again soon\n";

/// How long to wait after the kernel refused a connection, as it does when the process has no file
/// descriptors left: nothing tells when there are some again.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Where to listen, and how long to bear with clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many connections may be open. Each takes up to 32 KB, and a file descriptor.
    pub connection_count_max: usize,
    /// How long the head of a request may take, and a connection be idle before it.
    pub header_read_timeout: Duration,
    /// How long the body of a request may take.
    pub body_read_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long a shutdown waits for the answers that are under way.
    pub drain_timeout: Duration,
}

impl ServerConfig {
    /// The defaults, at this address.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            // Of a million endpoints that publish each 300 s, a third comes to each of three
            // nodes: 1,111 a second, each on a connection that is then idle for 10 s.
            connection_count_max: 16_384,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            // A PUT that is under way is answered within 10 s, and usually in a few ms.
            drain_timeout: Duration::from_secs(5),
        }
    }

    /// Takes the address. Clients can connect from now on, and wait until
    /// [`serve`](Bound::serve).
    pub async fn bind(self) -> Result<Bound, BindError> {
        let listen = self.listen;
        let fail = |source| BindError { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(fail)?;
        let local_addr = listener.local_addr().map_err(fail)?;
        Ok(Bound {
            config: self,
            listener,
            local_addr,
        })
    }
}

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for HTTP at {listen}: free the address or configure another one")]
pub struct BindError {
    /// The address.
    pub listen: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A listener that serves nothing yet.
#[derive(Debug)]
pub struct Bound {
    config: ServerConfig,
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Bound {
    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves `router` until [`Server::shutdown`]. Each request carries `ConnectInfo<SocketAddr>`.
    pub fn serve(self, router: Router, metrics: ServerMetrics) -> Server {
        let (stop, stopped) = watch::channel(false);
        let acceptor = Acceptor {
            shared: Arc::new(Shared {
                http: http(&self.config),
                router,
                metrics,
                config: self.config,
            }),
            listener: self.listener,
            stopped,
            connections: JoinSet::new(),
            refusals: JoinSet::new(),
        };
        Server {
            local_addr: self.local_addr,
            stop,
            acceptor: tokio::spawn(acceptor.run()),
        }
    }
}

fn http(config: &ServerConfig) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.header_read_timeout)
        .max_buf_size(BUFFER_SIZE_MAX);
    http
}

/// A running server. Dropping it shuts it down too, unawaited.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    acceptor: JoinHandle<()>,
}

impl Server {
    /// The address it listens at.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Frees the address, answers what is under way and closes each connection after it; at the
    /// drain limit closes all that are left.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.acceptor.await {
            tracing::error!(%error, "the HTTP server did not end well");
        }
    }
}

/// What connections share.
struct Shared {
    http: http1::Builder,
    router: Router,
    metrics: ServerMetrics,
    config: ServerConfig,
}

/// Accepts connections and keeps count of them.
struct Acceptor {
    shared: Arc<Shared>,
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
    connections: JoinSet<()>,
    refusals: JoinSet<()>,
}

impl Acceptor {
    async fn run(mut self) {
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                () = stop_asked(&mut stopped) => break,
                Some(_) = self.connections.join_next() => {}
                Some(_) = self.refusals.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.on_accepted(stream, peer),
                    Err(error) => {
                        self.shared.metrics.accept_errors.inc();
                        tracing::debug!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
        let Self {
            shared,
            listener,
            mut connections,
            ..
        } = self;
        drop(listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(shared.config.drain_timeout, drained)
            .await
            .is_err()
        {
            let count = connections.len();
            tracing::warn!(count, "connections were cut off at the drain limit");
            connections.shutdown().await;
        }
    }

    fn on_accepted(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.connections.len() < self.shared.config.connection_count_max {
            let connection = serve(self.shared.clone(), stream, peer, self.stopped.clone());
            self.connections.spawn(connection);
            return;
        }
        self.shared.metrics.refused.inc();
        if self.refusals.len() < REFUSAL_COUNT_MAX {
            self.refusals.spawn(refuse(stream));
        }
    }
}

/// Serves one connection to its end.
async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    mut stopped: watch::Receiver<bool>,
) {
    let _open = Open::new(&shared.metrics);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the connection was lost at once");
        return;
    }
    let stream = ImpatientStream::new(stream, shared.config.write_timeout);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let body_read_timeout = shared.config.body_read_timeout;
        let request = request.map(|body| Body::new(ImpatientBody::new(body, body_read_timeout)));
        shared.router.clone().call(request)
    });
    let connection = shared.http.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop_asked(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "the connection ended early");
    }
}

/// Resolves when the server was shut down or dropped.
async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Counts a connection as open while it lives.
struct Open<'a>(&'a ServerMetrics);

impl<'a> Open<'a> {
    fn new(metrics: &'a ServerMetrics) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// Says that there are too many, and waits a moment for the client to have read it: closing on
/// unread bytes would take the answer back.
async fn refuse(mut stream: TcpStream) {
    let linger = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // Whether the client heard it or not, the connection is closed.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, linger).await;
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
