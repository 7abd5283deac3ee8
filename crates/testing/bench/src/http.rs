//! A connection on which one request follows the other, as a load generator needs it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Error};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

/// The largest answer, in bytes: metrics are the longest that is read.
const ANSWER_SIZE_MAX: usize = 1024 * 1024;

/// A request to `host`, the host and port of a URL, for a path of it.
pub(crate) fn request(method: Method, host: &str, path: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host)
        .body(Full::new(body))
        .expect("host and path are those of a URL")
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    /// The address of ours that it comes from, if it is not left to the system.
    source: Option<IpAddr>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            address,
            source: None,
            sender: Some(connect(address, None).await?),
        })
    }

    /// One that is opened by the first exchange, from this address of ours.
    pub(crate) fn from(source: IpAddr, address: SocketAddr) -> Self {
        Self {
            address,
            source: Some(source),
            sender: None,
        }
    }

    /// Sends a request and reads its complete answer. After an error, or when the server closed the
    /// connection, the next exchange opens a new one.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Bytes>> {
        // Taken out, so that a failed or abandoned exchange leaves no half-read answer.
        let mut sender = match self.sender.take() {
            Some(sender) => sender,
            None => connect(self.address, self.source).await?,
        };
        if sender.ready().await.is_err() {
            sender = connect(self.address, self.source).await?;
        }
        let answer = sender.send_request(request).await;
        let (parts, body) = answer.context("the connection failed")?.into_parts();
        let body = Limited::new(body, ANSWER_SIZE_MAX).collect().await;
        let body = body.map_err(Error::from_boxed);
        let body = body.context("the body of the answer cannot be read")?;
        self.sender = Some(sender);
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = connect_from(source, address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Its error reaches the caller that waits for an answer. It ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}

/// A TCP connection from this address of ours, if it is not left to the system.
pub(crate) async fn connect_from(
    source: Option<IpAddr>,
    address: SocketAddr,
) -> anyhow::Result<TcpStream> {
    let connect = async || match source {
        None => TcpStream::connect(address).await,
        Some(source) => {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            socket.bind((source, 0).into())?;
            socket.connect(address).await
        }
    };
    connect().await.context("cannot connect")
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
