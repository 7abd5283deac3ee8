//! Opens a connection: finds out who the client is and which version of HTTP it speaks.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{error::Elapsed, timeout},
};
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Connection, Service},
    listener::{ConnectionSlot, Protocol, ProxiedClient, ProxyHeaderError, linger},
    stream::{ClientStream, Throttle},
};

/// The names of HTTP in TLS handshakes (RFC 9113, section 3.2, and RFC 7301, section 6), the
/// preferred one first.
pub(crate) const TLS_PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

const HTTP2: &[u8] = b"h2";

/// The response to a connection over the limit: the problem `Overloaded`.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Access-Control-Allow-Origin: *\r\n\
    Cache-Control: no-store\r\n\
    Connection: close\r\n\
    Content-Length: 167\r\n\
    Content-Type: application/problem+json\r\n\
    Retry-After: 1\r\n\
    \r\n\
    {\"type\":\"urn:quorate:problem:overloaded\",\"title\":\"Too many requests are waiting\",\"status\":503,\
    \"detail\":\"too many connections are open: retry in a second\",\"retry\":true}";

/// HTTP on one listener.
pub(crate) struct HttpProtocol {
    pub(crate) service: Arc<Service>,
    /// Set for HTTPS. A slow handshake does not block others: it has a timeout, and a new
    /// connection can evict it.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Whether each connection comes from a proxy and begins with a header that names the client.
    pub(crate) is_proxied: bool,
}

/// Serves the requests of a connection until it ends.
type ServeFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Protocol for HttpProtocol {
    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        slot: ConnectionSlot,
        stop: CancellationToken,
    ) {
        let peer = slot.address();
        // Boxed, and freed before requests are served: opening a connection takes more memory than
        // serving it.
        let opened = Box::pin(self.open(stream, slot, stop.clone()));
        // A shutdown only waits for requests, and there is none yet.
        let opened = stop.run_until_cancelled(opened).await;
        match opened {
            Some(Ok(served)) => served.await,
            Some(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(%peer, error, "a connection ended before its first request");
            }
            None => {}
        }
    }

    async fn refuse(self: Arc<Self>, mut stream: TcpStream) {
        // A client that starts a TLS handshake would not understand the response.
        if self.tls.is_none() {
            // The connection is closed even if the response cannot be sent.
            let _ = stream.write_all(TOO_MANY_CONNECTIONS).await;
            linger(stream).await;
        }
    }
}

impl HttpProtocol {
    /// Finds out the client and the version of HTTP, and returns the future that serves the
    /// connection.
    async fn open(
        &self,
        mut stream: TcpStream,
        slot: ConnectionSlot,
        stop: CancellationToken,
    ) -> Result<ServeFuture, OpenError> {
        stream.set_nodelay(true)?;
        let config = &self.service.config;
        let client = self.client(&mut stream, &slot).await?;
        let throttle = (!(self.service.is_trusted)(client.ip())).then(|| {
            let charge = self.service.charge.clone();
            Throttle::new(client.ip(), charge, config.connection_bytes_per_sec)
        });
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(config.write_timeout));
        let mut stream = ClientStream::new(Box::pin(stream), throttle);
        let connection = Connection::new(self.service.clone(), client, slot, stop);
        // Each is boxed, so that a plain connection takes no memory for TLS or HTTP/2.
        let Some(tls) = &self.tls else {
            let is_http2 = timeout(config.header_read_timeout, stream.is_http2());
            return Ok(match is_http2.await?? {
                true => Box::pin(connection.serve_http2(stream)),
                false => Box::pin(connection.serve_http1(stream)),
            });
        };
        stream.begin_handshake().await;
        let handshake = timeout(config.tls_handshake_timeout, tls.accept(stream));
        let stream = Box::pin(handshake).await??;
        Ok(match stream.get_ref().1.alpn_protocol() {
            Some(HTTP2) => Box::pin(connection.serve_http2(stream)),
            _ => Box::pin(connection.serve_http1(stream)),
        })
    }

    /// The client of the connection: the peer, or the client that the peer names if it is a proxy.
    async fn client(
        &self,
        stream: &mut TcpStream,
        slot: &ConnectionSlot,
    ) -> Result<SocketAddr, OpenError> {
        if !self.is_proxied {
            return Ok(slot.address());
        }
        let client = ProxiedClient::of_connection(stream, slot, &self.service.is_trusted);
        let client = timeout(self.service.config.header_read_timeout, client).await??;
        Ok(client.address)
    }
}

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("the connection was lost")]
    Lost(#[from] io::Error),
    #[error("opening the connection took too long")]
    Slow(#[from] Elapsed),
    #[error("the proxy did not name its client")]
    Proxy(#[from] ProxyHeaderError),
}
