//! HTTP/1.1 for any router.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use axum::{Router, extract::ConnectInfo, middleware};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use quorate_listener::{
    BindError, Connections, Limits, Listener, Metrics, Name, Place, Protocol, Server, linger,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{Config, body::Unread, request_id::with_request_id};

/// How much of a request's header, and of what follows it, is kept for a connection, in bytes. Twice
/// what common servers take for a header.
const BUFFER_SIZE_MAX: usize = 16 * 1024;

/// What a connection over the cap gets.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Access-Control-Allow-Origin: *\r\n\
    Connection: close\r\n\
    Content-Length: 46\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Retry-After: 1\r\n\
    \r\n\
    too many connections are open: try again soon\n";

impl Config {
    /// Takes the address. Clients can connect from now on, and wait until
    /// [`serve`](HttpListener::serve).
    pub async fn bind(self) -> Result<HttpListener, BindError> {
        Ok(HttpListener {
            listener: Listener::bind("HTTP", self.listen).await?,
            config: self,
        })
    }
}

/// An address that was taken, and serves nothing yet.
#[derive(Debug)]
pub struct HttpListener {
    config: Config,
    listener: Listener,
}

impl HttpListener {
    /// The address, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves `router` until [`Server::shutdown`], as the listener of this name.
    pub fn serve(self, router: Router, name: Name, metrics: &Metrics) -> Server {
        let limits = Limits {
            connection_count_max: self.config.connection_count_max,
            connection_count_per_client_max: None,
            drain_timeout: self.config.drain_timeout,
        };
        let mut connections = http1::Builder::new();
        connections
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.header_read_timeout)
            .max_buf_size(BUFFER_SIZE_MAX);
        let http = Http {
            connections,
            router: router.layer(middleware::from_fn(with_request_id)),
            config: self.config,
        };
        let connections = Connections::new(limits);
        self.listener
            .serve(Arc::new(http), &connections, name, metrics)
    }
}

/// What connections share.
struct Http {
    connections: http1::Builder,
    router: Router,
    config: Config,
}

impl Protocol for Http {
    async fn serve(self: Arc<Self>, stream: TcpStream, place: Place, stop: CancellationToken) {
        let peer = place.address();
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "the connection was lost at once");
            return;
        }
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(self.config.write_timeout));
        let mut stream = TokioIo::new(Box::pin(stream));
        let unread = Unread::default();
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let read_timeout = self.config.body_read_timeout;
            let request = request.map(|body| unread.watch(body, read_timeout));
            self.router.clone().call(request)
        });
        let result = {
            let mut connection = pin!(self.connections.serve_connection(&mut stream, service));
            match stop.run_until_cancelled(connection.as_mut()).await {
                Some(result) => result,
                None => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        let malformed = result.as_ref().is_err_and(|error| error.is_parse());
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "the connection ended early");
        }
        // Only a client that may still be writing is waited for.
        if malformed || unread.get() {
            linger(stream.into_inner()).await;
        }
    }

    async fn refuse(self: Arc<Self>, mut stream: TcpStream) {
        // Whether the client heard it or not, the connection is closed.
        let _ = stream.write_all(TOO_MANY_CONNECTIONS).await;
        linger(stream).await;
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
