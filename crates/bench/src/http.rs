//! A connection on which one request follows the other, as a load generator needs it.

use std::{error::Error, net::SocketAddr};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The largest answer, in bytes: metrics are the longest that is read.
const ANSWER_SIZE_MAX: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The server cannot be reached.
    #[error("the connection cannot be made")]
    Connect(#[from] std::io::Error),
    /// The connection ended before the answer began, or the answer is no HTTP.
    #[error("the connection failed")]
    Exchange(#[from] hyper::Error),
    /// The connection ended before the answer was complete, or it is larger than any expected.
    #[error("the body of the answer cannot be read")]
    Body(#[source] Box<dyn Error + Send + Sync>),
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Opens it.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, HttpError> {
        Ok(Self {
            address,
            sender: Some(connect(address).await?),
        })
    }

    /// Sends a request and reads its answer whole. After an error, or when the server closed the
    /// connection, the next exchange opens a new one.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, HttpError> {
        // Taken, so that an exchange that fails or is given up leaves no half-read answer behind.
        let mut sender = match self.sender.take() {
            Some(sender) => sender,
            None => connect(self.address).await?,
        };
        if sender.ready().await.is_err() {
            sender = connect(self.address).await?;
        }
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_SIZE_MAX).collect().await;
        let body = body.map_err(HttpError::Body)?.to_bytes();
        self.sender = Some(sender);
        Ok(Response::from_parts(head, body))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, HttpError> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Its error is told to whoever waits for an answer. It ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}

/// GETs a path over a connection of its own.
pub(crate) async fn fetch(address: SocketAddr, path: &str) -> Result<Response<Bytes>, HttpError> {
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .body(Full::default())
        .expect("the path is one of ours");
    Connection::open(address).await?.exchange(request).await
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
