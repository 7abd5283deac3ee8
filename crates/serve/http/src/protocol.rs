//! How a connection begins: who the client is, and what it speaks.

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
    listener::{Place, Protocol, TooMany, linger},
    proxy_header::{ProxyHeaderError, read_client},
    stream::{ClientStream, Meter},
};

/// The names of HTTP in TLS handshakes (RFC 9113, section 3.2, and RFC 7301, section 6), the one
/// that is liked better first.
pub(crate) const TLS_PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

const HTTP2: &[u8] = b"h2";

/// What a connection over the cap gets: the problem `Overloaded`.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Access-Control-Allow-Origin: *\r\n\
    Cache-Control: no-store\r\n\
    Connection: close\r\n\
    Content-Length: 157\r\n\
    Content-Type: application/problem+json\r\n\
    Retry-After: 1\r\n\
    \r\n\
    {\"type\":\"urn:quorate:problem:overloaded\",\"title\":\"Too many requests wait\",\"status\":503,\
    \"detail\":\"too many connections are open: come back soon\",\"retry\":true}";

/// HTTP as it is spoken at a listener.
pub(crate) struct HttpProtocol {
    pub(crate) service: Arc<Service>,
    /// What makes it HTTPS. No handshake keeps others waiting: one that takes too long ends, and one
    /// in whose place another could be gives way.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Whether each connection is one of a proxy, which first says for whom it is.
    pub(crate) is_proxied: bool,
}

/// What serves the requests of a connection to their end.
type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Protocol for HttpProtocol {
    async fn serve(self: Arc<Self>, stream: TcpStream, place: Place, stop: CancellationToken) {
        let peer = place.address();
        // Boxed, and gone once requests come: to open a connection takes more memory than to serve it.
        let opened = Box::pin(self.open(stream, place, stop.clone()));
        // A shutdown waits for requests, and there is none yet.
        let opened = stop.run_until_cancelled(opened).await;
        match opened {
            Some(Ok(served)) => served.await,
            Some(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(%peer, error, "a connection did not come to a request");
            }
            None => {}
        }
    }

    async fn refuse(self: Arc<Self>, mut stream: TcpStream) {
        // Who is in a handshake would not understand.
        if self.tls.is_none() {
            // Whether the client heard it or not, the connection is closed.
            let _ = stream.write_all(TOO_MANY_CONNECTIONS).await;
            linger(stream).await;
        }
    }
}

impl HttpProtocol {
    /// What serves a connection, once it is known of whom it is and what is spoken on it.
    async fn open(
        &self,
        mut stream: TcpStream,
        place: Place,
        stop: CancellationToken,
    ) -> Result<Served, OpenError> {
        stream.set_nodelay(true)?;
        let config = &self.service.config;
        let client = self.client(&mut stream, &place).await?;
        let meter = (!(self.service.is_trusted)(client.ip())).then(|| {
            let charge = self.service.charge.clone();
            Meter::new(client.ip(), charge, config.connection_bytes_per_sec)
        });
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(config.write_timeout));
        let mut stream = ClientStream::new(Box::pin(stream), meter);
        let connection = Connection::new(self.service.clone(), client, place, stop);
        // Each is boxed, so that a plain connection takes no memory for TLS or HTTP/2.
        let Some(tls) = &self.tls else {
            let is_http2 = timeout(config.header_read_timeout, stream.is_http2());
            return Ok(match is_http2.await?? {
                true => Box::pin(connection.serve_http2(stream)),
                false => Box::pin(connection.serve_http1(stream)),
            });
        };
        let handshake = timeout(config.tls_handshake_timeout, tls.accept(stream));
        let stream = Box::pin(handshake).await??;
        Ok(match stream.get_ref().1.alpn_protocol() {
            Some(HTTP2) => Box::pin(connection.serve_http2(stream)),
            _ => Box::pin(connection.serve_http1(stream)),
        })
    }

    /// Whose connection it is: that of the other end, or of the client that a proxy names there.
    async fn client(&self, stream: &mut TcpStream, place: &Place) -> Result<SocketAddr, OpenError> {
        let peer = place.address();
        if !self.is_proxied {
            return Ok(peer);
        }
        if !(self.service.is_trusted)(peer.ip()) {
            return Err(OpenError::Untrusted);
        }
        let read = timeout(self.service.config.header_read_timeout, read_client(stream));
        let Some(client) = read.await?? else {
            return Ok(peer);
        };
        place.assign(client.ip())?;
        Ok(client)
    }
}

/// Why no request was heard on a connection.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("the connection was lost")]
    Lost(#[from] io::Error),
    #[error("it took too long")]
    Slow(#[from] Elapsed),
    #[error("the listener is for proxies, and this is none of http.trusted_proxies")]
    Untrusted,
    #[error("the proxy did not name its client")]
    Proxy(#[from] ProxyHeaderError),
    #[error("the client of the proxy has no place")]
    TooMany(#[from] TooMany),
}
